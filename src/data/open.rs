//! From what the command line names to a dataset: what is what is told by content.

use std::path::PathBuf;

use super::{DataError, Dataset};

/// Which part of a dataset that has two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// What is trained on.
    Train,
    /// What is measured on.
    Test,
}

/// What opening a dataset is told.
#[derive(Clone, Debug)]
pub struct DatasetOptions<'a> {
    /// The network's class names, with which folders' names are matched; may be empty.
    pub labels: &'a [String],
    /// The network's outputs: labels are held against it.
    pub classes: Option<usize>,
    /// Bytes that may be taken to keep small pictures decoded.
    pub keep: usize,
}

impl Default for DatasetOptions<'_> {
    fn default() -> Self {
        DatasetOptions { labels: &[], classes: None, keep: 512 << 20 }
    }
}

/// Opens a dataset: the part that is asked for, or all of it where it has no parts.
pub fn open_dataset(spec: &str, _split: Split, _options: &DatasetOptions<'_>) -> Result<Box<dyn Dataset>, DataError> {
    Err(DataError::Unknown { path: PathBuf::from(spec) })
}

/// Opens the part of a dataset that is measured on; `None` where the dataset has no parts.
pub fn open_test_part(_spec: &str, _options: &DatasetOptions<'_>) -> Result<Option<Box<dyn Dataset>>, DataError> {
    Ok(None)
}
