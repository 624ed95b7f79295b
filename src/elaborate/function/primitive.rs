//! What the expressions of elementwise functions can call without a declaration.

use crate::elementwise::{Binary, Unary};

/// A function that every program can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::internal::elaborate) enum Primitive {
    /// Of one value.
    Unary(Unary),
    /// `min(a, b)`, `max(a, b)`.
    Binary(Binary),
    /// `clamp(x, min, max)`, with numbers for its limits.
    Clamp,
}

impl Primitive {
    /// The primitive of this name.
    pub fn find(name: &str) -> Option<Primitive> {
        all().find(|(word, _)| *word == name).map(|(_, primitive)| primitive)
    }

    /// What it takes, for messages.
    pub fn takes(self) -> &'static str {
        match self {
            Primitive::Unary(_) => "one value",
            Primitive::Binary(_) => "two values",
            Primitive::Clamp => "a value and its limits: `clamp(x, min, max)`",
        }
    }

    /// How many arguments it takes.
    pub fn arity(self) -> usize {
        match self {
            Primitive::Unary(_) => 1,
            Primitive::Binary(_) => 2,
            Primitive::Clamp => 3,
        }
    }
}

/// The names of all primitives.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    all().map(|(word, _)| word)
}

fn all() -> impl Iterator<Item = (&'static str, Primitive)> {
    let unary = Unary::ALL.into_iter().filter(|op| *op != Unary::Neg).map(|op| (op.word(), Primitive::Unary(op)));
    let binary = [Binary::Min, Binary::Max].map(|op| (op.word(), Primitive::Binary(op)));
    unary.chain(binary).chain([("clamp", Primitive::Clamp)])
}

/// A number with a name.
pub(super) fn constant(name: &str) -> Option<f64> {
    match name {
        "inf" => Some(f64::INFINITY),
        "pi" => Some(std::f64::consts::PI),
        _ => None,
    }
}
