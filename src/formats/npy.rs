//! NumPy's `.npy`: a single array. Reads versions 1 to 3 of the format, in either byte order and in C or Fortran order; writes float32 in
//! version 1.0. Source: the documentation of `numpy.lib.format`.

use std::io;
use std::path::{Path, PathBuf};

use ndarray::{ArrayD, ArrayViewD};
use thiserror::Error;

use crate::base::file::write_atomically;
use crate::base::file_system::{Disk, FileSystem};
use crate::base::mmap::Bytes;
use crate::base::tensor::{DType, Element, Tensor, count};

const MAGIC: &[u8] = b"\x93NUMPY";

/// The largest header in bytes: NumPy's limit for files that are not trusted.
const MAX_HEADER: usize = 10_000;

/// Why an `.npy` file cannot be read or written.
#[derive(Debug, Error)]
pub enum NpyError {
    /// The file system reports an error.
    #[error("cannot {what} `{}`: {source}", path.display())]
    Io {
        /// `read` or `write`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The array cannot be read.
    #[error("`{}` {reason}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong, as the rest of a sentence that begins with the path.
        reason: String,
    },
}

/// Reads an array as float32; other types are converted.
pub fn read(path: &Path) -> Result<ArrayD<f32>, NpyError> {
    let tensor = read_tensor(path)?;
    ArrayD::from_shape_vec(tensor.shape(), tensor.to_f32().into_owned())
        .map_err(|e| NpyError::Invalid { path: path.to_owned(), reason: format!("has an invalid shape: {e}") })
}

/// Reads an array of float64, float32, float16, integers or booleans, in row-major order. Arrays that are stored in this order and
/// little-endian are memory-mapped without a copy.
pub fn read_tensor(path: &Path) -> Result<Tensor, NpyError> {
    read_tensor_in(&Disk, path)
}

/// The same from another file system than the disk.
pub fn read_tensor_in(files: &dyn FileSystem, path: &Path) -> Result<Tensor, NpyError> {
    let bytes = files.map(path).map_err(|source| NpyError::Io { what: "read", path: path.to_owned(), source })?;
    parse(&bytes).map_err(|refusal| NpyError::Invalid { path: path.to_owned(), reason: refusal.to_string() })
}

/// Why an array cannot be read. Displays as the rest of a sentence that begins with its name.
#[derive(Debug, Error)]
pub(super) enum ArrayError {
    /// Its element type is not supported.
    #[error("has elements of type {descr:?}; only floats, signed integers, bytes and booleans are supported")]
    Type {
        /// The type in the header: `<U5`.
        descr: String,
        /// Whether its elements are numbers.
        is_number: bool,
    },
    /// It is not an array, or damaged.
    #[error("{0}")]
    Other(String),
}

impl From<String> for ArrayError {
    fn from(reason: String) -> ArrayError {
        ArrayError::Other(reason)
    }
}

impl From<&str> for ArrayError {
    fn from(reason: &str) -> ArrayError {
        ArrayError::Other(reason.to_owned())
    }
}

/// Parses the contents of a file.
pub(super) fn parse(bytes: &Bytes) -> Result<Tensor, ArrayError> {
    if !bytes.starts_with(MAGIC) {
        return Err("is not an .npy file: it does not begin with \\x93NUMPY".into());
    }
    let truncated = || "is truncated inside its header".to_owned();
    let major = *bytes.get(6).ok_or_else(truncated)?;
    let (start, len) = match major {
        1 => (10, bytes.get(8..10).and_then(|b| b.try_into().ok()).map(u16::from_le_bytes).ok_or_else(truncated)?.into()),
        2 | 3 => (12, bytes.get(8..12).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes).ok_or_else(truncated)? as usize),
        other => return Err(format!("has version {other} of the .npy format; only versions 1 to 3 are supported").into()),
    };
    if len > MAX_HEADER {
        return Err(format!("has a header of {len} bytes; the limit is {MAX_HEADER}").into());
    }
    let header = bytes.get(start..start + len).ok_or_else(truncated)?;
    let header = std::str::from_utf8(header).map_err(|_| "has a header that is not text")?;
    let Header { descr, fortran, shape } = Header::parse(header).ok_or("has a header that is not the expected dictionary")?;
    let (dtype, swap) = element(&descr)?;
    let size = count(&shape).and_then(|n| n.checked_mul(dtype.size()));
    let found = bytes.len() - start - len;
    if size != Some(found) {
        return Err(format!("declares {shape:?} elements of {} bytes, but has {found} bytes", dtype.size()).into());
    }
    let mut data = bytes.slice(start + len..bytes.len()).ok_or_else(truncated)?;
    if swap {
        data = data.chunks(dtype.size()).flat_map(|element| element.iter().rev().copied()).collect::<Vec<u8>>().into();
    }
    if fortran && shape.iter().filter(|&&n| n > 1).count() > 1 {
        data = row_major(&data, &shape, dtype.size()).into();
    }
    Tensor::from_bytes(shape, dtype, data).ok_or_else(|| "has a shape that does not fit its data".into())
}

