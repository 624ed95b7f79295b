//! Files mapped into memory, and shared slices of bytes that may lie in one.
//!
//! The hazard of a mapped file: it shows whatever the file holds at the moment of reading. If another process writes to it, values
//! change under us; if another process truncates it, touching a page behind the new end kills this process (SIGBUS). We write files
//! by renaming a finished one into place ([`crate::base::file`]), which leaves existing maps on the old contents, and so do
//! the common tools that download weights. Nothing here depends on two reads of a mapped byte being equal for memory safety: every
//! check on untrusted numbers is made on a copied number.

use std::fs::File;
use std::io;
use std::ops::{Deref, Range};
use std::path::Path;
use std::sync::Arc;

/// A huge page, in which Linux may map a file: see [`crate::base::file`].
#[cfg(unix)]
const HUGE: usize = 2 << 20;

/// Bytes that are shared, cheap to clone and to slice: owned, or those of a mapped file.
#[derive(Clone)]
pub struct Bytes {
    owner: Arc<Owner>,
    range: Range<usize>,
}

enum Owner {
    Mapped(memmap2::Mmap),
    Owned(Vec<u8>),
}

impl Owner {
    fn all(&self) -> &[u8] {
        match self {
            Owner::Mapped(map) => map,
            Owner::Owned(bytes) => bytes,
        }
    }
}

impl Bytes {
    /// Maps a regular file, read-only. An empty file yields no bytes. Pipes, devices and folders are refused, since they have no size.
    pub fn map(path: &Path) -> io::Result<Bytes> {
        // asked before opening: opening a named pipe waits for a writer
        let kind = std::fs::metadata(path)?;
        if kind.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a folder"));
        }
        if !kind.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "is not a regular file"));
        }
        let file = File::open(path)?;
        if file.metadata()?.len() == 0 {
            return Ok(Bytes::from(Vec::new()));
        }
        // SAFETY: the map is read-only and private to this type, which hands out `&[u8]` alone. That other processes may change
        // the file meanwhile is the hazard described at the top of this module; it is the price of mapping, and accepted there.
        let map = unsafe { memmap2::Mmap::map(&file)? };
        let range = 0..map.len();
        Ok(Bytes { owner: Arc::new(Owner::Mapped(map)), range })
    }

    /// A part of these bytes; `None` where the range is not within them.
    pub fn slice(&self, range: Range<usize>) -> Option<Bytes> {
        if range.start > range.end || range.end > self.len() {
            return None;
        }
        let start = self.range.start + range.start;
        Some(Bytes { owner: Arc::clone(&self.owner), range: start..start + range.len() })
    }

    /// Says that these bytes will not be read soon: those of a mapped file leave memory, and come back from the file (in practice
    /// from the system's cache of it) when they are read again. Owned bytes stay. Neighbors that may share a huge page go too:
    /// one that stayed would keep all of it.
    pub fn release(&self) {
        #[cfg(unix)]
        if let Owner::Mapped(map) = &*self.owner {
            let start = self.range.start / HUGE * HUGE;
            let len = self.range.end.next_multiple_of(HUGE).min(map.len()) - start;
            // SAFETY: the map is of a file and never written, so that dropped pages come back with the same contents
            let advised = unsafe { map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start, len) };
            // advice alone: where the system does not take it, nothing is lost
            let _ = advised;
        }
    }

    /// Whether they lie in a mapped file, and so cost no memory of their own until read.
    pub fn is_mapped(&self) -> bool {
        matches!(*self.owner, Owner::Mapped(_))
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Bytes {
        let range = 0..bytes.len();
        Bytes { owner: Arc::new(Owner::Owned(bytes)), range }
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.owner.all()[self.range.clone()]
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes{}", self.len(), if self.is_mapped() { ", mapped" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_stay_within() {
        let bytes = Bytes::from((0..10).collect::<Vec<u8>>());
        let middle = bytes.slice(2..8).unwrap();
        assert_eq!(&*middle, [2, 3, 4, 5, 6, 7]);
        assert_eq!(&*middle.slice(1..3).unwrap(), [3, 4]);
        assert_eq!(middle.slice(6..6).unwrap().len(), 0);
        assert!(middle.slice(0..7).is_none());
        #[allow(clippy::reversed_empty_ranges)] // what a hostile header would ask for
        let reversed = middle.slice(3..2);
        assert!(reversed.is_none());
    }

    #[test]
    #[cfg(unix)]
    fn released_bytes_are_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, (0..100_000u32).map(|i| i as u8).collect::<Vec<u8>>()).unwrap();
        let part = Bytes::map(&path).unwrap().slice(5000..90_000).unwrap();
        let before = part.to_vec();
        part.release();
        assert_eq!(*part, before);
    }

    #[test]
    fn maps_files_and_refuses_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, b"abc").unwrap();
        let bytes = Bytes::map(&path).unwrap();
        assert!(bytes.is_mapped());
        assert_eq!(&*bytes, b"abc");
        std::fs::write(&path, b"").unwrap();
        assert_eq!(Bytes::map(&path).unwrap().len(), 0);
        assert!(Bytes::map(dir.path()).is_err());
        assert!(Bytes::map(&dir.path().join("none")).is_err());
        #[cfg(unix)]
        assert!(Bytes::map(Path::new("/dev/zero")).is_err());
    }
}
