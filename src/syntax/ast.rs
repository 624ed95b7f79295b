//! The syntax tree, with spans, before name resolution.

use crate::base::source::Span;

/// A value with its span in the source.
#[derive(Clone, Debug, PartialEq)]
pub struct Spanned<T> {
    /// The value.
    pub node: T,
    /// Its span.
    pub span: Span,
}

/// A name as written.
pub type Ident = Spanned<String>;

/// A source file.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    /// The number after `resnet` in the first line.
    pub version: Option<Spanned<u64>>,
    /// The items that follow, in order.
    pub items: Vec<Item>,
    /// All comments, doc comments included, in order, with their slashes.
    pub comments: Vec<Spanned<String>>,
    /// Whether a syntax error was reported, so that parts of the text are missing from this tree.
    pub damaged: bool,
}

/// A top-level item.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// `use …`
    Use(Use),
    /// `block …`
    Block(Block),
    /// `network …`
    Network(Network),
    /// `elementwise …`
    Function(Function),
}

/// `use std.blocks: basic, bottleneck` or `use "other.resnet": a`.
#[derive(Clone, Debug, PartialEq)]
pub struct Use {
    /// Dotted name or path.
    pub from: UsePath,
    /// The imported names; empty imports everything.
    pub names: Vec<Ident>,
    /// The whole line.
    pub span: Span,
}

/// The source of a `use`.
#[derive(Clone, Debug, PartialEq)]
pub enum UsePath {
    /// `std.blocks`: embedded.
    Std(Ident),
    /// A path relative to the file.
    File(Ident),
}

impl UsePath {
    /// The text and its place.
    pub fn ident(&self) -> &Ident {
        match self {
            UsePath::Std(name) | UsePath::File(name) => name,
        }
    }
}

/// A declared parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// Its name.
    pub name: Ident,
    /// Of an elementwise function's operand: how it is broadcast (`channel`), or that it is learned (`parameter`).
    pub kind: Option<Ident>,
    /// Its default.
    pub default: Option<Expr>,
}

/// `block NAME(params) { … }`
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// `///` lines above it, joined, without slashes.
    pub doc: Option<String>,
    /// Its name.
    pub name: Ident,
    /// Its parameters.
    pub params: Vec<Param>,
    /// Its statements.
    pub body: Vec<Stmt>,
    /// All of it.
    pub span: Span,
    /// Whether a syntax error was reported inside, so that missing or unused names should not be reported.
    pub damaged: bool,
}

/// `elementwise NAME(x, OPERAND: KIND, KEY = NUMBER, …) = EXPRESSION`
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// `///` lines above it.
    pub doc: Option<String>,
    /// Its name.
    pub name: Ident,
    /// The current value, further operands and numbers.
    pub params: Vec<Param>,
    /// What it computes; `None` where that did not parse.
    pub value: Option<Expr>,
    /// All of it.
    pub span: Span,
}

/// `network NAME(params) { … }` or `network NAME[(params)] = BASE(args) { … }`
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// `///` lines above it.
    pub doc: Option<String>,
    /// Its name.
    pub name: Ident,
    /// Its parameters.
    pub params: Vec<Param>,
    /// The network it is derived from, with arguments.
    pub base: Option<UnitRef>,
    /// Its statements.
    pub body: Vec<Stmt>,
    /// All of it.
    pub span: Span,
    /// Whether a syntax error was reported inside, so that missing or unused names should not be reported.
    pub damaged: bool,
}

/// A block or network by name, optionally with preset arguments: `bottleneck(groups: 32)`.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitRef {
    /// The name.
    pub name: Ident,
    /// The arguments.
    pub args: Vec<Arg>,
    /// With the arguments.
    pub span: Span,
}

/// An argument: `value`, `name: value`; a bare name in a statement's list is short for `name: name`.
#[derive(Clone, Debug, PartialEq)]
pub struct Arg {
    /// The key. For a bare name in a statement's list it is filled in, with the span of the name. `None` means positional, which
    /// only a statement's first argument and arguments in parentheses can be; positional arguments come first.
    pub key: Option<Ident>,
    /// The value.
    pub value: Expr,
    /// Both.
    pub span: Span,
}

