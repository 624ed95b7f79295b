//! An operator as a statement: its keyword, and its arguments with the language's defaults.

use std::fmt;

use crate::ir::ops::{AttrValue, Given, Kind, Shown};
use crate::ir::{Dim, Op, Pair, Shape, Sides, shape_text};

/// The value of an argument.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Val {
    Int(i64),
    Size(Pair),
    Sides(Sides),
    Ends([usize; 2]),
    Shape([Option<usize>; 3]),
    Factors([f64; 2]),
    Float(f64),
    Bool(bool),
    /// A word of the language: `global`.
    Word(&'static str),
}

impl Val {
    pub fn int(n: usize) -> Val {
        Val::Int(i64::try_from(n).unwrap_or(i64::MAX))
    }

    /// A factor, as a whole number if it is one.
    fn factor(x: f64) -> Val {
        if x.fract() == 0.0 && x < 1e15 { Val::Int(x as i64) } else { Val::Float(x) }
    }

    fn of(value: AttrValue, kind: Kind, signal: bool) -> Val {
        match value {
            AttrValue::Count(n) => Val::int(n),
            AttrValue::Size([_, n]) if signal => Val::int(n),
            AttrValue::Size([h, w]) if h != w || matches!(kind, Kind::Window | Kind::WindowOr(_)) => Val::Size([h, w]),
            AttrValue::Size([n, _]) => Val::int(n),
            AttrValue::Sides([[t, b], [l, r]]) if t == b && l == r => Val::of(AttrValue::Size([t, l]), kind, signal),
            AttrValue::Sides([_, width]) if signal => Val::Ends(width),
            AttrValue::Sides(sides) => Val::Sides(sides),
            AttrValue::Ends(ends) => Val::Ends(ends),
            AttrValue::Shape(sizes) => Val::Shape(sizes),
            AttrValue::Factors([h, w]) if signal || h == w => Val::factor(w),
            AttrValue::Factors([h, w]) => match [h, w].map(Val::factor) {
                [Val::Int(_), Val::Int(_)] => Val::Size([h as usize, w as usize]),
                _ => Val::Factors([h, w]),
            },
            AttrValue::Number(x) => Val::Float(x),
            AttrValue::Flag(on) => Val::Bool(on),
            AttrValue::Word(word) => Val::Word(word),
        }
    }

    pub fn as_int(&self) -> Option<i64> {
        match self {
            Val::Int(n) => Some(*n),
            _ => None,
        }
    }
}

impl fmt::Display for Val {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Val::Int(n) => write!(f, "{n}"),
            Val::Size([h, w]) => write!(f, "{h}x{w}"),
            Val::Sides([[t, b], [l, r]]) => write!(f, "[{t}, {b}, {l}, {r}]"),
            Val::Ends([a, b]) => write!(f, "[{a}, {b}]"),
            Val::Shape(sizes) => f.write_str(&shape_text(*sizes)),
            Val::Factors(factors) => write!(f, "[{}, {}]", Val::Float(factors[0]), Val::Float(factors[1])),
            // the shortest text that parses to the same number
            Val::Float(x) if *x == x.trunc() && x.abs() < 1e15 => write!(f, "{}", *x as i64),
            Val::Float(x) => write!(f, "{x:?}"),
            Val::Bool(b) => write!(f, "{b}"),
            Val::Word(word) => f.write_str(word),
        }
    }
}

/// An argument.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Attr {
    pub key: String,
    /// Whether it is positional, written first and without its key.
    pub first: bool,
    pub value: Val,
    /// Whether this is the language's default, which is not written.
    pub default: bool,
}

/// An operator as a statement.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Statement {
    pub word: String,
    /// What an `apply` computes.
    pub expression: Option<String>,
    pub arguments: Vec<Attr>,
}

/// An operator as a statement on an operand of this shape. On one with a single spatial axis, sizes are single numbers.
pub(super) fn statement(op: &Op, operand: Option<&Shape>) -> Statement {
    let signal = is_signal(operand);
    let argument = |Given { attribute, value, is_default }: Given<'_>| Attr {
        key: attribute.key.to_owned(),
        first: attribute.is_positional,
        value: Val::of(value, attribute.kind, signal),
        default: is_default && attribute.shown != Shown::Everywhere,
    };
    let (word, attributes) = op.statement(operand.and_then(Shape::channels));
    let arguments = attributes.into_iter().map(argument).collect();
    let applied = op.as_elementwise().filter(|function| function.is_applied());
    Statement { word: word.to_owned(), expression: applied.and_then(|function| function.expression()), arguments }
}

/// Whether an operator joins paths that can be written as arms: `add`, `mul` or `concat`.
pub(super) fn is_join(op: &Op) -> bool {
    op.is_add() || op.is_mul() || matches!(op, Op::Concat)
}

/// Whether a shape has one spatial axis (1-D inputs).
pub(super) fn is_signal(shape: Option<&Shape>) -> bool {
    shape.and_then(Shape::dims).is_some_and(|dims| dims.len() == 2)
}

/// Whether a shape has spatial axes.
pub(super) fn is_map(shape: &Shape) -> bool {
    shape.dims().is_some_and(|dims| dims.len() > 1)
}

/// The dimensions of an input in the language's notation; `None` if they cannot be written.
pub(super) fn input(shape: &Shape) -> Option<String> {
    let dims = shape.dims()?;
    let plain = |dim: &Dim| matches!(dim, Dim::Fixed(_) | Dim::Free { add: 0, div: 1, times: 1, .. });
    dims.iter().all(plain).then(|| shape.to_string())
}
