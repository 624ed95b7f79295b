//! What an expression evaluates to.

use std::fmt;
use std::sync::Arc;

use super::load::DefId;
use crate::base::source::Span;

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
    List(Arc<[Value]>),
    /// A block, possibly with arguments given beforehand.
    Unit(Arc<Unit>),
    /// A word that names nothing in scope: `double`, `halve`, `pad`. Who takes the value decides whether it knows it.
    Word(Arc<str>),
    /// A word with arguments: `pad(zeros: split)`.
    WordCall(Arc<str>, Arc<[Bound]>),
    /// Behind an error that is already reported.
    Unknown,
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
