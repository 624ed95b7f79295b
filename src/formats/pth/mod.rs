//! PyTorch's `.pth`: a zip archive with a pickle that describes the tensors, and an entry with the raw values of each storage. Before
//! version 1.6 (and with `_use_new_zipfile_serialization=False`), a file was a sequence of pickles and raw values: `legacy`.
//!
//! A pickle is a program. `pickle` interprets only the few instructions and names that a state dict needs. It builds plain data and calls
//! nothing: an object of any other class is a placeholder, and a name that runs commands is an error.

mod archive;
mod entry;
pub(super) mod legacy;
mod module;
mod pickle;
mod state_dict;

use std::collections::HashMap;
use std::path::Path;

use super::fault::Fault;
use super::tensors::{StateDicts, Tensors, Unread, WeightsError};
use super::zip_archive::copies_allowed;
use crate::base::mmap::Bytes;
use crate::base::tensor::{DType, Tensor, count};
use archive::Archive;
use entry::Entry;
use legacy::is_legacy;
use pickle::{Element, Heap, StorageRef, TensorRef};

/// Reads the tensors of the state dict in a file: of the one called `part`, if there is one; otherwise of the one that scripts would load.
/// `path` is for messages.
pub fn read(path: &Path, bytes: &Bytes, part: Option<&str>) -> Result<Tensors, WeightsError> {
    read_list(path, bytes, part).map_err(|fault| fault.at(path))
}

fn read_list(path: &Path, bytes: &Bytes, part: Option<&str>) -> Result<Tensors, Fault> {
    let budget = copies_allowed(bytes.len());
    if is_legacy(bytes) {
        let (heap, storages) = legacy::read(bytes)?;
        return tensors(path, &heap, Storages { source: Source::None, loaded: storages, budget }, part);
    }
    let mut archive = Archive::open(bytes)?;
    let program = archive.program()?;
    let heap = pickle::interpret(&program)?;
    let source = Source::Archive(archive);
    tensors(path, &heap, Storages { source, loaded: HashMap::new(), budget }, part)
}

/// The tensors of a state dict in the result of a pickle.
fn tensors(path: &Path, heap: &Heap<'_>, mut storages: Storages<'_>, part: Option<&str>) -> Result<Tensors, Fault> {
    let named = part.map(|part| state_dict::named(heap, part)).transpose()?.flatten();
    let is_part = named.is_some();
    let found = named.map_or_else(|| state_dict::find(heap), Ok)?;
    let (mut read, mut unread) = (Vec::new(), Vec::new());
    for (name, entry) in found.entries {
        let contents = match entry {
            Entry::Unread(what) => what.to_owned(),
            Entry::Instance(class) => format!("an object of the class `{class}`"),
            Entry::Tensor(tensor) => {
                let storage = heap.storage(tensor).ok_or_else(|| Fault::Damaged(format!("`{name}` has no storage")))?;
                match storage.element {
                    Element::Read(dtype) => {
                        let tensor = storages.tensor(&name, tensor, storage, dtype)?;
                        read.push((name, tensor));
                        continue;
                    }
                    Element::Unread(what, _) => what.to_owned(),
                }
            }
        };
        unread.push((name, Unread { contents, is_tensor: entry.is_tensor() }));
    }
    let found = StateDicts { taken: found.path, others: found.others, is_usual: found.is_usual, is_part };
    let order = read.iter().map(|(name, _)| name.clone()).collect();
    Ok(Tensors::new(path, read).in_order(order).with_unread(unread).with_state_dicts(found))
}

/// The source of storages that are not loaded yet.
enum Source<'a> {
    Archive(Archive<'a>),
    /// All storages are loaded.
    None,
}

struct Storages<'a> {
    source: Source<'a>,
    loaded: HashMap<String, Bytes>,
    budget: usize,
}

