//! Writing files so that a failure leaves nothing behind.

use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Writes a file whole or not at all: into a temporary file in the same folder, which then takes the target's name. On any error (full
/// disk, read-only folder, an error of `write` itself) the temporary file is gone and the target is as it was.
pub fn write_atomically<E: From<io::Error>>(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<(), E>) -> Result<(), E> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // renaming would replace a device by a file (`/dev/null`, as root)
    match std::fs::metadata(path) {
        Ok(kind) if kind.is_dir() => return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a folder").into()),
        Ok(kind) if !kind.is_file() => return Err(io::Error::other("is not a regular file").into()),
        _ => {}
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix(".resnetc-");
    // a temporary file is private; the finished one is to be what the umask makes of any new file
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut out = BufWriter::with_capacity(1 << 20, builder.tempfile_in(folder)?);
    write(&mut out)?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.persist(path).map_err(|e| e.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