/// The element type, and whether the bytes of each element must be reversed.
fn element(descr: &str) -> Result<(DType, bool), ArrayError> {
    let (order, kind) = descr.split_at_checked(1).ok_or("has an empty element type")?;
    let dtype = match kind {
        "f8" => DType::F64,
        "f4" => DType::F32,
        "f2" => DType::F16,
        "i8" => DType::I64,
        "i4" => DType::I32,
        "i2" => DType::I16,
        "i1" => DType::I8,
        "u1" => DType::U8,
        "b1" => DType::Bool,
        _ => {
            // unsigned and complex numbers, and floats of other sizes
            let is_number = kind.starts_with(['f', 'c', 'u', 'i']);
            return Err(ArrayError::Type { descr: descr.to_owned(), is_number });
        }
    };
    match order {
        "<" | "|" => Ok((dtype, false)),
        "=" => Ok((dtype, cfg!(target_endian = "big"))),
        ">" => Ok((dtype, dtype.size() > 1)),
        _ => Err(format!("has the unknown byte order {order:?}").into()),
    }
}

fn row_major(data: &[u8], shape: &[usize], size: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len());
    let mut index = vec![0usize; shape.len()];
    for _ in 0..data.len() / size {
        // column-major: the first index varies fastest
        let from = index.iter().zip(shape).rev().fold(0, |at, (&i, &n)| at * n + i);
        out.extend_from_slice(&data[from * size..][..size]);
        for (i, &n) in index.iter_mut().zip(shape).rev() {
            *i += 1;
            if *i < n {
                break;
            }
            *i = 0;
        }
    }
    out
}

/// `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`: a Python literal, limited to these forms.
struct Header {
    descr: String,
    fortran: bool,
    shape: Vec<usize>,
}

impl Header {
    fn parse(text: &str) -> Option<Header> {
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
        while !rest.is_empty() {
            let (key, after) = quoted(rest)?;
            let after = after.trim_start().strip_prefix(':')?.trim_start();
            let after = match key {
                "descr" => {
                    let (value, after) = if after.starts_with('[') { bracketed(after)? } else { quoted(after)? };
                    descr = Some(value.to_owned());
                    after
                }
                "fortran_order" => {
                    let (value, after) = match after.strip_prefix("True") {
                        Some(after) => (true, after),
                        None => (false, after.strip_prefix("False")?),
                    };
                    fortran = Some(value);
                    after
                }
                "shape" => {
                    let (list, after) = after.strip_prefix('(')?.split_once(')')?;
                    let sizes = list.split(',').map(str::trim).filter(|size| !size.is_empty());
                    // NumPy on Python 2 wrote long integers as `3L`
                    shape = Some(sizes.map(|n| n.trim_end_matches('L').parse().ok()).collect::<Option<Vec<usize>>>()?);
                    after
                }
                _ => return None,
            };
            rest = after.trim_start();
            rest = rest.strip_prefix(',').or_else(|| rest.is_empty().then_some(rest))?.trim_start();
        }
        Some(Header { descr: descr?, fortran: fortran?, shape: shape? })
    }
}

/// Splits off a list with its brackets: the fields of a structured array.
fn bracketed(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0usize;
    let end = text.char_indices().find(|&(_, c)| {
        depth = depth + usize::from(c == '[') - usize::from(c == ']');
        depth == 0
    })?;
    text.split_at_checked(end.0 + 1)
}

/// Splits off a quoted string.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    text[1..].split_once(quote)
}

/// Writes an array, atomically.
pub fn write<T: Element>(path: &Path, array: &ArrayViewD<'_, T>) -> Result<(), NpyError> {
    write_atomically(path, |out| write_to(out, array)).map_err(|source| NpyError::Io {
        what: "write",
        path: path.to_owned(),
        source,
    })
}

/// Writes an array to anything.
pub fn write_to<T: Element>(out: &mut dyn io::Write, array: &ArrayViewD<'_, T>) -> io::Result<()> {
    out.write_all(&header(T::DTYPE, array.shape()))?;
    let mut buffer = Vec::with_capacity(1 << 16);
    for value in array {
        let bytes = bytemuck::bytes_of(value);
        if cfg!(target_endian = "little") {
            buffer.extend_from_slice(bytes);
        } else {
            buffer.extend(bytes.iter().rev());
        }
        if buffer.len() >= 1 << 16 {
            out.write_all(&buffer)?;
            buffer.clear();
        }
    }
    out.write_all(&buffer)
}

