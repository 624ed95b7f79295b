//! Where the front end reads files from: the disk, or memory.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::base::file::real_path;
use crate::base::mmap::Bytes;

/// A source of files. A language server has unsaved buffers over the disk, an artifact stores its sources, tests need no files.
pub trait FileSystem: Debug + Send + Sync {
    /// Reads a text, which may also come from a pipe. Of a file longer than `limit` bytes, the first `limit + 1` are returned.
    fn read(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>>;

    /// The contents of a regular file of any size.
    fn map(&self, path: &Path) -> io::Result<Bytes>;

    /// The identity of a file: the same for all paths that refer to it. The file need not exist.
    fn canonical(&self, path: &Path) -> PathBuf;

    /// The path that `path` in the file `from` refers to. It is relative to that file's folder, or without a file to the
    /// working directory.
    fn resolve(&self, from: Option<&Path>, path: &str) -> PathBuf {
        from.and_then(Path::parent).map_or_else(|| PathBuf::from(path), |folder| folder.join(path))
    }
}

/// The file system of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl FileSystem for Disk {
    fn read(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        // one byte more than the limit reveals larger files, whatever length the file reports
        std::fs::File::open(path)?.take(limit as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn map(&self, path: &Path) -> io::Result<Bytes> {
        Bytes::map(path)
    }

    fn canonical(&self, path: &Path) -> PathBuf {
        real_path(path).unwrap_or_else(|| path.to_path_buf())
    }
}

/// Files in memory: alone, or over other files, which they shadow.
#[derive(Clone, Debug, Default)]
pub struct MemoryFiles {
    files: BTreeMap<PathBuf, Bytes>,
    under: Option<Arc<dyn FileSystem>>,
}

impl MemoryFiles {
    /// No files yet, over those of another file system.
    pub fn over(under: Arc<dyn FileSystem>) -> MemoryFiles {
        MemoryFiles { files: BTreeMap::new(), under: Some(under) }
    }

    /// Adds a file, or replaces its contents.
    pub fn insert(&mut self, path: impl AsRef<Path>, contents: impl Into<Vec<u8>>) {
        self.files.insert(self.canonical(path.as_ref()), Bytes::from(contents.into()));
    }

    /// Removes a file, so that the one under it is read again.
    pub fn remove(&mut self, path: impl AsRef<Path>) {
        self.files.remove(&self.canonical(path.as_ref()));
    }
}

impl FileSystem for MemoryFiles {
    fn read(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
        match (self.files.get(&self.canonical(path)), &self.under) {
            (Some(bytes), _) => Ok(bytes[..bytes.len().min(limit.saturating_add(1))].to_vec()),
            (None, Some(under)) => under.read(path, limit),
            (None, None) => Err(missing()),
        }
    }

    fn map(&self, path: &Path) -> io::Result<Bytes> {
        match (self.files.get(&self.canonical(path)), &self.under) {
            (Some(bytes), _) => Ok(bytes.clone()),
            (None, Some(under)) => under.map(path),
            (None, None) => Err(missing()),
        }
    }

    fn canonical(&self, path: &Path) -> PathBuf {
        self.under.as_ref().map_or_else(|| normalized(path), |under| under.canonical(path))
    }
}

fn missing() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "no such file")
}

/// A path without `.`, and without `..` after a folder, by the names alone: symbolic links are not followed.
pub fn normalized(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match (part, out.components().next_back()) {
            (Component::CurDir, _) | (Component::ParentDir, Some(Component::RootDir)) => {}
            (Component::ParentDir, Some(Component::Normal(_))) => {
                out.pop();
            }
            _ => out.push(part),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(files: &dyn FileSystem, path: &str) -> Option<String> {
        files.read(path.as_ref(), 100).ok().map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn names_alone_normalize_a_path() {
        for (path, expected) in
            [("a/./b", "a/b"), ("a/b/../c", "a/c"), ("../a/..", ".."), ("../../a", "../../a"), ("/../a", "/a"), ("./a/..", "")]
        {
            assert_eq!(normalized(path.as_ref()), Path::new(expected), "{path}");
        }
    }

    #[test]
    fn a_path_is_relative_to_the_file_that_names_it() {
        let path = |from: Option<&str>, path| MemoryFiles::default().resolve(from.map(Path::new), path);
        assert_eq!(path(Some("nets/a.resnet"), "../b.resnet"), Path::new("nets/../b.resnet"));
        assert_eq!(path(Some("a.resnet"), "b.resnet"), Path::new("b.resnet"));
        assert_eq!(path(Some("nets/a.resnet"), "/b.resnet"), Path::new("/b.resnet"));
        assert_eq!(path(None, "b.resnet"), Path::new("b.resnet"));
    }

    #[test]
    fn memory_alone_has_no_other_files() {
        let mut files = MemoryFiles::default();
        files.insert("a/x.txt", "abcdef");
        assert_eq!(text(&files, "a/b/../x.txt").as_deref(), Some("abcdef"));
        assert_eq!(files.read("a/x.txt".as_ref(), 2).unwrap(), b"abc");
        assert_eq!(&*files.map("a/x.txt".as_ref()).unwrap(), b"abcdef");
        assert_eq!(files.read("Cargo.toml".as_ref(), 9).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(files.map("Cargo.toml".as_ref()).is_err());
    }

    #[test]
    fn a_buffer_shadows_a_file_on_disk_under_any_path() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        let path = dir.path().join("a.txt");
        std::fs::write(&path, "saved").unwrap();
        let mut files = MemoryFiles::over(Arc::new(Disk));
        let other = dir.path().join("sub/../a.txt").display().to_string();
        assert_eq!(text(&files, &other).as_deref(), Some("saved"));
        files.insert(&path, "unsaved");
        assert_eq!(text(&files, &other).as_deref(), Some("unsaved"));
        assert_eq!(&*files.map(&path).unwrap(), b"unsaved");
        files.remove(&other);
        assert_eq!(text(&files, &other).as_deref(), Some("saved"));
        // a buffer that was never saved
        files.insert(dir.path().join("new.txt"), "new");
        assert_eq!(text(&files, &dir.path().join("sub/../new.txt").display().to_string()).as_deref(), Some("new"));
    }

    #[test]
    fn the_disk_reads_one_byte_more_than_the_limit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.txt");
        std::fs::write(&path, "0123456789").unwrap();
        assert_eq!(Disk.read(&path, 4).unwrap(), b"01234");
        assert_eq!(Disk.read(&path, 10).unwrap().len(), 10);
        assert!(Disk.read(dir.path(), 4).is_err() && Disk.map(dir.path()).is_err());
    }
}
