//! Reads the numbers of a `.weights` file, which has those of all layers one after the other.

use std::path::{Path, PathBuf};

use super::super::layer_list::LayersError;
use crate::base::mmap::Bytes;
use crate::base::tensor::{DType, Tensor, count};

/// The file, from the next number on.
pub(super) struct Weights {
    path: PathBuf,
    file: Bytes,
    at: usize,
    /// Whether matrices of connected layers are stored as inputs x outputs.
    pub transposed: bool,
}

impl Weights {
    /// Reads the header: the version, and the number of images seen in training, which has 64 bits from version 0.2 on
    /// (`load_weights_upto` in `parser.c`).
    pub fn read(path: &Path, file: &Bytes) -> Result<Weights, LayersError> {
        let word = |index: usize| {
            let bytes = file.get(4 * index..4 * index + 4)?;
            Some(i64::from(i32::from_le_bytes(bytes.try_into().ok()?)))
        };
        let header = (|| Some((word(0)?, word(1)?, word(2)?)))();
        let fault = |reason: &str| LayersError::Weights { path: path.to_owned(), reason: reason.to_owned() };
        let Some((major, minor, _)) = header else { return Err(fault("the file has no header")) };
        let is_wide = major * 10 + minor >= 2 && major < 1000 && minor < 1000;
        let at = if is_wide { 20 } else { 16 };
        if file.len() < at {
            return Err(fault("the file has no header"));
        }
        Ok(Weights { path: path.to_owned(), file: file.clone(), at, transposed: major > 1000 || minor > 1000 })
    }

    /// The next tensor.
    pub fn next(&mut self, sizes: &[usize]) -> Result<Tensor, LayersError> {
        let len = count(sizes).and_then(|count| count.checked_mul(4));
        let end = len.and_then(|len| self.at.checked_add(len));
        let bytes = end.and_then(|end| self.file.slice(self.at..end));
        let tensor = bytes.and_then(|bytes| Tensor::from_bytes(sizes.to_vec(), DType::F32, bytes));
        let rest = self.file.len() - self.at;
        let tensor =
            tensor.ok_or_else(|| self.fault(format!("the file ends in a tensor of sizes {sizes:?}: {rest} bytes are left")))?;
        self.at = end.unwrap_or(self.at);
        Ok(tensor)
    }

    /// The number of bytes that were not read.
    pub fn rest(&self) -> usize {
        self.file.len() - self.at
    }

    fn fault(&self, reason: String) -> LayersError {
        LayersError::Weights { path: self.path.clone(), reason }
    }
}
