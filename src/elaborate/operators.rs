//! The words of operators, which no name can be.

pub use crate::ir::ops::find;
use crate::ir::ops::operators;
use crate::syntax::words::{self, RESERVED, STATEMENTS};

/// Whether a name is reserved, so that no block or parameter can have it.
pub fn is_reserved(name: &str) -> bool {
    find(name).is_some() || STATEMENTS.contains(&name) || words::is_reserved(name)
}

/// All words that can start a statement in a body.
pub(super) fn statement_words() -> impl Iterator<Item = &'static str> {
    operators().map(|operator| operator.schema.word).chain(STATEMENTS.iter().chain(RESERVED).copied())
}
