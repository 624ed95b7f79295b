//! Opens a dataset by its path. The format is detected from the contents.

use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(feature = "image")]
use super::archive::Tree;
use super::arrays::Arrays;
#[cfg(feature = "image")]
use super::images::ImageFiles;
use super::labels::LabelRange;
use super::{DataError, Dataset, DatasetOptions, Split, cifar, idx};

/// A detected format and its files.
enum Format {
    Arrays([PathBuf; 2]),
    Idx([PathBuf; 2]),
    Cifar(cifar::Kind, Vec<PathBuf>),
    Folder(PathBuf),
    Archive(PathBuf),
}

impl Format {
    /// Where its samples are, for users.
    fn place(&self) -> String {
        match self {
            Format::Arrays([path, _]) | Format::Idx([path, _]) | Format::Folder(path) | Format::Archive(path) => {
                path.display().to_string()
            }
            Format::Cifar(_, files) => match &files[..] {
                [first, .., last] => format!("{} to {}", first.display(), last.file_name().unwrap_or_default().display()),
                files => files.iter().map(|file| file.display().to_string()).collect(),
            },
        }
    }
}

/// The result of looking up a split.
enum Lookup {
    /// The dataset has no splits.
    Unsplit(Format),
    /// The requested split.
    Split(Format),
    /// The dataset has splits, but not the requested one.
    Missing,
}

/// A dataset, or the split of one that was looked for.
#[derive(Clone)]
pub struct Part {
    /// Its samples.
    pub dataset: Arc<dyn Dataset>,
    /// Where they are: `photos/val`, `cifar10/test_batch.bin`, `photos.tar (val)`.
    pub place: String,
}

/// Opens a split of a dataset, or all of it if it has no splits. `spec` is a folder or file, or the samples and labels of two arrays separated by
/// a comma.
pub fn open_dataset(spec: &str, split: Split, options: &DatasetOptions<'_>) -> Result<Arc<dyn Dataset>, DataError> {
    open_part(spec, split, options).map(|part| part.dataset)
}

/// Like [`open_dataset`], and says which part was opened.
pub fn open_part(spec: &str, split: Split, options: &DatasetOptions<'_>) -> Result<Part, DataError> {
    let opened = match find(spec, split)? {
        Lookup::Unsplit(found) => open(found, split, options)?.map(|(part, _)| part),
        Lookup::Split(found) => open(found, split, options)?.map(|(part, _)| part),
        Lookup::Missing => None,
    };
    opened.ok_or_else(|| DataError::Invalid {
        path: spec.to_owned(),
        reason: match split {
            Split::Train => "has no training split, only one for validation or testing".to_owned(),
            Split::Valid | Split::Test => "has only a training split, and none for validation or testing".to_owned(),
        },
    })
}

/// Opens the validation split of a dataset; `None` if the dataset has no splits, or not this one.
pub fn open_valid_split(spec: &str, options: &DatasetOptions<'_>) -> Result<Option<Part>, DataError> {
    let opened = match find(spec, Split::Valid)? {
        Lookup::Split(found) => open(found, Split::Valid, options)?.map(|(part, _)| part),
        // the splits of an archive are only known after opening it
        Lookup::Unsplit(found @ Format::Archive(_)) => {
            open(found, Split::Valid, options)?.filter(|(_, is_split)| *is_split).map(|(part, _)| part)
        }
        Lookup::Unsplit(_) | Lookup::Missing => None,
    };
    Ok(opened)
}

/// Checks that the files of a dataset exist, without opening any: what takes long can wait for that.
pub fn check_exists(spec: &str) -> Result<(), DataError> {
    let exists =
        |path: &Path| std::fs::metadata(path).map(drop).map_err(|source| DataError::Io { path: path.to_path_buf(), source });
    match spec.split_once(',') {
        Some((samples, labels)) if !Path::new(spec).exists() => {
            [samples, labels].iter().try_for_each(|part| exists(Path::new(part.trim())))
        }
        _ => exists(Path::new(spec)),
    }
}

/// Looks up a split.
fn find(spec: &str, split: Split) -> Result<Lookup, DataError> {
    let path = Path::new(spec);
    if let Some((samples, labels)) = spec.split_once(',')
        && !path.exists()
    {
        return Ok(Lookup::Unsplit(Format::Arrays([samples, labels].map(|p| PathBuf::from(p.trim())))));
    }
    let kind = std::fs::metadata(path).map_err(|source| DataError::Io { path: path.to_path_buf(), source })?;
    if kind.is_dir() { Ok(in_folder(path, split)) } else { file(path, kind.len()) }
}

