//! Weight files: opened by what they hold, not by their name.

use std::path::Path;

use super::tensors::{Tensors, WeightsError};
use super::{pth, safetensors};
use crate::base::mmap::Bytes;

/// Opens a weight file: safetensors, or PyTorch's zip `.pth`.
pub fn open(path: &Path) -> Result<Tensors, WeightsError> {
    let bytes = Bytes::map(path).map_err(|source| WeightsError::Io { what: "read", path: path.to_owned(), source })?;
    if pth::is_zip(&bytes) {
        return pth::read(path, &bytes);
    }
    if safetensors::is_magic(&bytes) {
        return safetensors::read(path, &bytes);
    }
    // asked after safetensors, whose header's length may begin as a pickle does
    if pth::is_legacy(&bytes) {
        return Err(WeightsError::Legacy { path: path.to_owned() });
    }
    let found = match &bytes[..] {
        [] => "is empty",
        [0x89, b'H', b'D', b'F', ..] => "is an HDF5 file (Keras?)",
        [0x08, _, 0x12, ..] => "is an ONNX file",
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => "is a single npy array",
        [b'v', b'e', b'r', b's', b'i', b'o', b'n', b' ', b'h', b't', b't', b'p', ..] => {
            "is a pointer of Git LFS, not the file itself (`git lfs pull` fetches it)"
        }
        [b'<', ..] => "is a web page, not what was to be downloaded",
        _ => "is of no known format",
    };
    Err(WeightsError::Unknown { path: path.to_owned(), found })
}
