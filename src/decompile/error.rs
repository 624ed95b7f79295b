//! Why graphs have no source.

use thiserror::Error;

use crate::ir::ShapeError;

/// Why a graph has no source.
#[derive(Clone, Debug, Error)]
pub enum DecompileError {
    /// No input, or no output.
    #[error("the graph has no input, or no output")]
    Empty,
    /// An operator without a statement in the language.
    #[error("`{node}` is a variant of `{op}` for which the language has no statement")]
    Unsupported {
        /// The node.
        node: String,
        /// Its operator.
        op: String,
    },
    /// An operator that does not fit its operands.
    #[error("`{node}` does not fit its operands: {error}")]
    Shape {
        /// The node.
        node: String,
        /// The cause.
        error: Box<ShapeError>,
    },
    /// An input of a shape that cannot be declared.
    #[error("the input `{node}` has a shape that cannot be declared")]
    Input {
        /// The node.
        node: String,
    },
    /// Not even a source with one statement per node gives the same graph.
    #[error("the graph cannot be expressed in the language: {why}")]
    Inexpressible {
        /// The compiler's error for the simplest style.
        why: String,
    },
}
