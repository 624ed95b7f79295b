//! safetensors: a length, a JSON header, and the values. Files are memory-mapped; nothing is copied until it is used.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, View};

use super::tensors::{Tensors, Unread, WeightsError};
use crate::base::file::{write_atomically, write_durably};
use crate::base::mmap::Bytes;
use crate::base::tensor::{DType, Tensor};

/// The largest header that is read, in bytes. ResNet-1202's has 0.7 MB; parsing takes several times as much memory.
const MAX_HEADER: u64 = 32 << 20;

/// Whether a file that begins with these bytes may be safetensors: a length below 2^40, then the opening brace of the header.
pub(super) fn is_magic(bytes: &[u8]) -> bool {
    matches!(bytes, [_, _, _, _, _, 0, 0, 0, b'{', ..])
}

/// Reads the tensors of a file; `path` is for messages.
pub fn read(path: &Path, bytes: &Bytes) -> Result<Tensors, WeightsError> {
    let damaged = |reason: String| WeightsError::Damaged { path: path.to_owned(), reason };
    let Some(&len) = bytes.first_chunk() else {
        return Err(damaged(format!("it has only {} bytes, but the length of the header takes 8", bytes.len())));
    };
    let header = u64::from_le_bytes(len);
    let rest = bytes.len() as u64 - 8;
    if header > rest {
        return Err(damaged(format!("its header claims {header} bytes, but only {rest} follow")));
    }
    if header > MAX_HEADER {
        return Err(damaged(format!("its header claims {header} bytes; the limit is {MAX_HEADER}")));
    }
    let (header, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| damaged(format!("{e}")))?;
    let (mut list, mut unread) = (Vec::new(), Vec::new());
    for (name, info) in metadata.tensors() {
        let Some(dtype) = element(info.dtype) else {
            unread.push((name, Unread { contents: format!("elements of type {:?}", info.dtype), is_tensor: true }));
            continue;
        };
        let start = 8 + header;
        let (from, to) = info.data_offsets;
        let data = from.checked_add(start).zip(to.checked_add(start)).and_then(|(from, to)| bytes.slice(from..to));
        let tensor = data.and_then(|data| Tensor::from_bytes(info.shape.clone(), dtype, data));
        let tensor = tensor.ok_or_else(|| damaged(format!("the data of `{name}` does not fit its shape")))?;
        list.push((name, tensor));
    }
    Ok(Tensors::new(path, list).with_unread(unread))
}

fn element(dtype: Dtype) -> Option<DType> {
    Some(match dtype {
        Dtype::F64 => DType::F64,
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        Dtype::I64 => DType::I64,
        Dtype::I32 => DType::I32,
        Dtype::I16 => DType::I16,
        Dtype::I8 => DType::I8,
        Dtype::U8 => DType::U8,
        Dtype::BOOL => DType::Bool,
        _ => return None,
    })
}

struct Stored<'a>(&'a Tensor);

impl View for Stored<'_> {
    fn dtype(&self) -> Dtype {
        match self.0.dtype() {
            DType::F64 => Dtype::F64,
            DType::F32 => Dtype::F32,
            DType::F16 => Dtype::F16,
            DType::BF16 => Dtype::BF16,
            DType::I64 => Dtype::I64,
            DType::I32 => Dtype::I32,
            DType::I16 => Dtype::I16,
            DType::I8 => Dtype::I8,
            DType::U8 => Dtype::U8,
            DType::Bool => Dtype::BOOL,
        }
    }

    fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.0.to_le_bytes()
    }

    fn data_len(&self) -> usize {
        self.0.len() * self.0.dtype().size()
    }
}

/// Writes tensors with their types, atomically.
pub fn write<'a>(path: &Path, tensors: impl IntoIterator<Item = (&'a str, &'a Tensor)>) -> Result<(), WeightsError> {
    let bytes = serialized(path, tensors, None)?;
    write_atomically(path, |out| out.write_all(&bytes)).map_err(|source| write_error(path, source))
}

