//! Reads a single weight file, whose format is detected from its contents.

use std::path::Path;

use super::pth::legacy::is_legacy;
use super::tensors::{Tensors, WeightsError};
use super::zip_archive::is_zip;
use super::{kind, npz, pth, safetensors};
use crate::base::mmap::Bytes;

/// Whether a file may be an index of several files.
pub(super) fn is_index(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().starts_with(b"{") && !safetensors::is_magic(bytes)
}

/// Reads the tensors of a file; `path` is for messages. Of several state dicts in it, the one called `part` is read.
pub(super) fn read(path: &Path, bytes: &Bytes, part: Option<&str>) -> Result<Tensors, WeightsError> {
    if is_zip(bytes) {
        return if npz::is_npz(bytes) { npz::read(path, bytes) } else { pth::read(path, bytes, part) };
    }
    if safetensors::is_magic(bytes) {
        return safetensors::read(path, bytes);
    }
    // checked after safetensors, because the length of its header may look like the beginning of a pickle
    if is_legacy(bytes) {
        return pth::read(path, bytes, part);
    }
    let found = match kind::of(bytes) {
        Some(found) => found,
        None if is_index(bytes) => "is an index of other files, but a weight file is needed here",
        None => "has an unknown format: weights are read from safetensors, PyTorch's `.pth` or NumPy's `.npz`",
    };
    Err(WeightsError::Unknown { path: path.to_owned(), found })
}
