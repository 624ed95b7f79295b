//! What is not known where a block is expanded by itself.

use crate::ir;

/// What is not known in the expansion of an unused block.
pub(super) struct Unknowns {
    /// A value of unknown shape, where a statement has no other.
    pub value: ir::Value,
    /// How many conditions around the current statement are unknown.
    pub conditions: usize,
    /// The number of labels with unknown text.
    pub texts: usize,
    /// Whether statements may be left out, so that layers may have other names.
    pub left_out: bool,
}
