//! Why a network has no training step.

use thiserror::Error;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GradError {
    /// A shape is free.
    #[error("`{node}` has the free shape {shape}: training needs a size, as in `input 3 x 224 x 224`")]
    Free {
        /// The node.
        node: String,
        /// Its shape.
        shape: String,
    },
    /// The main output is not a score for each class.
    #[error(
        "the output `{node}` is {shape}, and cross-entropy needs a vector with a score for each class: end the network in `linear`"
    )]
    NotScores {
        /// The node.
        node: String,
        /// Its shape.
        shape: String,
    },
    /// The network has no output.
    #[error("the network has no output to train")]
    NoOutput,
    /// A weight of auxiliary losses without auxiliary scores.
    #[error("`auxiliary` weighs the losses of further outputs, and the network has none with as many scores as the first")]
    NoAuxiliary,
    /// The name is needed for the classes.
    #[error("an input is called `{0}`, which training gives to the classes: rename it")]
    TakenName(String),
    /// A frozen name is that of no parameter.
    #[error("`{0}` is to be frozen, and no parameter's name begins with it")]
    UnknownFrozen(String),
    /// Stochastic depth without blocks.
    #[error("`stochastic_depth` drops the paths of blocks with a shortcut, and the network has none")]
    NoShortcuts,
    /// No parameter is left to train.
    #[error("there is no parameter to train")]
    NothingToTrain,
    /// The network is not the front end's: something is fused or folded already.
    #[error("internal error: `{0}` was rewritten before its gradient was taken; please report it")]
    Rewritten(String),
    /// The graph breaks its rules: a defect of this program.
    #[error("internal error in the gradient: {0}; please report it")]
    Internal(String),
}
