//! Images in a tar archive, read where they lie: the archive is mapped and never unpacked.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use tar::{Archive, EntryType};

use super::folder::is_image;
use super::open::part_names;
use super::{DataError, Split};
use crate::base::mmap::Bytes;

/// The images and folders of an archive. Leading folders that all images share are left out of their names, as far as a folder for the
/// class remains.
pub(super) struct Tree {
    path: PathBuf,
    bytes: Bytes,
    /// Where each image lies. Of two members of one name the later holds, as it does when an archive is unpacked.
    pictures: BTreeMap<PathBuf, Range<usize>>,
    /// Folders, those without images too.
    folders: Vec<PathBuf>,
    /// The leading folders.
    lead: PathBuf,
}

impl Tree {
    /// Reads the headers of all members.
    pub fn open(path: &Path) -> Result<Tree, DataError> {
        let bytes = Bytes::map(path).map_err(|source| DataError::Io { path: path.to_path_buf(), source })?;
        let invalid = |reason: String| DataError::Invalid { path: path.display().to_string(), reason };
        if bytes.starts_with(&[0x1f, 0x8b]) || bytes.starts_with(b"BZh") || bytes.starts_with(b"\xfd7zXZ") {
            return Err(invalid(
                "is compressed, and the members of an archive are read where they lie: decompress it first".to_owned(),
            ));
        }
        let damaged = |error: std::io::Error| invalid(format!("is damaged or no tar archive: {error}"));
        let (mut pictures, mut folders, mut end) = (BTreeMap::new(), Vec::new(), 0);
        let mut archive = Archive::new(Cursor::new(&*bytes));
        for entry in archive.entries_with_seek().map_err(damaged)? {
            let entry = entry.map_err(damaged)?;
            let name = clean(&entry.path().map_err(damaged)?);
            let member = member(entry.raw_file_position(), entry.size(), bytes.len());
            let Some(member) = member else {
                return Err(invalid(format!("is cut off within its member `{}`", name.display())));
            };
            end = member.end.next_multiple_of(512);
            let hidden = name.components().any(|part| part.as_os_str().to_string_lossy().starts_with('.'));
            if hidden || name.as_os_str().is_empty() {
                continue;
            }
            match entry.header().entry_type() {
                EntryType::Directory => folders.push(name),
                EntryType::Regular | EntryType::Continuous if is_image(&name) => {
                    pictures.insert(name, member);
                }
                EntryType::Link | EntryType::Symlink if is_image(&name) => {
                    return Err(invalid(format!("holds a link in place of the image `{}`", name.display())));
                }
                // notes, and what only unpacking needs
                _ => {}
            }
        }
        // an archive ends with blocks of zeros: one without was cut between two members
        if end.saturating_add(512) > bytes.len() {
            return Err(invalid("is cut off, or no tar archive".to_owned()));
        }
        if pictures.is_empty() {
            return Err(invalid("holds no images (.jpg, .jpeg, .png)".to_owned()));
        }
        let lead = lead(pictures.keys());
        Ok(Tree { path: path.to_path_buf(), bytes, pictures, folders, lead }.within(Path::new("")))
    }

    /// The tree below a folder.
    fn within(self, folder: &Path) -> Tree {
        let lead = self.lead.join(folder);
        let below = |path: &PathBuf| path.strip_prefix(&lead).ok().map(Path::to_path_buf);
        let pictures = self.pictures.iter().filter_map(|(path, at)| Some((below(path)?, at.clone()))).collect();
        let folders = self.folders.iter().filter_map(below).collect();
        Tree { pictures, folders, lead: PathBuf::new(), path: self.path.join(lead), bytes: self.bytes }
    }

    /// The archive's bytes, in which the images lie.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// What messages call a member.
    pub fn full_name(&self, name: &Path) -> PathBuf {
        self.path.join(name)
    }

    /// The part of an archive that has a folder for each part; the whole archive where it has none, and `None` for a part that is missing.
    pub fn part(self, split: Split) -> (Option<Tree>, bool) {
        let tops: std::collections::BTreeSet<&str> = self.pictures.keys().filter_map(|path| top(path)).collect();
        let names = |split| part_names(split).iter().copied();
        let known = |name: &&str| names(Split::Train).chain(names(Split::Test)).any(|part| part == *name);
        if tops.is_empty() || !tops.iter().all(known) || self.pictures.keys().any(|path| path.components().count() < 3) {
            return (Some(self), false);
        }
        let found = names(split).find(|name| tops.contains(name));
        (found.map(|name| self.within(Path::new(name))), true)
    }

    /// The class folders, sorted, and each with its images, sorted.
    pub fn classes(&self) -> BTreeMap<String, Vec<(PathBuf, Range<usize>)>> {
        let mut classes: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for name in self.folders.iter().filter_map(|path| top(path)) {
            classes.entry(name.to_owned()).or_default();
        }
        for (path, at) in &self.pictures {
            // an image beside the class folders has no class, as in a folder on the disk
            if let Some(name) = top(path).filter(|_| path.components().count() > 1) {
                classes.entry(name.to_owned()).or_default().push((path.clone(), at.clone()));
            }
        }
        classes
    }
}

/// The bytes of a member, where they lie within the archive.
fn member(start: u64, len: u64, whole: usize) -> Option<Range<usize>> {
    let start = usize::try_from(start).ok()?;
    let end = start.checked_add(usize::try_from(len).ok()?)?;
    (end <= whole).then_some(start..end)
}

/// A member's name without what leads elsewhere: it names a member, and no file is ever opened by it.
fn clean(path: &Path) -> PathBuf {
    path.components().filter(|part| matches!(part, Component::Normal(_))).collect()
}

fn top(path: &Path) -> Option<&str> {
    path.components().next()?.as_os_str().to_str()
}

/// The folders that lead all names and are followed by a folder and a file at least.
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
