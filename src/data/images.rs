//! Image files, a folder for each class, on disk or in an archive.

use std::collections::BTreeSet;
use std::io::Cursor;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::archive::Tree;
use super::classes::{Classes, classes};
use super::folder::Folder;
use super::image;
use super::labels::LabelRange;
use super::{DataError, Dataset, DatasetOptions, FolderError, Pixels, Sample};
use crate::base::mmap::Bytes;

/// An image file, and its class.
struct Item {
    /// The file, or the archive's path and the member's name.
    path: PathBuf,
    class: u32,
    /// Its bytes in the archive.
    within: Range<usize>,
}

/// A dataset of image files. They are decoded when read, and kept decoded if all of them fit in the memory allowed for that.
pub(super) struct ImageFiles {
    items: Vec<Item>,
    classes: Vec<String>,
    archive: Option<Bytes>,
    cache: Cache,
}

impl ImageFiles {
    /// A folder on disk.
    pub fn folder(path: &Path, options: &DatasetOptions<'_>) -> Result<ImageFiles, DataError> {
        let folder = Folder::open(path, options)?;
        let items = folder.items.into_iter().map(|(path, class)| (path, class, 0..0)).collect();
        ImageFiles::new(&path.display().to_string(), items, folder.classes, None, options)
    }

    /// An archive, or a split in it.
    pub fn archive(tree: &Tree, options: &DatasetOptions<'_>) -> Result<ImageFiles, DataError> {
        let found = tree.classes();
        let root = tree.full_name(Path::new(""));
        if let Some((name, _)) = found.iter().find(|(_, images)| images.is_empty()) {
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
            .flat_map(|(images, class)| images.into_iter().map(move |(name, within)| (name, class, within)));
        let items = items.map(|(name, class, within)| (tree.full_name(&name), class, within)).collect();
        ImageFiles::new(&root.display().to_string(), items, names, Some(tree.bytes().clone()), options)
    }

    fn new(
        path: &str,
        items: Vec<(PathBuf, usize, Range<usize>)>,
        names: Vec<String>,
        archive: Option<Bytes>,
        options: &DatasetOptions<'_>,
    ) -> Result<ImageFiles, DataError> {
        // each folder has an image
        let folders = items.iter().map(|(_, class, _)| class).collect::<BTreeSet<_>>().len();
        if let Some(classes) = options.classes.filter(|&classes| folders > classes) {
            return Err(DataError::Classes { path: path.to_owned(), folders, classes });
        }
        // labels may be more than the network's outputs
        let classes = LabelRange::of(options.classes).check(path, items.iter().map(|(_, class, _)| *class as i64))?;
        let items = items.into_iter().zip(classes).map(|((path, _, within), class)| Item { path, class, within });
        let mut images = ImageFiles { items: items.collect(), classes: names, archive, cache: Cache::default() };
        if images.items.is_empty() {
            return Err(DataError::Empty { path: path.to_owned() });
        }
        // the first image stands for all: whether they are small is a matter of magnitude, and the memory is bounded in any case
        if let Ok([channels, height, width]) = images.size(0)
            && (channels * height).saturating_mul(width).saturating_mul(images.items.len()) <= options.cache_bytes
        {
            images.cache = Cache::new(images.items.len(), options.cache_bytes);
        }
        Ok(images)
    }

    fn item(&self, index: usize) -> Result<&Item, DataError> {
        self.items.get(index).ok_or_else(|| super::error::out_of_range(format!("sample {index}")))
    }

    fn bytes(&self, item: &Item) -> Option<Cursor<&[u8]>> {
        self.archive.as_ref().map(|archive| Cursor::new(archive.get(item.within.clone()).unwrap_or(&[])))
    }
}

impl Dataset for ImageFiles {
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
        if let Some(pixels) = self.cache.get(index) {
            return Ok(Sample::Pixels(pixels.clone()));
        }
        let item = self.item(index)?;
        let pixels = match self.bytes(item) {
            Some(bytes) => image::decode(bytes, &item.path),
            None => image::load(&item.path),
        }?;
        self.cache.put(index, &pixels);
        Ok(Sample::Pixels(pixels))
    }

    fn name(&self, index: usize) -> String {
        self.items.get(index).map_or_else(|| format!("sample {index}"), |item| item.path.display().to_string())
    }

    /// Always 3 channels: gray images are converted to what the network reads.
    fn size(&self, index: usize) -> Result<[usize; 3], DataError> {
        if let Some(pixels) = self.cache.get(index) {
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

/// A cache of decoded images, up to a number of bytes.
#[derive(Default)]
struct Cache {
    cells: Box<[OnceLock<Pixels>]>,
    left: AtomicUsize,
}

impl Cache {
    fn new(len: usize, bytes: usize) -> Cache {
        Cache { cells: (0..len).map(|_| OnceLock::new()).collect(), left: AtomicUsize::new(bytes) }
    }

    fn get(&self, index: usize) -> Option<&Pixels> {
        self.cells.get(index)?.get()
    }

    fn put(&self, index: usize, pixels: &Pixels) {
        let Some(cell) = self.cells.get(index) else { return };
        let take = |left: usize| left.checked_sub(pixels.data.len());
        if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
            // if two threads read the same image, the first keeps it
            let _ = cell.set(pixels.clone());
        }
    }
}
