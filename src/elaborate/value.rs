//! Values of expressions.

use std::fmt;
use std::sync::Arc;

use super::load::DefId;
use crate::base::source::Span;

/// The maximum nesting depth of lists, and of blocks in block arguments.
pub const MAX_VALUE_DEPTH: u8 = 16;

/// A value of the language.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// An integer.
    Int(i64),
    /// A decimal number, with a point or an exponent.
    Float(f64),
    /// `true` or `false`.
    Bool(bool),
    /// `"text"`
    Str(Arc<str>),
    /// `3x3`
    Size(u64, u64),
    /// `[a, b]`
    List(List),
    /// A block, optionally with preset arguments.
    Unit(Arc<Unit>),
    /// A word that is not a name in scope: `double`, `halve`, `pad`. The consumer decides whether it is valid.
    Word(Arc<str>),
    /// A word with arguments: `pad(zeros: split)`.
    WordCall(Arc<str>, Arc<[Bound]>),
    /// The result of an error that is already reported; or a parameter of a block that no network uses.
    Unknown,
}

/// A list. It stores its nesting depth, and whether an item is unknown: values are shared, so a few lines could otherwise build one that takes
/// forever to traverse.
#[derive(Clone, Debug, PartialEq)]
pub struct List {
    items: Arc<[Value]>,
    depth: u8,
    has_unknown: bool,
}

impl List {
    /// A list of these items, unless it would nest deeper than [`MAX_VALUE_DEPTH`].
    pub fn new(items: Vec<Value>) -> Option<List> {
        let depth = items.iter().map(Value::depth).max().unwrap_or(0) + 1;
        let has_unknown = items.iter().any(Value::is_partly_unknown);
        (depth <= MAX_VALUE_DEPTH).then(|| List { items: items.into(), depth, has_unknown })
    }
}

impl std::ops::Deref for List {
    type Target = [Value];

    fn deref(&self) -> &[Value] {
        &self.items
    }
}

/// A block with preset arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    /// The block.
    pub def: DefId,
    /// Its name, for messages.
    pub name: Arc<str>,
    /// The arguments.
    pub args: Vec<Bound>,
    /// The nesting depth of the arguments, as in [`List`].
    pub depth: u8,
}

/// An evaluated argument.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// The key; `None` for a positional one.
    pub key: Option<(Arc<str>, Span)>,
    /// The value.
    pub value: Value,
    /// Where it is written.
    pub span: Span,
}

impl Value {
    /// The nesting depth of lists, blocks with arguments and words with arguments.
    pub fn depth(&self) -> u8 {
        match self {
            Value::List(list) => list.depth,
            Value::Unit(unit) => unit.depth,
            // `Eval::call` rejects nested ones
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

    /// Whether it is, or holds, a value that is not known.
    pub fn is_partly_unknown(&self) -> bool {
        match self {
            Value::Unknown => true,
            Value::List(list) => list.has_unknown,
            Value::Unit(unit) => unit.args.iter().any(|arg| arg.value.is_partly_unknown()),
            Value::WordCall(_, args) => args.iter().any(|arg| arg.value.is_partly_unknown()),
            _ => false,
        }
    }

    /// Its kind, for messages.
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
