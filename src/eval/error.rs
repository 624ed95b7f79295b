//! Errors of an evaluation.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::check::FixedSizeError;
use crate::data::DataError;
use crate::infer::{InferError, LoadError};
use crate::runtime::RunError;

/// Why an evaluation cannot start, go on, or be trusted.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EvalError {
    /// A network or its weights cannot be used.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A network does not read one image, or a run failed.
    #[error(transparent)]
    Infer(#[from] InferError),
    /// The dataset does not fit the network, or has a sample that cannot be read where that is an error.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Whole images for a network of fixed input size.
    #[error("`{network}` cannot read whole images: {source}")]
    WholeImages {
        /// The network.
        network: String,
        /// What fixes the size.
        source: FixedSizeError,
    },
    /// Logits of a network that returns probabilities.
    #[error("`{network}` ends in a softmax: it yields no logits to be averaged")]
    NoLogits {
        /// The network.
        network: String,
    },
    /// Ten crops of images that are no larger than the crops.
    #[error(
        "`{network}` takes images as large as its input, where ten crops are the same: a larger size of the shorter side is needed"
    )]
    SameCrops {
        /// The network.
        network: String,
    },
    /// Views of samples that are no images.
    #[error("crops, scales and flips need images, and `{name}` holds normalized values")]
    Normalized {
        /// The first sample.
        name: String,
    },
    /// An ensemble of networks with different numbers of classes.
    #[error("`{first}` tells {classes} classes apart, and `{other}` {other_classes}: they cannot be averaged")]
    ClassCounts {
        /// The first network.
        first: String,
        /// Its classes.
        classes: usize,
        /// Another network.
        other: String,
        /// Its classes.
        other_classes: usize,
    },
    /// An ensemble of networks with different classes.
    #[error("class {class} is `{first_name}` of `{first}` and `{other_name}` of `{other}`: they cannot be averaged")]
    ClassNames {
        /// The class's index.
        class: usize,
        /// The first network.
        first: String,
        /// What it calls the class.
        first_name: String,
        /// Another network.
        other: String,
        /// What it calls the class.
        other_name: String,
    },
    /// A class beyond the network's outputs.
    #[error("the data has more classes than the network's {classes} outputs")]
    Labels {
        /// Of the network.
        classes: usize,
    },
    /// Nothing to report.
    #[error("no image could be read")]
    NoImages,
    /// Scores that are NaN or infinite.
    #[error("the scores of {count} of {images} images are not finite, first those of `{name}`: {why}")]
    NotFinite {
        /// Images with such scores.
        count: usize,
        /// Images that were evaluated.
        images: usize,
        /// The first such image.
        name: String,
        /// The network, and what in it is not finite.
        why: String,
    },
    /// The file of a state cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file of a state cannot be written.
    #[error("cannot write `{}`: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that holds no state.
    #[error("`{}` is no state of `resnetc eval`: {reason}", path.display())]
    NoState {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The state of an evaluation of other networks, data or options.
    #[error("`{}` holds the state of another run ({key}: {found} there, and {wanted} here)", path.display())]
    OtherRun {
        /// The file.
        path: PathBuf,
        /// What differs.
        key: String,
        /// In the file.
        found: String,
        /// In this evaluation.
        wanted: String,
    },
    /// A state that counts more images than there are.
    #[error("`{}` is damaged: it counts more images than the dataset has", path.display())]
    DamagedState {
        /// The file.
        path: PathBuf,
    },
}

impl From<RunError> for EvalError {
    fn from(error: RunError) -> EvalError {
        InferError::Run(error).into()
    }
}