/// One statement of a body.
#[derive(Clone, Debug, PartialEq)]
pub struct Stmt {
    /// Its kind.
    pub kind: StmtKind,
    /// All of it.
    pub span: Span,
}

/// The kinds of statements.
#[derive(Clone, Debug, PartialEq)]
pub enum StmtKind {
    /// `input [NAME:] 3 x 224 x 224`
    Input {
        /// Its name, if any.
        name: Option<Ident>,
        /// Without the batch; each a number, a name (a parameter, or else a free axis such as `H`), or an expression in
        /// parentheses.
        dims: Vec<Expr>,
    },
    /// `conv 3x3, filters: 64, stride: 2 as name`: an operator, or a call of a block.
    Call(Call),
    /// `apply EXPRESSION [as LABEL]`: what it computes from each element `x` of the current value.
    Apply {
        /// What is computed.
        value: Expr,
        /// `as LABEL`
        label: Option<Label>,
    },
    /// `stem { … }`, `head { … }`: a heading, no scope.
    Section {
        /// `stem` or `head`.
        name: Ident,
        /// Inside.
        body: Vec<Stmt>,
    },
    /// `scope NAME { … }`
    Scope {
        /// The prefix.
        name: Label,
        /// Inside.
        body: Vec<Stmt>,
    },
    /// `sequential [flat] [NAME] { … }`
    Sequential {
        /// The prefix; without one, the numbers are names of the scope around it.
        name: Option<Label>,
        /// Whether the statements of the blocks inside are numbered, rather than the blocks.
        flat: bool,
        /// Inside; numbered from 0.
        body: Vec<Stmt>,
    },
    /// `shortcut: POLICY`
    Shortcut(Expr),
    /// `stage LABEL: COUNT of UNIT { … }` and `repeat [LABEL:] COUNT of UNIT { … }`
    Stage(Stage),
    /// `branch [NAME] [from LABEL] { … }`
    Branch {
        /// Its name, and the scope of its layers; without one, they are in the scope around it.
        name: Option<Ident>,
        /// The label that it reads; otherwise the current value.
        from: Option<Ident>,
        /// Inside.
        body: Vec<Stmt>,
    },
    /// `mul { … } [as LABEL]`: the current value, joined with what the body makes of it.
    Joined {
        /// `add`, `mul` or `concat`.
        join: Ident,
        /// Inside.
        body: Vec<Stmt>,
        /// `as LABEL`
        label: Option<Label>,
    },
    /// `parallel concat [split] { [NAME] { … } … } [as LABEL]`
    Parallel {
        /// `concat`, `add` or `mul`.
        join: Ident,
        /// Whether each arm reads a share of the channels.
        split: Option<Split>,
        /// Name, which opens a scope, and body of each arm, in order. An empty body passes its input on.
        arms: Vec<(Option<Label>, Vec<Stmt>)>,
        /// `as LABEL`
        label: Option<Label>,
    },
    /// `if COND { … } else { … }`
    If {
        /// Condition.
        cond: Expr,
        /// The body if it is true.
        then: Vec<Stmt>,
        /// The `else` body; an `else if` is a body with a single `if`.
        otherwise: Vec<Stmt>,
    },
    /// `let NAME = EXPR`
    Let {
        /// Its name.
        name: Ident,
        /// Its value.
        value: Expr,
    },
    /// `output NAME [from LABEL]`
    Output {
        /// Its name.
        name: Ident,
        /// The label of its value; otherwise the current value.
        from: Option<Ident>,
    },
    /// `expect params: 25_557_032`
    Expect(Expect),
    /// `preprocess { … }`
    Preprocess(Vec<Arg>),
    /// `precision { … }`
    Precision(Vec<Entry>),
    /// `labels [ … ]` or `labels "file.txt"`
    Labels(Expr),
    /// `weights "path"`
    Weights(Spanned<String>),
    /// `train { … }`
    Train(Vec<Entry>),
}

/// An operator or a block with its arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The operator or block.
    pub name: Ident,
    /// The first argument, possibly without a key (`conv 3x3`), then the others.
    pub args: Vec<Arg>,
    /// `as LABEL`; a template if written as a string.
    pub label: Option<Label>,
}

