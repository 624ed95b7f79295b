//! Errors of datasets.

use std::path::PathBuf;

use thiserror::Error;

use super::preprocess::PrepareError;
use crate::formats::npy::NpyError;

/// Why a dataset cannot be opened, does not fit the network, or has a sample that cannot be read. Every message names the file.
#[derive(Debug, Error)]
pub enum DataError {
    /// The file system reports an error.
    #[error("cannot read `{}`: {source}", path.display())]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The class folders cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// An array cannot be read.
    #[error(transparent)]
    Npy(#[from] NpyError),
    /// A file has invalid contents.
    #[error("`{path}` {reason}")]
    Invalid {
        /// The file; in an archive, the archive's path followed by the member's.
        path: String,
        /// What is wrong, as the rest of a sentence that begins with the path.
        reason: String,
    },
    /// The format of the dataset is unknown.
    #[error(
        "`{}` is not a known kind of dataset: a folder or .tar with a folder of images for each class, CIFAR's binary files, IDX files \
         (also .gz), or a pair of arrays `X.npy,Y.npy`",
        path.display()
    )]
    Unknown {
        /// The folder or file.
        path: PathBuf,
    },
    /// There are no samples.
    #[error("`{path}` contains no samples")]
    Empty {
        /// The folder or file.
        path: String,
    },
    /// A label is out of range for the network.
    #[error("`{path}`: sample {index} has label {label}, but the network has {classes} classes (labels 0 to {})", classes.saturating_sub(1))]
    Label {
        /// The file.
        path: String,
        /// The index of the sample.
        index: usize,
        /// Its label.
        label: i64,
        /// The classes of the network.
        classes: usize,
    },
    /// A label is negative.
    #[error("`{path}`: sample {index} has label {label}, but labels start at 0")]
    Negative {
        /// The file.
        path: String,
        /// The index of the sample.
        index: usize,
        /// Its label.
        label: i64,
    },
    /// The numbers of samples and labels differ.
    #[error("`{samples_path}` has {samples} samples, but `{labels_path}` has {labels} labels")]
    Counts {
        /// The file of samples.
        samples_path: String,
        /// The number of samples.
        samples: usize,
        /// The file of labels.
        labels_path: String,
        /// The number of labels.
        labels: usize,
    },
    /// There are more class folders than classes of the network.
    #[error("`{path}` has {folders} class folders, but the network has {classes} classes")]
    Classes {
        /// The dataset.
        path: String,
        /// The number of class folders.
        folders: usize,
        /// The classes of the network.
        classes: usize,
    },
    /// An image has the wrong size for the network.
    #[error("`{name}` is {height} x {width} pixels, but the network reads {}: {hint}", pair(*expected))]
    Size {
        /// The sample.
        name: String,
        /// The height of the image.
        height: usize,
        /// The width of the image.
        width: usize,
        /// The required height and width.
        expected: [usize; 2],
        /// How to fix it.
        hint: &'static str,
    },
    /// Normalized samples have the wrong shape for the network.
    #[error("`{path}` has samples of {}, but the network reads {expected}", dims(found))]
    Shape {
        /// The dataset.
        path: String,
        /// The shape of its samples.
        found: Vec<usize>,
        /// The shape of the network's input.
        expected: String,
    },
    /// An image cannot be turned into an input of the network.
    #[error("`{name}`: {source}")]
    Prepare {
        /// The sample.
        name: String,
        /// The cause.
        source: PrepareError,
    },
    /// The recipe does not fit the dataset or the network.
    #[error("{0}")]
    Recipe(String),
    /// An image cannot be decoded.
    #[cfg(feature = "image")]
    #[error(transparent)]
    Image(#[from] super::image::ImageError),
}

/// Why class folders cannot be used.
#[derive(Debug, Error)]
pub enum FolderError {
    /// The file system reports an error.
    #[error("cannot read `{}`: {source}", path.display())]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// There are no class folders.
    #[error("`{}` has no folders: a dataset has a folder for each class, with its images inside", path.display())]
    NoClasses {
        /// The folder.
        path: PathBuf,
    },
    /// A class has no images.
    #[error("the class folder `{}` contains no images (.jpg, .png and the like)", path.display())]
    EmptyClass {
        /// The folder.
        path: PathBuf,
    },
    /// A class folder is not a class of the network.
    #[error("the class folder `{folder}` is not one of the classes: {names}")]
    UnknownClass {
        /// The name of the folder.
        folder: String,
        /// The first class names.
        names: String,
    },
    /// A class folder is not one of ImageNet's 1 000 synsets, but others are.
    #[error("the class folder `{folder}` is not one of ImageNet's 1 000 classes, but other folders are")]
    UnknownSynset {
        /// The name of the folder.
        folder: String,
    },
}

/// The error for an index past the end of a dataset.
pub(super) fn out_of_range(name: String) -> DataError {
    DataError::Invalid { path: name, reason: "is not one of the dataset's samples".to_owned() }
}

fn pair([height, width]: [usize; 2]) -> String {
    format!("{height} x {width}")
}

fn dims(sizes: &[usize]) -> String {
    sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ")
}
