//! Images in folders: a folder a class, or any files and folders.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::DatasetOptions;
use super::classes::{Classes, classes};

/// The deepest nesting of folders that is entered.
const MAX_DEPTH: usize = 32;

/// Why a dataset cannot be used.
#[derive(Debug, Error)]
pub enum FolderError {
    /// The file system refused.
    #[error("cannot read `{}`: {source}", path.display())]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No class folder in it.
    #[error("`{}` has no folders: a dataset has a folder for each class, with its images inside", path.display())]
    NoClasses {
        /// The folder.
        path: PathBuf,
    },
    /// A class without an image.
    #[error("the class folder `{}` holds no images (.jpg, .jpeg, .png)", path.display())]
    EmptyClass {
        /// The folder.
        path: PathBuf,
    },
    /// A class folder that the network has no label for.
    #[error("the class folder `{folder}` is none of the labels: {labels}")]
    UnknownClass {
        /// Its name.
        folder: String,
        /// Some of the labels.
        labels: String,
    },
    /// A class folder called as a synset that ImageNet's 1 000 classes lack, where others are among them.
    #[error("the class folder `{folder}` is none of ImageNet's 1 000 classes, which the others are")]
    UnknownSynset {
        /// Its name.
        folder: String,
    },
}

/// A dataset of a folder for each class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// The names of the classes by their index.
    pub classes: Vec<String>,
    /// Each image with the index of its class, class by class, files sorted by name.
    pub items: Vec<(PathBuf, usize)>,
}

impl Folder {
    /// Lists a dataset for a network with these labels (possibly none) and so many outputs. Where the folders' names are labels, a
    /// class has its label's index; where the network has 1 000 outputs and folders are called as ImageNet's synsets, it has the index
    /// that ImageNet gives it; else the folders are counted in sorted order, as torchvision's `ImageFolder` does.
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
            let images = images(std::slice::from_ref(&folder))?;
            if images.is_empty() {
                return Err(FolderError::EmptyClass { path: folder });
            }
            items.extend(images.into_iter().map(|p| (p, class)));
        }
        Ok(Folder { classes: names, items })
    }
}

/// Whether a file is an image by its name.
pub(super) fn is_image(path: &Path) -> bool {
    path.extension().is_some_and(|e| ["jpg", "jpeg", "png"].iter().any(|known| e.eq_ignore_ascii_case(known)))
}

/// The images among files and folders: files as they are given, folders searched for `.jpg`, `.jpeg` and `.png`, sorted by name;
/// hidden ones are passed over.
pub fn images(paths: &[PathBuf]) -> Result<Vec<PathBuf>, FolderError> {
    let mut out = Vec::new();
    for path in paths {
        if path.is_dir() {
            search(path, MAX_DEPTH, &mut BTreeSet::new(), &mut out)?;
        } else {
            out.push(path.clone());
        }
    }
    Ok(out)
}

/// `seen` are the folders that were entered, by their true paths: links may lead in circles, and along many ways to one folder.
fn search(folder: &Path, depth: usize, seen: &mut BTreeSet<PathBuf>, out: &mut Vec<PathBuf>) -> Result<(), FolderError> {
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
            () if is_image(&path) => out.push(path),
            () => {}
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
    fn classes_are_sorted_or_follow_the_labels() {
        let dir = tree(&["cat/b.jpg", "cat/a.PNG", "cat/.hidden.jpg", "cat/notes.txt", "ant/x.jpeg", ".git/y.jpg"]);
        let plain = Folder::open(dir.path(), &DatasetOptions::default()).unwrap();
        assert_eq!(plain.classes, ["ant", "cat"]);
        let indices: Vec<usize> = plain.items.iter().map(|(_, c)| *c).collect();
        assert_eq!(indices, [0, 1, 1]);
        assert!(plain.items[1].0.ends_with("cat/a.PNG"));
        let labeled = Folder::open(
            dir.path(),
            &DatasetOptions { labels: &["cat".into(), "dog".into(), "ant".into()], ..DatasetOptions::default() },
        )
        .unwrap();
        assert_eq!(labeled.items.iter().map(|(_, c)| *c).collect::<Vec<_>>(), [2, 0, 0]);
        let wrong =
            Folder::open(dir.path(), &DatasetOptions { labels: &["cat".into(), "dog".into()], ..DatasetOptions::default() });
        assert!(matches!(wrong, Err(FolderError::UnknownClass { .. })));
    }

    #[test]
    #[cfg(unix)]
    fn links_in_circles_are_followed_once() {
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
