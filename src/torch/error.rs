//! Why networks cannot be exported to PyTorch.

use thiserror::Error;

/// Why a network cannot be exported to PyTorch.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TorchError {
    /// A node without an equivalent in PyTorch, or a name that no module can have.
    #[error("`{node}` cannot be exported to PyTorch: {reason}")]
    Unsupported {
        /// The node, or the layer.
        node: String,
        /// The reason.
        reason: String,
    },
    /// There is no recipe, or one that a script cannot follow.
    #[error("cannot write a training script: {0}")]
    Recipe(String),
}