/// The magic, version 1.0 and the dictionary, padded with spaces so that the data begins at a multiple of 64 bytes.
fn header(dtype: DType, shape: &[usize]) -> Vec<u8> {
    let kind = if dtype.is_float() { 'f' } else { 'i' };
    let size = dtype.size();
    let sizes: String = shape.iter().map(|n| format!("{n}, ")).collect();
    // a tuple of one element needs a trailing comma; others have none
    let sizes = if shape.len() == 1 { sizes.trim_end() } else { sizes.trim_end_matches(", ") };
    let mut text = format!("{{'descr': '<{kind}{size}', 'fortran_order': False, 'shape': ({sizes}), }}");
    let unpadded = MAGIC.len() + 4 + text.len() + 1;
    text.extend(std::iter::repeat_n(' ', unpadded.next_multiple_of(64) - unpadded));
    text.push('\n');
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&[1, 0]);
    out.extend_from_slice(&(text.len() as u16).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
    out
}

#[cfg(test)]
mod tests {
    use ndarray::ShapeBuilder;

    use super::*;

    fn file(version: u8, dict: &str, data: &[u8]) -> Bytes {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&[version, 0]);
        match version {
            1 => bytes.extend_from_slice(&(dict.len() as u16).to_le_bytes()),
            _ => bytes.extend_from_slice(&(dict.len() as u32).to_le_bytes()),
        }
        bytes.extend_from_slice(dict.as_bytes());
        bytes.extend_from_slice(data);
        bytes.into()
    }

    fn floats(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    #[test]
    fn written_arrays_are_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.npy");
        for shape in [vec![], vec![5], vec![2, 3, 4], vec![0, 3]] {
            let len = shape.iter().product();
            let array = ArrayD::from_shape_vec(shape, (0..len).map(|i| i as f32 - 0.5).collect()).unwrap();
            write(&path, &array.view()).unwrap();
            assert_eq!(read(&path).unwrap(), array);
            assert_eq!((std::fs::read(&path).unwrap().len() - 4 * len) % 64, 0);
        }
        let labels = ArrayD::from_shape_vec(vec![3], vec![7i64, -1, 1 << 20]).unwrap();
        write(&path, &labels.view()).unwrap();
        assert_eq!(read(&path).unwrap(), labels.mapv(|v| v as f32));
        write(&path, &labels.mapv(|v| v as i32).view()).unwrap();
        assert_eq!(read(&path).unwrap(), labels.mapv(|v| v as f32));
    }

    #[test]
    fn a_file_written_from_pytorch_is_read() {
        let array = read(Path::new("tests/fixtures/tiny.x.npy")).unwrap();
        assert_eq!(array.shape(), [3, 3, 16, 16]);
        assert!(array.iter().all(|v| v.is_finite()) && array.iter().any(|&v| v != 0.0));
    }

    #[test]
    fn versions_orders_and_types() {
        for version in [1, 2, 3] {
            let bytes = file(version, "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", &floats(&[1.0, 2.0]));
            assert_eq!(*parse(&bytes).unwrap().to_f32(), [1.0, 2.0]);
        }
        let big: Vec<u8> = [1.5f64, -2.0].iter().flat_map(|v| v.to_be_bytes()).collect();
        let bytes = file(1, "{\"shape\": (2, 1), \"fortran_order\": False, \"descr\": \">f8\"}", &big);
        assert_eq!(*parse(&bytes).unwrap().to_f32(), [1.5, -2.0]);
        let bytes = file(1, "{'descr': '|u1', 'fortran_order': False, 'shape': ()}", &[7]);
        assert_eq!(*parse(&bytes).unwrap().to_f32(), [7.0]);
        let values: Vec<f32> = (0..24).map(|v| v as f32).collect();
        let bytes = file(1, "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3, 4)}", &floats(&values));
        let expected: Vec<f32> = ArrayD::from_shape_vec([2, 3, 4].as_slice().f(), values).unwrap().iter().copied().collect();
        assert_eq!(*parse(&bytes).unwrap().to_f32(), expected[..]);
    }

    #[test]
    fn sizes_are_checked_before_memory_is_allocated() {
        let huge = "{'descr': '<f4', 'fortran_order': True, 'shape': (1152921504606846976, 4)}";
        assert!(parse(&file(1, huge, &[0; 16])).unwrap_err().to_string().contains("has 16 bytes"));
        let overflow = "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}";
        assert!(parse(&file(1, overflow, &[])).is_err());
        assert!(parse(&file(2, &" ".repeat(20_000), &[])).unwrap_err().to_string().contains("20000"));
        let object = "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}";
        assert!(parse(&file(1, object, &[0; 8])).unwrap_err().to_string().contains("|O"));
    }

    #[test]
    fn damage_is_an_error_or_yields_an_array_of_the_same_size() {
        let whole = file(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", &floats(&[0.5; 6]));
        for len in 0..whole.len() {
            assert!(parse(&whole.slice(0..len).unwrap()).is_err(), "cut to {len}");
        }
        for at in 0..whole.len() - 24 {
            for bit in 0..8 {
                let mut bytes = whole.to_vec();
                bytes[at] ^= 1 << bit;
                // a flipped bit may yield another valid file
                if let Ok(tensor) = parse(&bytes.into()) {
                    assert_eq!(tensor.len() * tensor.dtype().size(), 24);
                }
            }
        }
    }
}
