//! The words of operators, which no name can be.

pub use crate::ir::ops::find;
use crate::ir::ops::operators;
use crate::syntax::prelude;
use crate::syntax::words::{self, RESERVED, STATEMENTS};

/// The activations that no block or function can replace, since every reader relies on what they mean.
const FIXED: [&str; 3] = ["clamp", "relu", "sigmoid"];

/// Whether a name is reserved, so that no block or parameter can have it.
pub fn is_reserved(name: &str) -> bool {
    find(name).is_some() || FIXED.contains(&name) || STATEMENTS.contains(&name) || words::is_reserved(name)
}

/// All words that can start a statement in a body.
pub(super) fn statement_words() -> impl Iterator<Item = &'static str> {
    let activations = prelude::activations().iter().map(|activation| activation.name);
    operators().map(|operator| operator.schema.word).chain(activations).chain(STATEMENTS.iter().chain(RESERVED).copied())
}
