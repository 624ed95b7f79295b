//! What an expression of an elementwise function is while it is translated.

use crate::elementwise::{Comparison, Register};

/// The meaning of an expression.
#[derive(Clone, Debug)]
pub(super) enum Term {
    /// A number that is known when the network is compiled. Computed in f64, and rounded where values meet it.
    Number(f64),
    /// A value of each element.
    Value(Register),
    /// A condition.
    Condition(Condition),
    /// The result of an error that is already reported.
    Unknown,
}

/// A condition. Programs only select by a single comparison; [`super::translate`] nests selections for the others.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    /// Known when the network is compiled.
    Known(bool),
    /// A comparison of values.
    Compare(Comparison, Register, Register),
    /// Both hold.
    And(Box<Condition>, Box<Condition>),
    /// One holds.
    Or(Box<Condition>, Box<Condition>),
    /// It does not hold.
    Not(Box<Condition>),
}

impl Condition {
    pub fn and(self, other: Condition) -> Condition {
        match (self, other) {
            (Condition::Known(true), other) | (other, Condition::Known(true)) => other,
            (Condition::Known(false), _) | (_, Condition::Known(false)) => Condition::Known(false),
            (a, b) => Condition::And(Box::new(a), Box::new(b)),
        }
    }

    pub fn or(self, other: Condition) -> Condition {
        match (self, other) {
            (Condition::Known(false), other) | (other, Condition::Known(false)) => other,
            (Condition::Known(true), _) | (_, Condition::Known(true)) => Condition::Known(true),
            (a, b) => Condition::Or(Box::new(a), Box::new(b)),
        }
    }

    pub fn negated(self) -> Condition {
        match self {
            Condition::Known(known) => Condition::Known(!known),
            Condition::Not(inner) => *inner,
            other => Condition::Not(Box::new(other)),
        }
    }
}
