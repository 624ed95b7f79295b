//! The zip archive that contains the pickle and the storages.

use std::collections::HashMap;
use std::io::{Cursor, Read};

use zip::read::{ArchiveOffset, Config};
use zip::{CompressionMethod, ZipArchive};

use super::super::kind;
use super::Fault;
use crate::base::mmap::Bytes;

/// The largest pickle that is interpreted, in bytes; ResNet-1202's has about 1 MB.
const MAX_PICKLE: u64 = 32 << 20;

/// An opened archive.
pub(super) struct Archive<'a> {
    bytes: &'a Bytes,
    zip: ZipArchive<Cursor<&'a [u8]>>,
    /// The prefix of all names: `resnet18/`.
    prefix: String,
    index: HashMap<String, usize>,
}

/// Opens a zip archive that starts at the beginning of the file. The stated offset of the directory is used. Guessing that the directory ends
/// where the end record begins is wrong if there is a zip64 record, and still finds an entry if names have a certain length (21 bytes in a file
/// of `torch.save`).
pub(in crate::internal::formats) fn opened(bytes: &[u8]) -> Result<ZipArchive<Cursor<&[u8]>>, Fault> {
    ZipArchive::with_config(Config { archive_offset: ArchiveOffset::Known(0) }, Cursor::new(bytes)).map_err(bad_zip)
}

pub(in crate::internal::formats) fn too_much() -> Fault {
    Fault::Unsupported("unpacks to far more than its own size, and is not read as a precaution".into())
}

pub(in crate::internal::formats) fn bad_zip(e: impl std::fmt::Display) -> Fault {
    Fault::Damaged(format!("its zip archive cannot be read ({e})"))
}

impl<'a> Archive<'a> {
    pub(super) fn open(bytes: &'a Bytes) -> Result<Self, Fault> {
        let zip = opened(bytes)?;
        let mut index = HashMap::new();
        let mut prefix = None;
        for (i, name) in zip.file_names().enumerate() {
            let name = name.map_err(bad_zip)?.into_owned();
            if let Some(before) = name.strip_suffix("data.pkl")
                && prefix.is_none()
                && (before.is_empty() || before.ends_with('/'))
            {
                prefix = Some(before.to_owned());
            }
            index.insert(name, i);
        }
        let prefix = prefix.ok_or_else(|| Fault::Unsupported(kind::of_zip(index.keys().map(String::as_str))))?;
        if index.contains_key(&format!("{prefix}constants.pkl")) {
            return Err(Fault::Unsupported(
                "is a TorchScript program, and programs are not run; save the state dict instead: \
                 torch.save(torch.jit.load(PATH).state_dict(), NEW)"
                    .into(),
            ));
        }
        let mut archive = Archive { bytes, zip, prefix, index };
        if let Some(order) = archive.find("byteorder")
            && archive.read(order, 16)?.trim_ascii() != b"little"
        {
            return Err(Fault::Unsupported("was written on a big-endian machine, which is not supported".into()));
        }
        Ok(archive)
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.index.get(&format!("{}{name}", self.prefix)).copied()
    }

    fn read(&mut self, index: usize, limit: u64) -> Result<Vec<u8>, Fault> {
        inflated(&mut self.zip, index, limit)
    }

    /// The pickle.
    pub(super) fn program(&mut self) -> Result<Vec<u8>, Fault> {
        let index = self.find("data.pkl").ok_or_else(|| Fault::Damaged("its `data.pkl` is missing".into()))?;
        self.read(index, MAX_PICKLE)
    }

    /// The values of a storage: mapped if they are stored uncompressed; otherwise inflated, which counts against the budget.
    pub(super) fn data(&mut self, key: &str, budget: &mut usize) -> Result<Bytes, Fault> {
        let index =
            self.find(&format!("data/{key}")).ok_or_else(|| Fault::Damaged(format!("the storage `data/{key}` is missing")))?;
        contents(&mut self.zip, self.bytes, index, &format!("storage `data/{key}`"), budget)
    }
}

/// The contents of an entry, checked against its CRC. Longer contents than `limit` are an error.
fn inflated(zip: &mut ZipArchive<Cursor<&[u8]>>, index: usize, limit: u64) -> Result<Vec<u8>, Fault> {
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
pub(in crate::internal::formats) fn contents(
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
