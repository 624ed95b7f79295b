//! Errors of inference on images.

use thiserror::Error;

use crate::runtime::{NotFinite, RunError};

/// Why a network cannot run on images, or a run failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InferError {
    /// More than one input.
    #[error("the network has several inputs: images fit one")]
    SeveralInputs,
    /// An input of another rank.
    #[error("the network reads {0}, and an image is channels x height x width")]
    NotAnImage(String),
    /// An output without an axis of classes.
    #[error("the network's output has no classes")]
    NoClasses,
    /// Images that do not have the sizes given.
    #[error(transparent)]
    Shape(#[from] ndarray::ShapeError),
    /// The run failed.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// The network's scores for an image are NaN or infinite.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the network's scores are not finite{}", cause.as_ref().map_or_else(String::new, |cause| format!(": {cause}")))]
#[non_exhaustive]
pub struct NotFiniteScores {
    /// Where the first such values are, if that was found.
    pub cause: Option<NotFinite>,
}
