//! Planning errors.

use thiserror::Error;

use crate::base::tensor::DType;
use crate::ir::RowsError;

/// Why no plan could be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PlanError {
    /// A shape is free: the input size must be fixed first (`check::at_size`).
    #[error("`{node}` has the free shape {shape}: give a height and width")]
    FreeShape {
        /// The node's name.
        node: String,
        /// Its shape.
        shape: String,
    },
    /// The batch is 0, or the activations exceed the addressable size.
    #[error("a batch of {batch} cannot be planned: `{node}` would be too large")]
    TooLarge {
        /// The batch.
        batch: usize,
        /// The node.
        node: String,
    },
    /// An output has elements of a type that outputs cannot have.
    #[error("the output `{name}` has elements of type {dtype}: the main output has F32, and others F32, I64 or I32")]
    OutputType {
        /// The output.
        name: String,
        /// The type of its elements.
        dtype: DType,
    },
    /// Counted rows leave their loop.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// The graph is inconsistent, which is a bug in this crate.
    #[error("internal error in the planner: {0}; please report it")]
    Internal(String),
}