/// A folder contains files with known names, or an archive or folder for each split, or class folders.
fn in_folder(path: &Path, split: Split) -> Lookup {
    // the folders in the published archives
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
    match (known_split(path, split), known_split(path, other)) {
        (Some(found), _) => Lookup::Split(found),
        (None, Some(_)) => Lookup::Missing,
        (None, None) => Lookup::Unsplit(Format::Folder(path.to_path_buf())),
    }
}

fn known_split(path: &Path, split: Split) -> Option<Format> {
    let named = |end: &str| split.names().iter().map(|name| path.join(format!("{name}{end}"))).collect::<Vec<PathBuf>>();
    if let Some(files) = idx::find(path, split) {
        return Some(Format::Idx(files));
    }
    if let Some((kind, files)) = cifar::find(path, split) {
        return Some(Format::Cifar(kind, files));
    }
    let archive = named(".tar").into_iter().find(|path| path.is_file()).map(Format::Archive);
    // a class may be named `test`, but only a split contains folders
    archive.or_else(|| named("").into_iter().find(|path| has_folders(path)).map(Format::Folder))
}

fn has_folders(path: &Path) -> bool {
    std::fs::read_dir(path).is_ok_and(|mut entries| entries.any(|entry| entry.is_ok_and(|entry| entry.path().is_dir())))
}

/// A single file: an archive, IDX images (their labels are next to them), or a CIFAR file.
fn file(path: &Path, len: u64) -> Result<Lookup, DataError> {
    let unknown = || DataError::Unknown { path: path.to_path_buf() };
    let name = path.file_name().ok_or_else(unknown)?.to_string_lossy().into_owned();
    let ends = |end: &str| name.to_ascii_lowercase().ends_with(end);
    if [".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"].into_iter().any(ends) {
        return Ok(Lookup::Unsplit(Format::Archive(path.to_path_buf())));
    }
    if ends(".npy") {
        let reason = "contains only samples: add the labels after a comma: X.npy,Y.npy".to_owned();
        return Err(DataError::Invalid { path: path.display().to_string(), reason });
    }
    if name.contains("-images") && name.contains("idx3-ubyte") {
        let plain = name.replace("-images", "-labels").replace("idx3", "idx1");
        let plain = plain.trim_end_matches(".gz");
        let candidates = [path.with_file_name(plain), path.with_file_name(format!("{plain}.gz"))];
        let labels = candidates.iter().find(|path| path.is_file()).unwrap_or(&candidates[0]).clone();
        return Ok(Lookup::Unsplit(Format::Idx([path.to_path_buf(), labels])));
    }
    if ends(".bin") {
        return Ok(Lookup::Unsplit(Format::Cifar(cifar::kind_of(path, len), vec![path.to_path_buf()])));
    }
    Err(unknown())
}

/// A dataset, and whether it is one split of an archive. `None` if the archive lacks the requested split.
type Opened = Option<(Part, bool)>;

fn open(found: Format, split: Split, options: &DatasetOptions<'_>) -> Result<Opened, DataError> {
    let range = LabelRange::of(options.classes);
    let place = found.place();
    let dataset: Arc<dyn Dataset> = match found {
        Format::Arrays([samples, labels]) => Arc::new(Arrays::open(&samples, &labels, range)?),
        Format::Idx([images, labels]) => Arc::new(idx::open([&images, &labels], range)?),
        Format::Cifar(kind, files) => Arc::new(cifar::open(kind, &files, options)?),
        #[cfg(feature = "image")]
        Format::Folder(path) => Arc::new(ImageFiles::folder(&path, options)?),
        #[cfg(feature = "image")]
        Format::Archive(path) => {
            let (tree, folder) = Tree::open(&path)?.split(split);
            let Some(tree) = tree else { return Ok(None) };
            let place = folder.map_or(place.clone(), |folder| format!("{place} ({folder})"));
            let part = Part { dataset: Arc::new(ImageFiles::archive(&tree, options)?), place };
            return Ok(Some((part, folder.is_some())));
        }
        #[cfg(not(feature = "image"))]
        Format::Folder(path) | Format::Archive(path) => {
            let _ = split;
            let reason = "contains image files, but this build cannot decode images (it lacks the feature `image`)".to_owned();
            return Err(DataError::Invalid { path: path.display().to_string(), reason });
        }
    };
    Ok(Some((Part { dataset, place }, false)))
}
