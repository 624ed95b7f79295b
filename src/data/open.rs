//! From what the command line names to a dataset: what is what is told by content.

use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(feature = "image")]
use super::archive::Tree;
use super::arrays::Arrays;
#[cfg(feature = "image")]
use super::images::ImageFiles;
use super::labels::Range;
use super::{DataError, Dataset, cifar, idx};

/// Which part of a dataset that has two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// What is trained on.
    Train,
    /// What is measured on while training goes on: apart from what is measured on in the end, where there are both.
    Valid,
    /// What is measured on.
    Test,
}

/// What opening a dataset is told.
#[derive(Clone, Copy, Debug)]
pub struct DatasetOptions<'a> {
    /// The network's class names, with which folders' names are matched; may be empty.
    pub labels: &'a [String],
    /// Whether each folder must be called as a label: where `labels` are the classes of data that these ones go with.
    pub strict: bool,
    /// The network's outputs: labels are held against it.
    pub classes: Option<usize>,
    /// Bytes that may be taken to keep small images decoded.
    pub keep: usize,
}

impl Default for DatasetOptions<'_> {
    fn default() -> Self {
        DatasetOptions { labels: &[], strict: false, classes: None, keep: 1 << 30 }
    }
}

/// What a name stands for.
enum Found {
    Arrays([PathBuf; 2]),
    Idx([PathBuf; 2]),
    Cifar(cifar::Kind, Vec<PathBuf>),
    Folder(PathBuf),
    Archive(PathBuf),
}

/// A dataset as found.
enum Place {
    /// It has no parts.
    Whole(Found),
    /// The part that is asked for.
    Part(Found),
    /// It has parts, and the one that is asked for is missing.
    NoPart,
}

/// Opens a dataset: the part that is asked for, or all of it where it has no parts. A dataset is named by its folder or file; two arrays
/// by both, with a comma between.
pub fn open_dataset(spec: &str, split: Split, options: &DatasetOptions<'_>) -> Result<Arc<dyn Dataset>, DataError> {
    let opened = match find(spec, split)? {
        Place::Whole(found) => open(found, split, options)?.map(|(dataset, _)| dataset),
        Place::Part(found) => open(found, split, options)?.map(|(dataset, _)| dataset),
        Place::NoPart => None,
    };
    opened.ok_or_else(|| DataError::Invalid {
        path: spec.to_owned(),
        reason: match split {
            Split::Train => "has a part to measure on and none to train on".to_owned(),
            Split::Valid | Split::Test => "has a part to train on and none to measure on".to_owned(),
        },
    })
}

/// Opens the part of a dataset that is validated on in training; `None` where the dataset has no parts, or not this one.
pub fn open_valid_part(spec: &str, options: &DatasetOptions<'_>) -> Result<Option<Arc<dyn Dataset>>, DataError> {
    let opened = match find(spec, Split::Valid)? {
        Place::Part(found) => open(found, Split::Valid, options)?.map(|(dataset, _)| dataset),
        // an archive is looked into only when it is opened
        Place::Whole(found @ Found::Archive(_)) => {
            open(found, Split::Valid, options)?.filter(|(_, part)| *part).map(|(dataset, _)| dataset)
        }
        Place::Whole(_) | Place::NoPart => None,
    };
    Ok(opened)
}

/// What is there for a part.
fn find(spec: &str, split: Split) -> Result<Place, DataError> {
    let path = Path::new(spec);
    if let Some((samples, labels)) = spec.split_once(',')
        && !path.exists()
    {
        return Ok(Place::Whole(Found::Arrays([samples, labels].map(|p| PathBuf::from(p.trim())))));
    }
    let kind = std::fs::metadata(path).map_err(|source| DataError::Io { path: path.to_path_buf(), source })?;
    if kind.is_dir() { Ok(in_folder(path, split)) } else { file(path, kind.len()) }
}

/// A folder holds files of known names, or archives or folders for its parts, or class folders.
fn in_folder(path: &Path, split: Split) -> Place {
    // as the published archives unpack
    for inner in ["cifar-10-batches-bin", "cifar-100-binary"] {
        let inner = path.join(inner);
        if inner.is_dir() {
            return in_folder(&inner, split);
        }
    }
    let other = match split {
        Split::Train => Split::Test,
        Split::Valid | Split::Test => Split::Train,
    };
    match (known_part(path, split), known_part(path, other)) {
        (Some(found), _) => Place::Part(found),
        (None, Some(_)) => Place::NoPart,
        (None, None) => Place::Whole(Found::Folder(path.to_path_buf())),
    }
}

