//! The statements of a body, with their numbers kept separately as holes. Bodies with equal statements can be instances of one block.

use super::attrs::{Attr, Statement, Val};
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
    /// A branch: its label, its preferred name, and where it begins if not at the current value.
    Branch { label: usize, name: Option<String>, from: Option<Label>, body: Vec<OpStmt> },
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
}

impl Hole {
    /// An operator's argument.
    pub fn of(attr: Attr) -> Hole {
        Hole { key: attr.key, arm: String::new(), value: attr.value, default: attr.default }
    }
}

/// What is written for a hole in a block.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    /// Nothing: all instances have the default.
    Omit,
    Literal(Val),
    /// A parameter, with a factor and a divisor.
    Param(usize, i64, i64),
}

/// A parameter of a block.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Param {
    pub name: String,
    pub default: Option<Val>,
}

/// Bodies with equal statements as a block: its parameters, the expression for each hole, and the arguments of each body.
pub(super) struct Unified {
    pub params: Vec<Param>,
    pub exprs: Vec<Expr>,
    pub args: Vec<Vec<Val>>,
}

/// The maximum number of parameters of a block: with more, a call is no clearer than its statements.
const MAX_PARAMS: usize = 10;

/// Finds parameters for bodies with equal statements, given their holes.
pub(super) fn unify(members: &[&[Hole]]) -> Option<Unified> {
    let first = members.first()?;
    let mut out = Unified { params: Vec::new(), exprs: Vec::new(), args: vec![Vec::new(); members.len()] };
    for at in 0..first.len() {
        let column: Vec<&Hole> = members.iter().map(|m| &m[at]).collect();
        let expr = if column.iter().all(|s| s.default) {
            Expr::Omit
        } else if column.iter().all(|s| s.value == column[0].value) {
            Expr::Literal(column[0].value)
        } else {
            match param(&column, &out.args) {
                Some(expr) => expr,
                None => {
                    let name = name(&first[at], &out.params);
                    let default = column.iter().find(|s| s.default).map(|s| s.value);
                    out.params.push(Param { name, default });
                    out.args.iter_mut().zip(&column).for_each(|(args, hole)| args.push(hole.value));
                    Expr::Param(out.params.len() - 1, 1, 1)
                }
            }
        };
        out.exprs.push(expr);
    }
    (out.params.len() <= MAX_PARAMS).then_some(out)
}

/// A parameter from which the values of a hole can be computed.
fn param(column: &[&Hole], args: &[Vec<Val>]) -> Option<Expr> {
    let params = args.first()?.len();
    let equal = |p: &usize| column.iter().zip(args).all(|(hole, args)| hole.value == args[*p]);
    if let Some(p) = (0..params).find(equal) {
        return Some(Expr::Param(p, 1, 1));
    }
    // a multiple or a fraction of another width
    if !matches!(column[0].key.as_str(), "filters" | "groups" | "features") {
        return None;
    }
    (0..params).find_map(|p| {
        let pairs: Option<Vec<(i64, i64)>> =
            column.iter().zip(args).map(|(hole, args)| Some((hole.value.as_int()?, args[p].as_int()?))).collect();
        let pairs = pairs?;
        let &(value, base) = pairs.first()?;
        let (mul, div) = if base > 0 && value % base == 0 {
            (value / base, 1)
        } else if value > 0 && base % value == 0 {
            (1, base / value)
        } else {
            return None;
        };
        let fits = pairs.iter().all(|&(v, b)| v.checked_mul(div) == b.checked_mul(mul) && b % div == 0);
        (fits && mul <= 64 && div <= 64).then_some(Expr::Param(p, mul, div))
    })
}

/// A name for a new parameter.
fn name(hole: &Hole, params: &[Param]) -> String {
    let plain = match hole.key.as_str() {
        // `pad` is an operator
        "pad" => "padding",
        // an arm's label can be a number
        "filters" if super::names::is_word(&hole.arm) => hole.arm.as_str(),
        key => key,
    };
    let plain = if super::names::is_reserved(plain) { format!("{plain}_filters") } else { plain.to_string() };
    let free = |name: &str| !params.iter().any(|p| p.name == name);
    if free(&plain) {
        return plain;
    }
    let stem = if plain.ends_with(|c: char| c.is_ascii_digit()) { format!("{plain}_") } else { plain };
    (2..).map(|n| format!("{stem}{n}")).find(|name| free(name)).unwrap_or_default()
}

/// Appends an operator.
pub(super) fn push_op(net: &Net, id: usize, leaf: Option<String>, arm: &str, stmts: &mut Vec<Stmt>, holes: &mut Vec<Hole>) {
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
            Line::Branch { name, .. } => name.is_some(),
            Line::Mark(_) | Line::Output { .. } => false,
        }),
        Stmt::Scope { .. } | Stmt::Run(_) | Stmt::Side { .. } => true,
        Stmt::Shortcut | Stmt::Output(_) => false,
    })
}

/// The number of statements that are numbered in a `sequential`.
pub(super) fn statements(stmts: &[Stmt]) -> usize {
    stmts.iter().filter(|s| matches!(s, Stmt::Op { .. } | Stmt::Join { .. } | Stmt::Shortcut)).count()
}
