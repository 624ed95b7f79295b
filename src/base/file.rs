//! Atomic file writes: a failure leaves no partial file behind. Also what all readers of files share.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// Size of one write, and its alignment in the file: a huge page on x86-64 and 64-bit ARM. Linux keeps data from one large
/// write together in the page cache, so a file written in such pieces can be mapped with huge pages. First access is then about
/// fifty times cheaper, and later accesses slightly cheaper.
const PIECE: usize = 2 << 20;

/// The first bytes of an artifact (`.rnx`).
pub const ARTIFACT_MAGIC: &[u8; 8] = b"RNXmodel";

/// Prefix of temporary file names.
const TEMPORARY: &str = ".resnetc-";

/// Removes temporary files that killed processes left in a folder. No other process may be writing there.
pub fn remove_leftovers(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(TEMPORARY) && entry.file_type()?.is_file() {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Writes a file completely or not at all, through a temporary file in the same folder that is renamed to the target. On any
/// error (full disk, read-only folder, an error from `write` itself) the temporary file is removed and the target is unchanged.
pub fn write_atomically<E: From<io::Error>>(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<(), E>) -> Result<(), E> {
    write_whole(path, false, write)
}

/// Like [`write_atomically`], but syncs the data to disk before the rename: after a machine crash the file is either the old or
/// the new one.
pub fn write_durably<E: From<io::Error>>(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<(), E>) -> Result<(), E> {
    write_whole(path, true, write)
}

fn write_whole<E: From<io::Error>>(
    path: &Path,
    durable: bool,
    write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<(), E> {
    let path = &target(path)?;
    let mut out = Pieces { file: beside(path)?, piece: Vec::new() };
    write(&mut out)?;
    out.flush()?;
    if durable {
        out.file.as_file().sync_all()?;
    }
    out.file.persist(path).map_err(|e| e.error)?;
    Ok(())
}

/// The canonical path of a file that need not exist yet; `None` if its folder does not exist.
pub fn real_path(path: &Path) -> Option<PathBuf> {
    std::fs::canonicalize(path).ok().or_else(|| Some(std::fs::canonicalize(folder_of(path)).ok()?.join(path.file_name()?)))
}

/// The folder of a file.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Checks that a file can be written, without touching it. Call it before long work starts.
pub fn probe(path: &Path) -> io::Result<()> {
    beside(&target(path)?).map(drop)
}

/// The file that a path refers to. Symbolic links are followed, so that a link remains a link.
fn target(path: &Path) -> io::Result<PathBuf> {
    let is_link = std::fs::symlink_metadata(path).is_ok_and(|kind| kind.is_symlink());
    let path = if is_link { std::fs::canonicalize(path)? } else { path.to_path_buf() };
    // renaming would replace a device such as `/dev/null` by a regular file when running as root
    match std::fs::metadata(&path) {
        Ok(kind) if kind.is_dir() => Err(io::Error::new(io::ErrorKind::IsADirectory, "is a folder")),
        Ok(kind) if !kind.is_file() => Err(io::Error::other("is not a regular file")),
        _ => Ok(path),
    }
}

/// Creates a temporary file in the same folder as `path`.
fn beside(path: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY);
    // temporary files are private by default; give the finished file the usual permissions (umask applies)
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder_of(path))
}

/// Buffers output and writes it in pieces of [`PIECE`] bytes.
struct Pieces {
    file: NamedTempFile,
    piece: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = &bytes[..bytes.len().min(PIECE - self.piece.len())];
        self.piece.extend_from_slice(taken);
        if self.piece.len() == PIECE {
            self.flush()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(&self.piece)?;
        self.piece.clear();
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_joined() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        for len in [0, PIECE - 1, PIECE, 3 * PIECE + 5] {
            let bytes: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
            write_atomically(&path, |out| bytes.chunks(700_001).try_for_each(|part| out.write_all(part))).unwrap();
            assert!(std::fs::read(&path).unwrap() == bytes, "{len}");
        }
    }

    #[test]
    fn leftovers_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        for name in [".resnetc-a1", "kept", ".kept"] {
            std::fs::write(dir.path().join(name), "half").unwrap();
        }
        remove_leftovers(dir.path()).unwrap();
        let names = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name());
        let mut names: Vec<_> = names.collect();
        names.sort();
        assert_eq!(names, [".kept", "kept"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        std::fs::write(&real, "old").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        write_atomically(&link, |out| out.write_all(b"new")).unwrap();
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(std::fs::read(&real).unwrap(), b"new");
        // a dangling link
        std::fs::remove_file(&real).unwrap();
        assert!(write_atomically::<io::Error>(&link, |_| Ok(())).is_err() && probe(&link).is_err());
    }

    #[test]
    fn probing_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        probe(&path).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(probe(&dir.path().join("none/out")).is_err() && probe(dir.path()).is_err());
    }

    #[test]
    fn failure_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        std::fs::write(&path, "old").unwrap();
        let failed = write_atomically(&path, |out| {
            out.write_all(b"half")?;
            Err(io::Error::other("stop"))
        });
        assert!(failed.is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        write_atomically(&path, |out| out.write_all(b"new")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert!(write_atomically::<io::Error>(dir.path(), |_| Ok(())).is_err());
        #[cfg(unix)]
        assert!(write_atomically::<io::Error>(Path::new("/dev/null"), |_| Ok(())).is_err());
        assert!(write_atomically::<io::Error>(&dir.path().join("none/out"), |_| Ok(())).is_err());
    }
}
