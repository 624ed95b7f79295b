//! What an expression evaluates to.

use std::fmt;
use std::sync::Arc;

use super::load::DefId;
use crate::base::source::Span;

/// The deepest nesting of lists in lists, and of blocks in blocks' arguments.
pub const MAX_VALUE_DEPTH: u8 = 16;

/// A value of the language.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A whole number.
    Int(i64),
    /// A number with a point or an exponent.
    Float(f64),
    /// `true` or `false`.
    Bool(bool),
    /// `"text"`
    Str(Arc<str>),
    /// `3x3`
    Size(u64, u64),
    /// `[a, b]`
    List(List),
    /// A block, possibly with arguments given beforehand.
    Unit(Arc<Unit>),
    /// A word that names nothing in scope: `double`, `halve`, `pad`. Who takes the value decides whether it knows it.
    Word(Arc<str>),
    /// A word with arguments: `pad(zeros: split)`.
    WordCall(Arc<str>, Arc<[Bound]>),
    /// Behind an error that is already reported.
    Unknown,
}

/// A list. It knows how deep it nests, since values are shared, and a few lines could otherwise build one that takes for
/// ever to walk.
#[derive(Clone, Debug, PartialEq)]
pub struct List {
    items: Arc<[Value]>,
    depth: u8,
}

impl List {
    /// A list of these, unless it would nest deeper than [`MAX_VALUE_DEPTH`].
    pub fn new(items: Vec<Value>) -> Option<List> {
        let depth = items.iter().map(Value::depth).max().unwrap_or(0) + 1;
        (depth <= MAX_VALUE_DEPTH).then(|| List { items: items.into(), depth })
    }
}

impl std::ops::Deref for List {
    type Target = [Value];

    fn deref(&self) -> &[Value] {
        &self.items
    }
}

/// A block with arguments given beforehand.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    /// The block.
    pub def: DefId,
    /// Its name, for messages.
    pub name: Arc<str>,
    /// The arguments.
    pub args: Vec<Bound>,
    /// How deep the arguments nest, as in [`List`].
    pub depth: u8,
}

/// An evaluated argument.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// The key; `None` for a positional one.
    pub key: Option<(Arc<str>, Span)>,
    /// The value.
    pub value: Value,
    /// Where it is given.
    pub span: Span,
}

impl Value {
    /// How many lists, blocks with arguments and words with arguments stand in each other.
    pub fn depth(&self) -> u8 {
        match self {
            Value::List(list) => list.depth,
            Value::Unit(unit) => unit.depth,
            // its arguments hold no other of its kind: `Eval::call` sees to it
            Value::WordCall(_, args) => args.iter().map(|a| a.value.depth()).max().unwrap_or(0).saturating_add(1),
            Value::Int(_)
            | Value::Float(_)
            | Value::Bool(_)
            | Value::Str(_)
            | Value::Size(..)
            | Value::Word(_)
            | Value::Unknown => 0,
        }
    }

    /// What it is, in words, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Int(_) => "a whole number",
            Value::Float(_) => "a decimal number",
            Value::Bool(_) => "true or false",
            Value::Str(_) => "a text",
            Value::Size(..) => "a size",
            Value::List(_) => "a list",
            Value::Unit(_) => "a block",
            Value::Word(_) | Value::WordCall(..) => "a word",
            Value::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Int(n) => write!(f, "{n}"),
            Value::Float(x) => write!(f, "{x}"),
            Value::Bool(b) => write!(f, "{b}"),
            Value::Str(s) => write!(f, "\"{}\"", s.chars().take(40).collect::<String>()),
            Value::Size(a, b) => write!(f, "{a}x{b}"),
            Value::List(items) => write!(f, "a list of {}", items.len()),
            Value::Unit(unit) => f.write_str(&unit.name),
            Value::Word(word) | Value::WordCall(word, _) => f.write_str(word),
            Value::Unknown => f.write_str("?"),
        }
    }
}