/// Like [`write`], with an entry in the metadata, and synced to disk before the file is renamed.
pub fn write_with_metadata<'a>(
    path: &Path,
    tensors: impl IntoIterator<Item = (&'a str, &'a Tensor)>,
    key: &str,
    value: String,
) -> Result<(), WeightsError> {
    let bytes = serialized(path, tensors, Some([(key.to_owned(), value)].into()))?;
    write_durably(path, |out| out.write_all(&bytes)).map_err(|source| write_error(path, source))
}

/// An entry of the metadata in the header of a file.
pub fn metadata(bytes: &Bytes, key: &str) -> Option<String> {
    let header = u64::from_le_bytes(*bytes.first_chunk()?);
    if header > MAX_HEADER || header > bytes.len() as u64 {
        return None;
    }
    let (_, metadata) = SafeTensors::read_metadata(bytes).ok()?;
    metadata.metadata().as_ref()?.get(key).cloned()
}

fn serialized<'a>(
    path: &Path,
    tensors: impl IntoIterator<Item = (&'a str, &'a Tensor)>,
    metadata: Option<HashMap<String, String>>,
) -> Result<Vec<u8>, WeightsError> {
    let views = tensors.into_iter().map(|(name, tensor)| (name, Stored(tensor)));
    safetensors::serialize(views, metadata)
        .map_err(|e| WeightsError::Unsupported { path: path.to_owned(), reason: format!("cannot be written: {e}") })
}

fn write_error(path: &Path, source: std::io::Error) -> WeightsError {
    WeightsError::Io { what: "write", path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Bytes {
        let a = Tensor::from_f32(vec![2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        let b = Tensor::from_bytes(vec![2], DType::F16, vec![0, 0x3c, 0, 0xbc].into()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w");
        write(&path, [("layer1.0.conv1.weight", &a), ("half", &b)]).unwrap();
        std::fs::read(&path).unwrap().into()
    }

    fn parse(bytes: impl Into<Bytes>) -> Result<Tensors, WeightsError> {
        read(Path::new("w"), &bytes.into())
    }

    fn header_len(bytes: &[u8]) -> usize {
        8 + u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize
    }

    #[test]
    fn written_tensors_are_read_back() {
        let tensors = parse(sample()).unwrap();
        assert_eq!(tensors.len(), 2);
        let a = tensors.get("layer1.0.conv1.weight").unwrap();
        assert_eq!((a.shape(), &*a.to_f32()), (&[2, 3][..], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0][..]));
        assert_eq!(*tensors.get("half").unwrap().to_f32(), [1.0, -1.0]);
    }

    #[test]
    fn an_oversized_header_is_an_error_before_memory_is_allocated() {
        let mut bytes = sample().to_vec();
        bytes[..8].copy_from_slice(&(1u64 << 60).to_le_bytes());
        let error = parse(bytes.clone()).unwrap_err().to_string();
        assert!(error.contains("`w`") && error.contains(&(1u64 << 60).to_string()), "{error}");
        bytes[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(parse(bytes).is_err());
    }

    #[test]
    fn shapes_that_overflow_are_errors() {
        let header = r#"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,16]}}"#;
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(&[0; 16]);
        assert!(parse(bytes).is_err());
    }

    #[test]
    fn every_truncation_is_an_error() {
        let whole = sample();
        for len in 0..whole.len() {
            assert!(parse(whole.slice(0..len).unwrap()).is_err(), "cut to {len}");
        }
    }

    #[test]
    fn every_flipped_bit_in_the_header_is_an_error_or_harmless() {
        let whole = sample();
        for at in 0..header_len(&whole) {
            for bit in 0..8 {
                let mut bytes = whole.to_vec();
                bytes[at] ^= 1 << bit;
                // without a checksum, a flipped bit can yield another valid header (such as another name), but its
                // tensors are still inside the file and fit their shapes
                if let Ok(tensors) = parse(bytes) {
                    for (_, tensor) in tensors.iter() {
                        assert_eq!(tensor.to_f32().len(), tensor.shape().iter().product::<usize>());
                    }
                }
            }
        }
    }
}
