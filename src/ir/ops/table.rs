//! All operators of the language.

use super::schema::{Operator, Schema};
use super::value::Attributes;
use super::{conv, elementwise, linear, norm, pool, shape};
use crate::ir::op::Op;

/// The families, in the order of the reference.
const FAMILIES: &[&[Operator]] =
    &[conv::OPERATORS, norm::OPERATORS, elementwise::OPERATORS, pool::OPERATORS, linear::OPERATORS, shape::OPERATORS];

/// All operators of the language, grouped by function.
pub fn operators() -> impl Iterator<Item = &'static Operator> {
    FAMILIES.iter().copied().flatten()
}

/// The operator with this keyword.
pub fn find(word: &str) -> Option<&'static Operator> {
    operators().find(|operator| operator.schema.word == word)
}

impl Op {
    /// Its schema and attributes; `None` if no statement declares it.
    pub fn attributes(&self) -> Option<(Schema<'static>, Attributes<'static>)> {
        operators().find_map(|operator| Some((operator.schema, (operator.write)(self)?)))
    }

    /// Its name in dumps and messages, which is its keyword in the language.
    pub fn word(&self) -> &'static str {
        let declared = operators().find(|operator| (operator.write)(self).is_some());
        match self {
            Op::Input(_) => "input",
            Op::Train(op) => op.word(),
            _ => declared.map_or("?", |operator| operator.schema.word),
        }
    }
}
