//! Images in a tar archive. The archive is memory-mapped, never unpacked.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use tar::{Archive, EntryType};

use super::folder::is_image_file;
use super::{DataError, Split};
use crate::base::mmap::Bytes;

/// The images and folders of an archive. Leading folders that all images share are stripped from their names, down to the class folder.
pub(super) struct Tree {
    path: PathBuf,
    bytes: Bytes,
    /// The byte range of each image. If two members have the same name, the later one wins, as when unpacking.
    images: BTreeMap<PathBuf, Range<usize>>,
    /// All folders, including those without images.
    folders: Vec<PathBuf>,
    /// The leading folders that are stripped.
    lead: PathBuf,
}

impl Tree {
    /// Reads the headers of all members.
    pub fn open(path: &Path) -> Result<Tree, DataError> {
        let bytes = Bytes::map(path).map_err(|source| DataError::Io { path: path.to_path_buf(), source })?;
        let invalid = |reason: String| DataError::Invalid { path: path.display().to_string(), reason };
        if bytes.starts_with(&[0x1f, 0x8b]) || bytes.starts_with(b"BZh") || bytes.starts_with(b"\xfd7zXZ") {
            return Err(invalid("is compressed, but images are read directly from the archive: decompress it first".to_owned()));
        }
        let damaged = |error: std::io::Error| invalid(format!("is damaged or not a tar archive: {error}"));
        let (mut images, mut folders, mut end) = (BTreeMap::new(), Vec::new(), 0);
        let mut archive = Archive::new(Cursor::new(&*bytes));
        for entry in archive.entries_with_seek().map_err(damaged)? {
            let entry = entry.map_err(damaged)?;
            let name = clean(&entry.path().map_err(damaged)?);
            let member = member(entry.raw_file_position(), entry.size(), bytes.len());
            let Some(member) = member else {
                return Err(invalid(format!("is truncated inside its member `{}`", name.display())));
            };
            end = member.end.next_multiple_of(512);
            let hidden = name.components().any(|part| part.as_os_str().to_string_lossy().starts_with('.'));
            if hidden || name.as_os_str().is_empty() {
                continue;
            }
            match entry.header().entry_type() {
                EntryType::Directory => folders.push(name),
                EntryType::Regular | EntryType::Continuous if is_image_file(&name) => {
                    images.insert(name, member);
                }
                EntryType::Link | EntryType::Symlink if is_image_file(&name) => {
                    return Err(invalid(format!("contains a link instead of the image `{}`", name.display())));
                }
                // other files, and entries that only unpacking needs
                _ => {}
            }
        }
        // an archive ends with blocks of zeros: without them, it was truncated between two members
        if end.saturating_add(512) > bytes.len() {
            return Err(invalid("is truncated or not a tar archive".to_owned()));
        }
        if images.is_empty() {
            return Err(invalid("contains no images (.jpg, .png and the like)".to_owned()));
        }
        let lead = lead(images.keys());
        Ok(Tree { path: path.to_path_buf(), bytes, images, folders, lead }.within(Path::new("")))
    }

    /// The subtree of a folder.
    fn within(self, folder: &Path) -> Tree {
        let lead = self.lead.join(folder);
        let below = |path: &PathBuf| path.strip_prefix(&lead).ok().map(Path::to_path_buf);
        let images = self.images.iter().filter_map(|(path, at)| Some((below(path)?, at.clone()))).collect();
        let folders = self.folders.iter().filter_map(below).collect();
        Tree { images, folders, lead: PathBuf::new(), path: self.path.join(lead), bytes: self.bytes }
    }

    /// The archive's bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The name of a member in messages.
    pub fn full_name(&self, name: &Path) -> PathBuf {
        self.path.join(name)
    }

    /// One split of an archive that has a folder for each split, and the name of its folder. Without such folders, the whole archive and no name;
    /// `None` if the split is missing.
    pub fn split(self, split: Split) -> (Option<Tree>, Option<&'static str>) {
        let tops: std::collections::BTreeSet<&str> = self.images.keys().filter_map(|path| top(path)).collect();
        let names = |split: Split| split.names().iter().copied();
        let known = |name: &&str| names(Split::Train).chain(names(Split::Test)).any(|known| known == *name);
        if tops.is_empty() || !tops.iter().all(known) || self.images.keys().any(|path| path.components().count() < 3) {
            return (Some(self), None);
        }
        let found = names(split).find(|name| tops.contains(name));
        (found.map(|name| self.within(Path::new(name))), found)
    }

    /// The class folders, sorted, and each with its images, sorted.
    pub fn classes(&self) -> BTreeMap<String, Vec<(PathBuf, Range<usize>)>> {
        let mut classes: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for name in self.folders.iter().filter_map(|path| top(path)) {
            classes.entry(name.to_owned()).or_default();
        }
        for (path, at) in &self.images {
            // an image outside the class folders has no class, as in a folder on disk
            if let Some(name) = top(path).filter(|_| path.components().count() > 1) {
                classes.entry(name.to_owned()).or_default().push((path.clone(), at.clone()));
            }
        }
        classes
    }
}

/// The byte range of a member within the archive.
fn member(start: u64, len: u64, whole: usize) -> Option<Range<usize>> {
    let start = usize::try_from(start).ok()?;
    let end = start.checked_add(usize::try_from(len).ok()?)?;
    (end <= whole).then_some(start..end)
}

/// A member's name without `..` and root components. It is only a name: no file is ever opened by it.
fn clean(path: &Path) -> PathBuf {
    path.components().filter(|part| matches!(part, Component::Normal(_))).collect()
}

fn top(path: &Path) -> Option<&str> {
    path.components().next()?.as_os_str().to_str()
}

/// The longest path of folders that all names begin with, leaving at least a folder and a file.
fn lead<'a>(names: impl Iterator<Item = &'a PathBuf> + Clone) -> PathBuf {
    let mut lead = PathBuf::new();
    loop {
        let mut below = names.clone().map(|name| name.strip_prefix(&lead).unwrap_or(name).components());
        let Some(first) = below.next().and_then(|mut parts| parts.next()) else { return lead };
        let shared = names.clone().all(|name| {
            let mut parts = name.strip_prefix(&lead).unwrap_or(name).components();
            parts.next() == Some(first) && parts.count() >= 2
        });
        if !shared {
            return lead;
        }
        lead.push(first);
    }
}