fn known_part(path: &Path, split: Split) -> Option<Found> {
    let named = |end: &str| part_names(split).iter().map(|name| path.join(format!("{name}{end}"))).collect::<Vec<PathBuf>>();
    if let Some(files) = idx::find(path, split) {
        return Some(Found::Idx(files));
    }
    if let Some((kind, files)) = cifar::find(path, split) {
        return Some(Found::Cifar(kind, files));
    }
    let archive = named(".tar").into_iter().find(|path| path.is_file()).map(Found::Archive);
    // a class may be called `test`: a part has folders of its own
    archive.or_else(|| named("").into_iter().find(|path| has_folders(path)).map(Found::Folder))
}

fn has_folders(path: &Path) -> bool {
    std::fs::read_dir(path).is_ok_and(|mut entries| entries.any(|entry| entry.is_ok_and(|entry| entry.path().is_dir())))
}

/// A single file: an archive, images of IDX beside their labels, or one of CIFAR's files.
fn file(path: &Path, len: u64) -> Result<Place, DataError> {
    let unknown = || DataError::Unknown { path: path.to_path_buf() };
    let name = path.file_name().ok_or_else(unknown)?.to_string_lossy().into_owned();
    let ends = |end: &str| name.to_ascii_lowercase().ends_with(end);
    if [".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"].into_iter().any(ends) {
        return Ok(Place::Whole(Found::Archive(path.to_path_buf())));
    }
    if ends(".npy") {
        let reason = "is an array of samples alone: give that of the labels too, behind a comma: X.npy,Y.npy".to_owned();
        return Err(DataError::Invalid { path: path.display().to_string(), reason });
    }
    if name.contains("-images") && name.contains("idx3-ubyte") {
        let plain = name.replace("-images", "-labels").replace("idx3", "idx1");
        let plain = plain.trim_end_matches(".gz");
        let candidates = [path.with_file_name(plain), path.with_file_name(format!("{plain}.gz"))];
        let labels = candidates.iter().find(|path| path.is_file()).unwrap_or(&candidates[0]).clone();
        return Ok(Place::Whole(Found::Idx([path.to_path_buf(), labels])));
    }
    if ends(".bin") {
        return Ok(Place::Whole(Found::Cifar(cifar::kind_of(path, len), vec![path.to_path_buf()])));
    }
    Err(unknown())
}

/// The names of the folders and archives of a part.
pub(super) fn part_names(split: Split) -> &'static [&'static str] {
    match split {
        Split::Train => &["train"],
        Split::Valid => &["val", "valid", "validation", "test"],
        Split::Test => &["test", "val", "valid", "validation"],
    }
}

/// A dataset, and whether it is a part of what an archive holds. `None` for a part that an archive lacks.
type Opened = Option<(Arc<dyn Dataset>, bool)>;

fn open(found: Found, split: Split, options: &DatasetOptions<'_>) -> Result<Opened, DataError> {
    let range = Range::of(options.classes);
    let dataset: Arc<dyn Dataset> = match found {
        Found::Arrays([samples, labels]) => Arc::new(Arrays::open(&samples, &labels, range)?),
        Found::Idx([images, labels]) => Arc::new(idx::open([&images, &labels], range)?),
        Found::Cifar(kind, files) => Arc::new(cifar::open(kind, &files, options)?),
        #[cfg(feature = "image")]
        Found::Folder(path) => Arc::new(ImageFiles::folder(&path, options)?),
        #[cfg(feature = "image")]
        Found::Archive(path) => {
            let (tree, has_parts) = Tree::open(&path)?.part(split);
            let Some(tree) = tree else { return Ok(None) };
            return Ok(Some((Arc::new(ImageFiles::archive(&tree, options)?), has_parts)));
        }
        #[cfg(not(feature = "image"))]
        Found::Folder(path) | Found::Archive(path) => {
            let _ = split;
            let reason = "holds images in files, and this build decodes none (feature `image`)".to_owned();
            return Err(DataError::Invalid { path: path.display().to_string(), reason });
        }
    };
    Ok(Some((dataset, false)))
}
