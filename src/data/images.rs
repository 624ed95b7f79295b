//! Images in files, a folder for each class, on the disk or in an archive.

use std::collections::BTreeSet;
use std::io::Cursor;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::archive::Tree;
use super::classes::{Classes, classes};
use super::folder::{Folder, FolderError};
use super::image;
use super::labels::Range as Labels;
use super::{DataError, Dataset, DatasetOptions, Pixels, Sample};
use crate::base::mmap::Bytes;

/// An image that was not read yet.
struct Item {
    /// The file, or the archive's path and the member's name.
    path: PathBuf,
    class: u32,
    /// Where it lies in the archive.
    within: Range<usize>,
}

/// Images that are decoded when they are read, and kept so where all of them take little memory.
pub(super) struct Pictures {
    items: Vec<Item>,
    classes: Vec<String>,
    archive: Option<Bytes>,
    kept: Kept,
}

impl Pictures {
    /// A folder on the disk.
    pub fn folder(path: &Path, options: &DatasetOptions<'_>) -> Result<Pictures, DataError> {
        let folder = Folder::open(path, options)?;
        let items = folder.items.into_iter().map(|(path, class)| (path, class, 0..0)).collect();
        Pictures::new(&path.display().to_string(), items, folder.classes, None, options)
    }

    /// An archive, or a part of it.
    pub fn archive(tree: &Tree, options: &DatasetOptions<'_>) -> Result<Pictures, DataError> {
        let found = tree.classes();
        let root = tree.full_name(Path::new(""));
        if let Some((name, _)) = found.iter().find(|(_, pictures)| pictures.is_empty()) {
            return Err(FolderError::EmptyClass { path: root.join(name) }.into());
        }
        let folders: Vec<String> = found.keys().cloned().collect();
        if folders.is_empty() {
            return Err(FolderError::NoClasses { path: root }.into());
        }
        let Classes { indices, names } = classes(&folders, options)?;
        let items = found
            .into_values()
            .zip(indices)
            .flat_map(|(pictures, class)| pictures.into_iter().map(move |(name, within)| (name, class, within)));
        let items = items.map(|(name, class, within)| (tree.full_name(&name), class, within)).collect();
        Pictures::new(&root.display().to_string(), items, names, Some(tree.bytes().clone()), options)
    }

    fn new(
        path: &str,
        items: Vec<(PathBuf, usize, Range<usize>)>,
        names: Vec<String>,
        archive: Option<Bytes>,
        options: &DatasetOptions<'_>,
    ) -> Result<Pictures, DataError> {
        // no folder is empty
        let folders = items.iter().map(|(_, class, _)| class).collect::<BTreeSet<_>>().len();
        if let Some(classes) = options.classes.filter(|&classes| folders > classes) {
            return Err(DataError::Classes { path: path.to_owned(), folders, classes });
        }
        // labels may be more than the network's outputs
        let classes = Labels::of(options.classes).hold(path, items.iter().map(|(_, class, _)| *class as i64))?;
        let items = items.into_iter().zip(classes).map(|((path, _, within), class)| Item { path, class, within });
        let mut pictures = Pictures { items: items.collect(), classes: names, archive, kept: Kept::default() };
        if pictures.items.is_empty() {
            return Err(DataError::Empty { path: path.to_owned() });
        }
        // the first image stands for all: whether they are small is a matter of magnitude, and the memory is bounded in any case
        if let Ok([channels, height, width]) = pictures.size(0)
            && (channels * height).saturating_mul(width).saturating_mul(pictures.items.len()) <= options.keep
        {
            pictures.kept = Kept::new(pictures.items.len(), options.keep);
        }
        Ok(pictures)
    }

    fn item(&self, index: usize) -> Result<&Item, DataError> {
        self.items.get(index).ok_or_else(|| super::error::beyond(format!("sample {index}")))
    }

    fn bytes(&self, item: &Item) -> Option<Cursor<&[u8]>> {
        self.archive.as_ref().map(|archive| Cursor::new(archive.get(item.within.clone()).unwrap_or(&[])))
    }
}

impl Dataset for Pictures {
    fn len(&self) -> usize {
        self.items.len()
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, index: usize) -> u32 {
        self.items.get(index).map_or(0, |item| item.class)
    }

    fn read(&self, index: usize) -> Result<Sample, DataError> {
        if let Some(pixels) = self.kept.get(index) {
            return Ok(Sample::Pixels(pixels.clone()));
        }
        let item = self.item(index)?;
        let pixels = match self.bytes(item) {
            Some(bytes) => image::decode(bytes, &item.path),
            None => image::load(&item.path),
        }?;
        self.kept.put(index, &pixels);
        Ok(Sample::Pixels(pixels))
    }

    fn name(&self, index: usize) -> String {
        self.items.get(index).map_or_else(|| format!("sample {index}"), |item| item.path.display().to_string())
    }

    /// The channels are those of color; a gray image becomes what the network reads.
    fn size(&self, index: usize) -> Result<[usize; 3], DataError> {
        if let Some(pixels) = self.kept.get(index) {
            return Ok([3, pixels.height, pixels.width]);
        }
        let item = self.item(index)?;
        let [height, width] = match self.bytes(item) {
            Some(bytes) => image::size_of(bytes, &item.path),
            None => image::size(&item.path),
        }?;
        Ok([3, height, width])
    }

    fn common_size(&self) -> Option<[usize; 3]> {
        None
    }
}

/// Decoded images, up to a number of bytes.
#[derive(Default)]
struct Kept {
    cells: Box<[OnceLock<Pixels>]>,
    left: AtomicUsize,
}

impl Kept {
    fn new(len: usize, bytes: usize) -> Kept {
        Kept { cells: (0..len).map(|_| OnceLock::new()).collect(), left: AtomicUsize::new(bytes) }
    }

    fn get(&self, index: usize) -> Option<&Pixels> {
        self.cells.get(index)?.get()
    }

    fn put(&self, index: usize, pixels: &Pixels) {
        let Some(cell) = self.cells.get(index) else { return };
        let take = |left: usize| left.checked_sub(pixels.data.len());
        if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
            // of two threads that read the same image one keeps it
            let _ = cell.set(pixels.clone());
        }
    }
}
