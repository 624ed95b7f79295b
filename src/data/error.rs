//! What is wrong with a dataset.

use std::path::PathBuf;

use thiserror::Error;

use super::folder::FolderError;
use super::preprocess::PrepareError;
use crate::formats::npy::NpyError;

/// Why a dataset cannot be opened, does not fit the network, or has a sample that cannot be read. Each names the file.
#[derive(Debug, Error)]
pub enum DataError {
    /// The file system refused.
    #[error("cannot read `{}`: {source}", path.display())]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A folder for each class that is not one.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// An array that cannot be read.
    #[error(transparent)]
    Npy(#[from] NpyError),
    /// A file that does not hold what it should.
    #[error("`{path}` {reason}")]
    Invalid {
        /// The file; within an archive, the archive's path and the member's.
        path: String,
        /// What is wrong with it, as the rest of a sentence.
        reason: String,
    },
    /// Nothing that is known.
    #[error(
        "`{}` is no dataset that is known: a folder or .tar with a folder of images for each class, CIFAR's binary files, IDX files \
         (.gz too), or a pair of arrays `X.npy,Y.npy`",
        path.display()
    )]
    Unknown {
        /// The folder or file.
        path: PathBuf,
    },
    /// No sample at all.
    #[error("`{path}` holds no samples")]
    Empty {
        /// The folder or file.
        path: String,
    },
    /// A label that the network has no output for.
    #[error("`{path}`: sample {index} has label {label}, and the network has {classes} classes (labels 0 to {})", classes.saturating_sub(1))]
    Label {
        /// The file.
        path: String,
        /// Which sample, from 0.
        index: usize,
        /// Its label.
        label: i64,
        /// Of the network.
        classes: usize,
    },
    /// A label below 0.
    #[error("`{path}`: sample {index} has label {label}, and labels count from 0")]
    Negative {
        /// The file.
        path: String,
        /// Which sample, from 0.
        index: usize,
        /// Its label.
        label: i64,
    },
    /// As many images as labels there should be.
    #[error("`{samples_path}` holds {samples} samples, and `{labels_path}` {labels} labels")]
    Counts {
        /// The file of images.
        samples_path: String,
        /// How many.
        samples: usize,
        /// The file of labels.
        labels_path: String,
        /// How many.
        labels: usize,
    },
    /// More class folders than outputs.
    #[error("`{path}` has {folders} class folders, and the network has {classes} classes")]
    Classes {
        /// The dataset.
        path: String,
        /// How many.
        folders: usize,
        /// Of the network.
        classes: usize,
    },
    /// An image of a size that the network does not read.
    #[error("`{name}` is {height} x {width} pixels, and the network reads {}: {hint}", wanted(*expected))]
    Size {
        /// The sample.
        name: String,
        /// Of the image.
        height: usize,
        /// Of the image.
        width: usize,
        /// Height and width that would do.
        expected: [usize; 2],
        /// What could be done.
        hint: &'static str,
    },
    /// Values of a shape that the network does not read.
    #[error("`{path}` holds samples of {}, and the network reads {expected}", dims(found))]
    Shape {
        /// The dataset.
        path: String,
        /// Of its samples.
        found: Vec<usize>,
        /// Of the network.
        expected: String,
    },
    /// An image that cannot become an input.
    #[error("`{name}`: {source}")]
    Prepare {
        /// The sample.
        name: String,
        /// Why.
        source: PrepareError,
    },
    /// A recipe that does not go with the dataset or with the network.
    #[error("{0}")]
    Recipe(String),
    /// An image that cannot be decoded.
    #[cfg(feature = "image")]
    #[error(transparent)]
    Image(#[from] super::image::ImageError),
}

/// What reading behind a dataset's end is answered with.
pub(super) fn beyond(name: String) -> DataError {
    DataError::Invalid { path: name, reason: "is not among the dataset's samples".to_owned() }
}

fn wanted([height, width]: [usize; 2]) -> String {
    format!("{height} x {width}")
}

fn dims(sizes: &[usize]) -> String {
    sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ")
}
