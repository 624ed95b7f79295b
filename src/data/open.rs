//! From what the command line names to a dataset: what is what is told by content.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::arrays::Arrays;
use super::labels::Range;
use super::{DataError, Dataset, idx};

/// Which part of a dataset that has two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// What is trained on.
    Train,
    /// What is measured on.
    Test,
}

/// What opening a dataset is told.
#[derive(Clone, Copy, Debug)]
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
        DatasetOptions { labels: &[], classes: None, keep: 1 << 30 }
    }
}

/// What a name stands for.
enum Found {
    Arrays([PathBuf; 2]),
    Idx([PathBuf; 2]),
}

/// Opens a dataset: the part that is asked for, or all of it where it has no parts. A dataset is named by its folder or file; two arrays
/// by both, with a comma between.
pub fn open_dataset(spec: &str, split: Split, options: &DatasetOptions<'_>) -> Result<Arc<dyn Dataset>, DataError> {
    match find(spec, split)? {
        Some((found, _)) => open(found, options),
        None => Err(DataError::Unknown { path: PathBuf::from(spec) }),
    }
}

/// Opens the part of a dataset that is measured on; `None` where the dataset has no parts.
pub fn open_test_part(spec: &str, options: &DatasetOptions<'_>) -> Result<Option<Arc<dyn Dataset>>, DataError> {
    match find(spec, Split::Test)? {
        Some((found, true)) => open(found, options).map(Some),
        _ => Ok(None),
    }
}

/// What is there for a part, and whether it is but a part.
fn find(spec: &str, split: Split) -> Result<Option<(Found, bool)>, DataError> {
    let path = Path::new(spec);
    if let Some((samples, labels)) = spec.split_once(',')
        && !path.exists()
    {
        return Ok(Some((Found::Arrays([samples, labels].map(|p| PathBuf::from(p.trim()))), false)));
    }
    let kind = std::fs::metadata(path).map_err(|source| DataError::Io { path: path.to_path_buf(), source })?;
    if kind.is_dir() {
        if let Some(files) = idx::find(path, split) {
            return Ok(Some((Found::Idx(files), true)));
        }
    }
    Ok(None)
}

fn open(found: Found, options: &DatasetOptions<'_>) -> Result<Arc<dyn Dataset>, DataError> {
    let range = Range::of(options.classes);
    Ok(match found {
        Found::Arrays([samples, labels]) => Arc::new(Arrays::open(&samples, &labels, range)?),
        Found::Idx([images, labels]) => Arc::new(idx::open([&images, &labels], range)?),
    })
}
