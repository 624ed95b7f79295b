//! Errors in building a training step.

use thiserror::Error;

/// Why a training step could not be built.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GradError {
    /// A shape is free.
    #[error("`{node}` has the free shape {shape}: training needs a fixed input size, such as `input 3 x 224 x 224`")]
    Free {
        /// The node.
        node: String,
        /// Its shape.
        shape: String,
    },
    /// An operator that cannot be differentiated.
    #[error("`{node}` cannot be trained through: `{op}` has no gradient")]
    NoGradient {
        /// The node.
        node: String,
        /// Its operator.
        op: String,
    },
    /// The main output is not a vector of class scores.
    #[error("the output `{node}` is {shape}, but cross-entropy needs a vector of class scores: end the network with `linear`")]
    NotScores {
        /// The node.
        node: String,
        /// Its shape.
        shape: String,
    },
    /// The network has no output.
    #[error("the network has no output to train")]
    NoOutput,
    /// An auxiliary loss weight without auxiliary outputs.
    #[error("`auxiliary` weights the losses of further outputs, but the network has none with as many scores as the main output")]
    NoAuxiliary,
    /// An input has the name reserved for the class labels.
    #[error("an input is named `{0}`, which is reserved for the class labels in training: rename it")]
    TakenName(String),
    /// `freeze` matches no parameter.
    #[error("`freeze` names `{0}`, but no parameter's name begins with it")]
    UnknownFrozen(String),
    /// Stochastic depth without residual blocks.
    #[error("`stochastic_depth` drops residual blocks, but the network has no block with a shortcut")]
    NoShortcuts,
    /// There is no parameter to train.
    #[error("there is no parameter to train")]
    NothingToTrain,
    /// The graph is inconsistent, which is a bug in this crate.
    #[error("internal error in the gradient: {0}; please report it")]
    Internal(String),
}
