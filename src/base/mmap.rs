//! Memory-mapped files, and shared byte slices that may point into one.
//!
//! A mapped file shows whatever the file holds at the moment of reading. If another process writes to it, values change under
//! us; if another process truncates it, accessing a page past the new end kills this process (SIGBUS). We write files by
//! renaming a finished file into place ([`crate::base::file`]), which leaves existing mappings on the old contents; so do
//! common download tools. Memory safety never depends on two reads of a mapped byte being equal: every check on an untrusted
//! number is made on a copy.

use std::fs::File;
use std::io;
use std::ops::{Deref, Range};
use std::path::Path;
use std::sync::Arc;

/// A huge page, which Linux may use to map a file: see [`crate::base::file`].
pub const HUGE_PAGE: usize = 2 << 20;

/// Shared bytes, owned or from a mapped file. Cheap to clone and to slice.
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
    /// Maps a regular file, read-only. An empty file yields no bytes. Pipes, devices and folders are rejected, since they have
    /// no size.
    pub fn map(path: &Path) -> io::Result<Bytes> {
        // checked before opening, because opening a named pipe blocks until there is a writer
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
        // SAFETY: the mapping is read-only and private to this type, which only hands out `&[u8]`. Other processes may change
        // the file meanwhile: see the module documentation.
        let map = unsafe { memmap2::Mmap::map(&file)? };
        #[cfg(target_os = "linux")]
        if map.len() >= HUGE_PAGE {
            // this is only a hint: file systems without huge pages ignore it
            let _ = map.advise(memmap2::Advice::HugePage);
        }
        let range = 0..map.len();
        Ok(Bytes { owner: Arc::new(Owner::Mapped(map)), range })
    }

    /// A subrange of these bytes; `None` if `range` is out of bounds.
    pub fn slice(&self, range: Range<usize>) -> Option<Bytes> {
        if range.start > range.end || range.end > self.len() {
            return None;
        }
        let start = self.range.start + range.start;
        Some(Bytes { owner: Arc::clone(&self.owner), range: start..start + range.len() })
    }

    /// Hints that these bytes will not be read soon. Pages of a mapped file are dropped from memory and read from the file (in
    /// practice from the page cache) on the next access. Owned bytes are kept. Neighboring bytes in the same huge page are
    /// dropped too, since any of them would keep the whole page.
    pub fn release(&self) {
        #[cfg(unix)]
        if let Owner::Mapped(map) = &*self.owner {
            let start = self.range.start / HUGE_PAGE * HUGE_PAGE;
            let len = self.range.end.next_multiple_of(HUGE_PAGE).min(map.len()) - start;
            // SAFETY: the mapping is of a file and never written, so dropped pages come back with the same contents
            let advised = unsafe { map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start, len) };
            // this is only advice: nothing is lost where the system ignores it
            let _ = advised;
        }
    }

    /// Whether they are in a mapped file, and so use no memory until read.
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

/// Asks the system to move `values` to huge pages, as far as they cover whole ones. Nothing happens where it cannot.
pub fn collapse(values: &[f32]) {
    #[cfg(target_os = "linux")]
    {
        let bytes = size_of_val(values);
        let before = values.as_ptr().cast::<u8>().align_offset(HUGE_PAGE);
        let whole = bytes.saturating_sub(before) / HUGE_PAGE * HUGE_PAGE;
        if whole > 0 {
            let start = values.as_ptr().cast::<u8>().wrapping_add(before).cast_mut();
            // SAFETY: the range is within `values`; the system moves it without changing what it holds. Errors are its refusals.
            unsafe { libc::madvise(start.cast(), whole, libc::MADV_COLLAPSE) };
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = values;
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
        #[allow(clippy::reversed_empty_ranges)] // as a malformed header might request
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
    fn collapsed_values_are_the_same() {
        let values: Vec<f32> = (0..3 * HUGE_PAGE / 4 + 7).map(|i| i as f32).collect();
        let before = values.clone();
        collapse(&values);
        collapse(&values[1..100]);
        assert_eq!(values, before);
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
