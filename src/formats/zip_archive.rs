//! Zip archives, which contain the tensors of PyTorch's `.pth` and NumPy's `.npz`.

use std::io::{Cursor, Read};

use zip::read::{ArchiveOffset, Config};
use zip::{CompressionMethod, ZipArchive};

use super::fault::Fault;
use crate::base::mmap::Bytes;

/// Whether a file that begins with these bytes is a zip archive.
pub(super) fn is_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04")
}

/// Opens a zip archive that starts at the beginning of the file. The stated offset of the directory is used. Guessing that the directory ends
/// where the end record begins is wrong if there is a zip64 record, and still finds an entry if names have a certain length (21 bytes in a file
/// of `torch.save`).
pub(super) fn opened(bytes: &[u8]) -> Result<ZipArchive<Cursor<&[u8]>>, Fault> {
    ZipArchive::with_config(Config { archive_offset: ArchiveOffset::Known(0) }, Cursor::new(bytes)).map_err(bad_zip)
}

pub(super) fn too_much() -> Fault {
    Fault::Unsupported("unpacks to far more than its own size, and is not read as a precaution".into())
}

pub(super) fn bad_zip(e: impl std::fmt::Display) -> Fault {
    Fault::Damaged(format!("its zip archive cannot be read ({e})"))
}

/// The limit in bytes for copies of data that cannot be mapped: inflated entries and views that are not contiguous. Weights shrink by about a
/// tenth when deflated; a file that unpacks to far more than its own size is a zip bomb.
pub(super) fn copies_allowed(file: usize) -> usize {
    file.saturating_mul(32).saturating_add(16 << 20)
}

/// The contents of an entry, checked against its CRC. Longer contents than `limit` are an error.
pub(super) fn inflated(zip: &mut ZipArchive<Cursor<&[u8]>>, index: usize, limit: u64) -> Result<Vec<u8>, Fault> {
    let entry = zip.by_index(index).map_err(bad_zip)?;
    let size = entry.size();
    if size > limit {
        return Err(Fault::Unsupported(format!("has an entry of {size} bytes; the limit is {limit}")));
    }
    let mut out = Vec::new();
    // the stated size is not trusted: one byte more detects longer contents
    entry.take(size.saturating_add(1)).read_to_end(&mut out).map_err(bad_zip)?;
    if out.len() as u64 != size {
        return Err(Fault::Damaged(format!("the size of an entry of its zip archive is not the stated {size} bytes")));
    }
    Ok(out)
}

/// An entry of the archive `bytes`: mapped if it is stored uncompressed; otherwise inflated, which counts against the budget.
pub(super) fn contents(
    zip: &mut ZipArchive<Cursor<&[u8]>>,
    bytes: &Bytes,
    index: usize,
    what: &str,
    budget: &mut usize,
) -> Result<Bytes, Fault> {
    let entry = zip.by_index_raw(index).map_err(bad_zip)?;
    if entry.encrypted() {
        return Err(Fault::Unsupported("is encrypted".into()));
    }
    let (size, start) = (entry.size(), entry.data_start());
    if entry.compression() == CompressionMethod::Stored {
        let range = start.and_then(|start| Some(usize::try_from(start).ok()?..usize::try_from(start.checked_add(size)?).ok()?));
        let plain = range.filter(|_| entry.compressed_size() == size).and_then(|range| bytes.slice(range));
        return plain.ok_or_else(|| Fault::Damaged(format!("the {what} extends past the end of the file")));
    }
    drop(entry);
    let left = usize::try_from(size).ok().and_then(|size| budget.checked_sub(size)).ok_or_else(too_much)?;
    *budget = left;
    Ok(inflated(zip, index, size)?.into())
}
