//! The statements of a body, with their numbers kept separately as holes. Bodies with equal statements can be instances of one block.

use super::attrs::{Attr, Statement, Val};
use super::function;
use super::net::Net;

/// A statement, without its numbers.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Stmt {
    /// An operator; its arguments are holes.
    Op {
        word: String,
        /// What an `apply` computes.
        expression: Option<String>,
        keys: Vec<String>,
        /// The layer's name in the scope; `None` if it is irrelevant or cannot be preserved.
        leaf: Option<String>,
    },
    /// A function of the library, which is a hole: blocks can differ in it.
    Activation,
    /// Paths that fork and join.
    Join { word: String, arms: Vec<Arm> },
    /// A `scope` or a `sequential`.
    Scope { name: String, sequential: bool, body: Vec<Stmt> },
    /// A block; its arguments are holes.
    Call { block: usize, label: Option<String> },
    /// `add shortcut`.
    Shortcut,
    /// A stage or repeat: an index into [`super::blocks::Blocks::runs`].
    Run(usize),
    /// A region without a simple structure.
    Irregular(Vec<Line>),
    /// The current value is this output.
    Output(usize),
    /// A path to an output.
    Side { output: usize, name: Option<String>, body: Vec<Stmt> },
}

/// A path of a join.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Arm {
    pub name: Name,
    pub body: Vec<Stmt>,
}

/// The name of a join's arm.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Name {
    /// No name: its layers are in the surrounding scope, like those of the main path.
    None,
    Plain(String),
    /// A prefix such as `denselayer` and a number, which is a hole.
    Numbered(String),
}

/// A line of an irregular region.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Line {
    /// An operator on the current value.
    Main(OpStmt),
    /// Labels the current value.
    Mark(usize),
    /// A branch: its label, its preferred name, and where it begins if not at the current value. Its layers are in a scope of its
    /// label, or else in the scope around it.
    Branch { label: usize, name: Option<String>, scoped: bool, from: Option<Label>, body: Vec<OpStmt> },
    /// This output is the labeled value.
    Output { output: usize, label: usize },
}

/// An operator; its arguments are holes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct OpStmt {
    pub word: String,
    /// What an `apply` computes.
    pub expression: Option<String>,
    pub keys: Vec<String>,
    /// The layer's name in the scope.
    pub leaf: Option<String>,
    /// Further operands.
    pub others: Vec<Label>,
}

/// A reference to a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Label {
    /// A label of this region.
    Local(usize),
    /// An input of the network.
    Input(String),
}

/// A number in a body: the value of an attribute or an argument.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Hole {
    pub key: String,
    /// The name of the arm that contains it, or empty.
    pub arm: String,
    pub value: Val,
    /// Whether this is the language's default, which is not written.
    pub default: bool,
    /// Whether it is a number of channels.
    pub is_width: bool,
}

/// The arguments of operators that are numbers of channels.
const WIDTHS: [&str; 5] = ["filters", "groups", "features", "start", "count"];

impl Hole {
    /// An operator's argument.
    pub fn of(attr: Attr) -> Hole {
        let is_width = WIDTHS.contains(&attr.key.as_str());
        Hole { key: attr.key, arm: String::new(), value: attr.value, default: attr.default, is_width }
    }
}

/// The key of the hole that is an activation.
pub(super) const ACTIVATION: &str = "activation";

/// Appends an operator.
pub(super) fn push_op(net: &Net, id: usize, leaf: Option<String>, arm: &str, stmts: &mut Vec<Stmt>, holes: &mut Vec<Hole>) {
    if let Some(name) = function::activation(&net.node(id).op) {
        let (key, arm) = (ACTIVATION.to_owned(), String::new());
        holes.push(Hole { key, arm, value: Val::Word(name), default: false, is_width: false });
        stmts.push(Stmt::Activation);
        return;
    }
    let Statement { word, expression, arguments } = net.statement(id);
    let keys = arguments.iter().map(|a| a.key.clone()).collect();
    holes.extend(arguments.into_iter().map(|attr| Hole { arm: arm.to_string(), ..Hole::of(attr) }));
    stmts.push(Stmt::Op { word, expression, keys, leaf });
}

/// The statements without names and scopes.
pub(super) fn without_names(stmts: &[Stmt]) -> Vec<Stmt> {
    let mut out = Vec::new();
    for stmt in stmts {
        match stmt {
            Stmt::Op { word, expression, keys, .. } => {
                out.push(Stmt::Op { word: word.clone(), expression: expression.clone(), keys: keys.clone(), leaf: None });
            }
            Stmt::Scope { body, .. } => out.extend(without_names(body)),
            Stmt::Join { word, arms } => {
                let arms = arms.iter().map(|arm| Arm { name: Name::None, body: without_names(&arm.body) }).collect();
                out.push(Stmt::Join { word: word.clone(), arms });
            }
            other => out.push(other.clone()),
        }
    }
    out
}

/// Whether names of layers or scopes in these statements follow from the scope that they are in.
pub(super) fn have_names(stmts: &[Stmt]) -> bool {
    stmts.iter().any(|stmt| match stmt {
        Stmt::Op { leaf: name, .. } | Stmt::Call { label: name, .. } => name.is_some(),
        Stmt::Join { arms, .. } => arms.iter().any(|arm| arm.name != Name::None || have_names(&arm.body)),
        Stmt::Irregular(lines) => lines.iter().any(|line| match line {
            Line::Main(statement) => statement.leaf.is_some(),
            Line::Branch { name, scoped, .. } => name.is_some() || !scoped,
            Line::Mark(_) | Line::Output { .. } => false,
        }),
        Stmt::Scope { .. } | Stmt::Run(_) | Stmt::Side { .. } => true,
        Stmt::Activation | Stmt::Shortcut | Stmt::Output(_) => false,
    })
}

/// The number of statements that are numbered in a `sequential`.
pub(super) fn statements(stmts: &[Stmt]) -> usize {
    stmts.iter().filter(|s| matches!(s, Stmt::Op { .. } | Stmt::Activation | Stmt::Join { .. } | Stmt::Shortcut)).count()
}
