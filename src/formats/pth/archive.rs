//! The zip archive that contains the pickle and the storages.

use std::collections::HashMap;
use std::io::Cursor;

use zip::ZipArchive;

use crate::base::mmap::Bytes;
use crate::formats::fault::Fault;
use crate::formats::kind;
use crate::formats::zip_archive::{bad_zip, contents, inflated, opened};

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
        self.read(index, MAX_PICKLE).map_err(|fault| match fault {
            Fault::Unsupported(reason) => {
                Fault::Unsupported(format!("{reason} for a pickle, which has no values of tensors. If it has NumPy arrays, save tensors instead: torch.from_numpy(array)"))
            }
            other => other,
        })
    }

    /// The values of a storage: mapped if they are stored uncompressed; otherwise inflated, which counts against the budget.
    pub(super) fn data(&mut self, key: &str, budget: &mut usize) -> Result<Bytes, Fault> {
        let index =
            self.find(&format!("data/{key}")).ok_or_else(|| Fault::Damaged(format!("the storage `data/{key}` is missing")))?;
        contents(&mut self.zip, self.bytes, index, &format!("storage `data/{key}`"), budget)
    }
}