impl Storages<'_> {
    fn load(&mut self, storage: &StorageRef<'_>) -> Result<Bytes, Fault> {
        if let Some(bytes) = self.loaded.get(storage.key) {
            return Ok(bytes.clone());
        }
        let bytes = match &mut self.source {
            Source::Archive(archive) => archive.data(storage.key, &mut self.budget)?,
            Source::None => return Err(Fault::Damaged(format!("the storage `{}` is missing", storage.key.escape_debug()))),
        };
        self.loaded.insert(storage.key.to_owned(), bytes.clone());
        Ok(bytes)
    }

    fn tensor(&mut self, name: &str, tensor: &TensorRef, storage: &StorageRef<'_>, dtype: DType) -> Result<Tensor, Fault> {
        let size = dtype.size();
        let bytes = self.load(storage)?;
        if storage.len.checked_mul(size) != Some(bytes.len()) {
            return Err(Fault::Damaged(format!(
                "the storage of `{name}` should have {} elements of {size} bytes, but has {} bytes",
                storage.len,
                bytes.len()
            )));
        }
        // a view may have more elements than its storage, because a stride of 0 repeats them
        let len =
            count(&tensor.shape).ok_or_else(|| Fault::Damaged(format!("the shape of `{name}` overflows: {:?}", tensor.shape)))?;
        let last = if len == 0 { None } else { Some(last_element(tensor)) };
        if let Some(last) = last
            && last.is_none_or(|last| last >= storage.len)
        {
            return Err(Fault::Damaged(format!("`{name}` extends past the end of its storage of {} elements", storage.len)));
        }
        // a contiguous tensor is inside its storage, so neither product overflows
        let values = if len == 0 {
            Bytes::from(Vec::new())
        } else if is_contiguous(tensor) {
            let start = tensor.offset * size;
            bytes
                .slice(start..start + len * size)
                .ok_or_else(|| Fault::Damaged(format!("`{name}` extends past the end of its storage")))?
        } else {
            let left = len.checked_mul(size).and_then(|bytes| self.budget.checked_sub(bytes));
            self.budget = left.ok_or_else(|| {
                Fault::Unsupported(format!(
                    "has `{name}` as a view of shape {:?} over {} stored elements, which would take far more memory than the \
                     size of the file, and is not read as a precaution. Save a copy: tensor.contiguous()",
                    tensor.shape, storage.len
                ))
            })?;
            gather(tensor, &bytes, size, len).into()
        };
        Tensor::from_bytes(tensor.shape.clone(), dtype, values)
            .ok_or_else(|| Fault::Damaged(format!("the shape of `{name}` does not fit its values")))
    }
}

/// The index of the last element in the storage; `None` on overflow. No dimension may be 0.
fn last_element(tensor: &TensorRef) -> Option<usize> {
    tensor
        .shape
        .iter()
        .zip(&tensor.strides)
        .try_fold(tensor.offset, |at, (&n, &stride)| at.checked_add(n.checked_sub(1)?.checked_mul(stride)?))
}

fn is_contiguous(tensor: &TensorRef) -> bool {
    let mut expected = 1;
    tensor.shape.iter().zip(&tensor.strides).rev().all(|(&n, &stride)| {
        let fits = n == 1 || stride == expected;
        expected *= n;
        fits
    })
}

/// Copies the elements in row-major order. The tensor must be inside its storage.
fn gather(tensor: &TensorRef, bytes: &[u8], size: usize, len: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(len * size);
    let mut index = vec![0usize; tensor.shape.len()];
    for _ in 0..len {
        let at = index.iter().zip(&tensor.strides).fold(tensor.offset, |at, (&i, &stride)| at + i * stride);
        out.extend_from_slice(&bytes[at * size..][..size]);
        for (i, &n) in index.iter_mut().zip(&tensor.shape).rev() {
            *i += 1;
            if *i < n {
                break;
            }
            *i = 0;
        }
    }
    out
}

#[cfg(test)]
mod tests;