/// The label after `as`.
#[derive(Clone, Debug, PartialEq)]
pub enum Label {
    /// A name, dots allowed.
    Name(Ident),
    /// A string with `{expr}` in it.
    Template(Template),
}

/// A string with expressions in braces.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// Its parts in order.
    pub parts: Vec<TemplatePart>,
    /// The span, including quotes.
    pub span: Span,
}

/// A part of a [`Template`].
#[derive(Clone, Debug, PartialEq)]
pub enum TemplatePart {
    /// Literal text.
    Text(String),
    /// `{expr}`
    Expr(Expr),
}

/// `split`, `split: [n, …]`
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// Where it is written.
    pub span: Span,
    /// The channels of each arm; equal shares otherwise.
    pub shares: Option<Expr>,
}

/// A stage or repeat.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// Whether the design rules apply (`stage`) or not (`repeat`).
    pub is_stage: bool,
    /// Its label; a `stage` always has one.
    pub label: Option<Ident>,
    /// Of a `repeat` without a label: the names of its instances, which the text computes from `i`.
    pub names: Option<Label>,
    /// The number of instances.
    pub count: Expr,
    /// The unit.
    pub unit: UnitRef,
    /// `filters: double`, `map: halve`, …
    pub args: Vec<Arg>,
    /// `first stride: 2`: those of the first instance, instead of the same ones of all.
    pub first: Vec<Arg>,
    /// `allow doubling`, `allow halving`.
    pub allows: Vec<Ident>,
}

/// An `expect` line.
#[derive(Clone, Debug, PartialEq)]
pub struct Expect {
    /// `layers`, `params`, `macs`, `output`, or a label.
    pub metric: Ident,
    /// `~=` rather than `:`.
    pub about: bool,
    /// The number or shape.
    pub value: ExpectValue,
}

/// The expected value.
#[derive(Clone, Debug, PartialEq)]
pub enum ExpectValue {
    /// The number as written, which determines its last digit (`3.8e9`, `25_557_032`).
    Number(Ident),
    /// `512 x 7 x 7`, or a single dimension that is not a plain number (`classes`).
    Shape(Vec<Expr>, Span),
}

/// A line of `train { … }`: `KEY [args] [{ entries }]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: Ident,
    /// The values on the line.
    pub args: Vec<Arg>,
    /// The entries in braces.
    pub entries: Vec<Entry>,
    /// All of it.
    pub span: Span,
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// Its kind.
    pub kind: ExprKind,
    /// Its span.
    pub span: Span,
}

/// The kinds of expressions.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// `1_000`
    Int(i64),
    /// `1e-4`
    Float(f64),
    /// `true`
    Bool(bool),
    /// `"text"`
    Str(String),
    /// `3x3`
    Size(u64, u64),
    /// A name: a parameter, a unit, or a word such as `double`.
    Name(String),
    /// `[a, b]`
    List(Vec<Expr>),
    /// `depths[0]`
    Index(Box<Expr>, Box<Expr>),
    /// `bottleneck(groups: 32)`, `pad(zeros: split)`
    Call(Ident, Vec<Arg>),
    /// `-a`, `not a`
    Unary(UnaryOp, Box<Expr>),
    /// `a + b`
    Binary(Spanned<BinaryOp>, Box<Expr>, Box<Expr>),
    /// `if c then a else b`
    If(Box<Expr>, Box<Expr>, Box<Expr>),
}

/// Prefix operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOp {
    /// `-`
    Neg,
    /// `not`
    Not,
}

/// Infix operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`, rounding towards zero; a remainder is an error in sizes.
    Div,
    /// `%`
    Rem,
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// `and`
    And,
    /// `or`
    Or,
}

impl BinaryOp {
    /// As written.
    pub fn symbol(self) -> &'static str {
        match self {
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Rem => "%",
            BinaryOp::Eq => "==",
            BinaryOp::Ne => "!=",
            BinaryOp::Lt => "<",
            BinaryOp::Le => "<=",
            BinaryOp::Gt => ">",
            BinaryOp::Ge => ">=",
            BinaryOp::And => "and",
            BinaryOp::Or => "or",
        }
    }
}
