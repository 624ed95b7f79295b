//! Images in folders: a dataset with one folder per class, or any list of files and folders.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::classes::{Classes, classes};
use super::{DatasetOptions, FolderError};

/// The maximum depth of nested folders.
const MAX_DEPTH: usize = 32;

/// A dataset with one folder per class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// The class names, by index.
    pub classes: Vec<String>,
    /// Each image with its class index, class by class, sorted by name.
    pub items: Vec<(PathBuf, usize)>,
}

impl Folder {
    /// Lists a dataset. `options` holds the network's class names (possibly none) and its number of outputs. A folder that is named
    /// like a class has its index. If the network has 1 000 outputs and folders are named like ImageNet's synsets, they have ImageNet's indices.
    /// Otherwise folders are numbered in sorted order, as in torchvision's `ImageFolder`.
    pub fn open(path: &Path, options: &DatasetOptions<'_>) -> Result<Folder, FolderError> {
        let io = |source| FolderError::Io { path: path.to_path_buf(), source };
        let mut folders = Vec::new();
        for entry in std::fs::read_dir(path).map_err(io)? {
            let entry = entry.map_err(io)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.starts_with('.') && entry.path().is_dir() {
                folders.push(name);
            }
        }
        if folders.is_empty() {
            return Err(FolderError::NoClasses { path: path.to_path_buf() });
        }
        folders.sort();
        let Classes { indices, names } = classes(&folders, options)?;
        let mut items = Vec::new();
        for (name, class) in folders.iter().zip(indices) {
            let folder = path.join(name);
            let images = image_files(std::slice::from_ref(&folder))?;
            if images.is_empty() {
                return Err(FolderError::EmptyClass { path: folder });
            }
            items.extend(images.into_iter().map(|path| (path, class)));
        }
        Ok(Folder { classes: names, items })
    }
}

/// The extensions of images: those of torchvision's `ImageFolder` in formats that are read, and GIF.
pub const ENDINGS: [&str; 8] = ["jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff", "gif"];

/// Whether a file has the extension of an image.
pub(super) fn is_image_file(path: &Path) -> bool {
    path.extension().is_some_and(|e| ENDINGS.iter().any(|known| e.eq_ignore_ascii_case(known)))
}

/// Lists images. Files are taken as given; folders are searched recursively for files with the [extensions](ENDINGS) of images, sorted by
/// name, without hidden files.
pub fn image_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, FolderError> {
    Ok(found(paths)?.images)
}

/// What files and folders hold.
#[derive(Debug, Default)]
pub struct Found {
    /// The images.
    pub images: Vec<PathBuf>,
    /// The number of files in folders that do not have an image's extension.
    pub others: usize,
}

/// Like [`image_files`], and counts what is left out.
pub fn found(paths: &[PathBuf]) -> Result<Found, FolderError> {
    let mut out = Found::default();
    for path in paths {
        if path.is_dir() {
            search(path, MAX_DEPTH, &mut BTreeSet::new(), &mut out)?;
        } else {
            out.images.push(path.clone());
        }
    }
    Ok(out)
}

/// `seen` holds the canonical paths of the folders visited so far: links may form cycles, or reach a folder by several paths.
fn search(folder: &Path, depth: usize, seen: &mut BTreeSet<PathBuf>, out: &mut Found) -> Result<(), FolderError> {
    let io = |source| FolderError::Io { path: folder.to_path_buf(), source };
    if !seen.insert(folder.canonicalize().map_err(io)?) {
        return Ok(());
    }
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        entries.push(entry.map_err(io)?.path());
    }
    entries.sort();
    for path in entries {
        let hidden = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
        match () {
            () if hidden => {}
            () if path.is_dir() => {
                if depth > 0 {
                    search(&path, depth - 1, seen, out)?;
                }
            }
            () if is_image_file(&path) => out.images.push(path),
            () => out.others += 1,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        dir
    }

    #[test]
    fn classes_are_sorted_or_follow_the_class_names() {
        let dir = tree(&["cat/b.jpg", "cat/a.PNG", "cat/.hidden.jpg", "cat/notes.txt", "ant/x.jpeg", ".git/y.jpg"]);
        let plain = Folder::open(dir.path(), &DatasetOptions::default()).unwrap();
        assert_eq!(plain.classes, ["ant", "cat"]);
        let indices: Vec<usize> = plain.items.iter().map(|(_, c)| *c).collect();
        assert_eq!(indices, [0, 1, 1]);
        assert!(plain.items[1].0.ends_with("cat/a.PNG"));
        let labeled = Folder::open(
            dir.path(),
            &DatasetOptions { class_names: &["cat".into(), "dog".into(), "ant".into()], ..DatasetOptions::default() },
        )
        .unwrap();
        assert_eq!(labeled.items.iter().map(|(_, c)| *c).collect::<Vec<_>>(), [2, 0, 0]);
        let wrong =
            Folder::open(dir.path(), &DatasetOptions { class_names: &["cat".into(), "dog".into()], ..DatasetOptions::default() });
        assert!(matches!(wrong, Err(FolderError::UnknownClass { .. })));
    }

    #[test]
    #[cfg(unix)]
    fn links_that_form_cycles_are_followed_once() {
        let dir = tree(&["cat/a.jpg", "cat/more/b.jpg"]);
        for name in ["x", "y", "z"] {
            std::os::unix::fs::symlink(dir.path().join("cat"), dir.path().join("cat/more").join(name)).unwrap();
            std::os::unix::fs::symlink(dir.path().join("cat/more"), dir.path().join("cat").join(name)).unwrap();
        }
        assert_eq!(Folder::open(dir.path(), &DatasetOptions::default()).unwrap().items.len(), 2);
    }

    #[test]
    fn empty_datasets_are_errors() {
        assert!(matches!(Folder::open(tree(&["a.jpg"]).path(), &DatasetOptions::default()), Err(FolderError::NoClasses { .. })));
        assert!(matches!(
            Folder::open(tree(&["cat/a.txt"]).path(), &DatasetOptions::default()),
            Err(FolderError::EmptyClass { .. })
        ));
        assert!(matches!(Folder::open(Path::new("/nowhere"), &DatasetOptions::default()), Err(FolderError::Io { .. })));
    }
}
