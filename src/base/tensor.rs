//! Tensors as stored in files and read by the runtime: a shape and values.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use half::{bf16, f16};

use super::mmap::Bytes;

/// The type of a tensor's elements. Multi-byte elements are little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    /// IEEE 754 binary64.
    F64,
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary16.
    F16,
    /// The upper half of a binary32.
    BF16,
    /// Signed, 64 bits.
    I64,
    /// Signed, 32 bits.
    I32,
    /// Signed, 16 bits.
    I16,
    /// Signed, 8 bits.
    I8,
    /// Unsigned, 8 bits.
    U8,
    /// One byte, 0 for false.
    Bool,
}

impl DType {
    /// Size of an element in bytes.
    pub fn size(self) -> usize {
        match self {
            DType::F64 | DType::I64 => 8,
            DType::F32 | DType::I32 => 4,
            DType::F16 | DType::BF16 | DType::I16 => 2,
            DType::I8 | DType::U8 | DType::Bool => 1,
        }
    }

    /// Whether the elements are floating-point numbers, as weights are.
    pub fn is_float(self) -> bool {
        matches!(self, DType::F64 | DType::F32 | DType::F16 | DType::BF16)
    }

    /// The safetensors name, which is also used in messages.
    pub fn name(self) -> &'static str {
        match self {
            DType::F64 => "F64",
            DType::F32 => "F32",
            DType::F16 => "F16",
            DType::BF16 => "BF16",
            DType::I64 => "I64",
            DType::I32 => "I32",
            DType::I16 => "I16",
            DType::I8 => "I8",
            DType::U8 => "U8",
            DType::Bool => "BOOL",
        }
    }

    /// The type with that [`DType::name`].
    pub fn from_name(name: &str) -> Option<DType> {
        const ALL: [DType; 10] = [
            DType::F64,
            DType::F32,
            DType::F16,
            DType::BF16,
            DType::I64,
            DType::I32,
            DType::I16,
            DType::I8,
            DType::U8,
            DType::Bool,
        ];
        ALL.into_iter().find(|d| d.name() == name)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A Rust type whose values a buffer can hold: any bytes are valid values.
pub trait Element: bytemuck::Pod {
    /// The type in buffers and files.
    const DTYPE: DType;
}

impl Element for f32 {
    const DTYPE: DType = DType::F32;
}

impl Element for i64 {
    const DTYPE: DType = DType::I64;
}

impl Element for i32 {
    const DTYPE: DType = DType::I32;
}

/// A shape and row-major values. Cheap to clone: the values are shared or in a mapped file.
#[derive(Clone, Debug)]
pub struct Tensor {
    shape: Vec<usize>,
    data: Data,
}

#[derive(Clone, Debug)]
enum Data {
    F32(Arc<[f32]>),
    Stored(DType, Bytes),
}

/// The product of the sizes; `None` if it overflows.
pub fn count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))
}

/// The sizes up to the last one that is not 1.
pub fn without_ones(sizes: &[usize]) -> &[usize] {
    let end = sizes.iter().rposition(|&size| size != 1).map_or(0, |last| last + 1);
    &sizes[..end]
}

impl Tensor {
    /// A tensor that owns its values; `None` if the number of values does not match the shape.
    pub fn from_f32(shape: Vec<usize>, values: impl Into<Arc<[f32]>>) -> Option<Tensor> {
        let values = values.into();
        (count(&shape)? == values.len()).then_some(Tensor { shape, data: Data::F32(values) })
    }

    /// A tensor over stored bytes, of any alignment; `None` if their number does not match the shape and element size.
    pub fn from_bytes(shape: Vec<usize>, dtype: DType, bytes: Bytes) -> Option<Tensor> {
        let expected = count(&shape)?.checked_mul(dtype.size())?;
        (expected == bytes.len()).then_some(Tensor { shape, data: Data::Stored(dtype, bytes) })
    }

    /// The shape.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Whether it has these sizes, up to axes of size 1 at the end: a matrix is a 1x1 convolution's weight. Numbers of channels can
    /// also have such axes in front: `1 x C x 1 x 1`.
    pub fn has_sizes(&self, sizes: &[usize]) -> bool {
        match sizes {
            [_] => self.shape.iter().filter(|size| **size != 1).eq(sizes.iter().filter(|size| **size != 1)),
            _ => without_ones(&self.shape) == without_ones(sizes),
        }
    }

    /// The same values with these sizes; `None` unless [`Tensor::has_sizes`].
    pub fn with_sizes(&self, sizes: &[usize]) -> Option<Tensor> {
        self.has_sizes(sizes).then(|| Tensor { shape: sizes.to_vec(), data: self.data.clone() })
    }

    /// The values, if stored as f32 and aligned.
    pub fn as_f32(&self) -> Option<&[f32]> {
        match &self.data {
            Data::F32(values) => Some(values),
            Data::Stored(DType::F32, bytes) if cfg!(target_endian = "little") => bytemuck::try_cast_slice(bytes).ok(),
            Data::Stored(..) => None,
        }
    }

    /// Hints that the values will not be read soon: see [`Bytes::release`].
    pub fn release(&self) {
        match &self.data {
            Data::F32(_) => {}
            Data::Stored(_, bytes) => bytes.release(),
        }
    }

    /// Whether the values are in a mapped file.
    pub fn is_mapped(&self) -> bool {
        matches!(&self.data, Data::Stored(_, bytes) if bytes.is_mapped())
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        match &self.data {
            Data::F32(values) => values.len(),
            Data::Stored(dtype, bytes) => bytes.len() / dtype.size(),
        }
    }

    /// Bytes of the values as stored.
    pub fn byte_len(&self) -> usize {
        self.len() * self.dtype().size()
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The type in which the values are stored.
    pub fn dtype(&self) -> DType {
        match &self.data {
            Data::F32(_) => DType::F32,
            Data::Stored(dtype, _) => *dtype,
        }
    }

    /// The values as f32: borrowed if stored as aligned f32, otherwise converted (f64 and integers are rounded to nearest).
    pub fn to_f32(&self) -> Cow<'_, [f32]> {
        if let Some(values) = self.as_f32() {
            return Cow::Borrowed(values);
        }
        let (dtype, bytes) = match &self.data {
            Data::F32(values) => return Cow::Borrowed(values),
            Data::Stored(dtype, bytes) => (*dtype, bytes),
        };
        Cow::Owned(match dtype {
            DType::F64 => convert(bytes, |b| f64::from_le_bytes(b) as f32),
            DType::F32 => convert(bytes, f32::from_le_bytes),
            DType::F16 => convert(bytes, |b| f16::from_le_bytes(b).to_f32()),
            DType::BF16 => convert(bytes, |b| bf16::from_le_bytes(b).to_f32()),
            DType::I64 => convert(bytes, |b| i64::from_le_bytes(b) as f32),
            DType::I32 => convert(bytes, |b| i32::from_le_bytes(b) as f32),
            DType::I16 => convert(bytes, |b| f32::from(i16::from_le_bytes(b))),
            DType::I8 => convert(bytes, |b| f32::from(i8::from_le_bytes(b))),
            DType::U8 => convert(bytes, |[b]| f32::from(b)),
            DType::Bool => convert(bytes, |[b]| f32::from(u8::from(b != 0))),
        })
    }

    /// The values as little-endian bytes in [`Tensor::dtype`], as files store them.
    pub fn to_le_bytes(&self) -> Cow<'_, [u8]> {
        match &self.data {
            Data::Stored(_, bytes) => Cow::Borrowed(bytes),
            Data::F32(values) if cfg!(target_endian = "little") => Cow::Borrowed(bytemuck::cast_slice(values)),
            Data::F32(values) => Cow::Owned(values.iter().flat_map(|v| v.to_le_bytes()).collect()),
        }
    }
}

fn convert<const N: usize>(bytes: &[u8], one: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes.as_chunks::<N>().0.iter().map(|&b| one(b)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_must_agree() {
        assert!(Tensor::from_f32(vec![2, 3], vec![0.0; 6]).is_some());
        assert!(Tensor::from_f32(vec![2, 3], vec![0.0; 5]).is_none());
        assert!(Tensor::from_f32(vec![usize::MAX, 2], vec![0.0; 6]).is_none());
        assert!(Tensor::from_bytes(vec![2], DType::F16, vec![0; 4].into()).is_some());
        assert!(Tensor::from_bytes(vec![usize::MAX / 4], DType::F64, vec![0; 4].into()).is_none());
    }

    #[test]
    fn every_type_widens() {
        let case = |dtype, bytes: &[u8], expected: f32| {
            // offset by one byte, so that the data is unaligned
            let mut shifted = vec![0u8];
            shifted.extend_from_slice(bytes);
            let bytes = Bytes::from(shifted).slice(1..1 + bytes.len()).unwrap();
            let tensor = Tensor::from_bytes(vec![1], dtype, bytes).unwrap();
            assert_eq!(tensor.to_f32()[..], [expected], "{dtype}");
            assert_eq!(tensor.len(), 1);
        };
        case(DType::F64, &(-1.5f64).to_le_bytes(), -1.5);
        case(DType::F32, &(-1.5f32).to_le_bytes(), -1.5);
        case(DType::F16, &f16::from_f32(-1.5).to_le_bytes(), -1.5);
        case(DType::BF16, &bf16::from_f32(-1.5).to_le_bytes(), -1.5);
        case(DType::I64, &(-7i64).to_le_bytes(), -7.0);
        case(DType::I32, &(-7i32).to_le_bytes(), -7.0);
        case(DType::I16, &(-7i16).to_le_bytes(), -7.0);
        case(DType::I8, &(-7i8).to_le_bytes(), -7.0);
        case(DType::U8, &[200], 200.0);
        case(DType::Bool, &[2], 1.0);
    }

    #[test]
    fn stored_f32_is_borrowed_where_aligned() {
        let values = [1.0f32, 2.0, 3.0];
        let tensor = Tensor::from_f32(vec![3], values.to_vec()).unwrap();
        assert!(matches!(tensor.to_f32(), Cow::Borrowed(_)));
        let bytes = Bytes::from(tensor.to_le_bytes().into_owned());
        for offset in 0..4 {
            let mut shifted = vec![0u8; offset];
            shifted.extend_from_slice(&bytes);
            let bytes = Bytes::from(shifted).slice(offset..offset + 12).unwrap();
            assert_eq!(*Tensor::from_bytes(vec![3], DType::F32, bytes).unwrap().to_f32(), values);
        }
    }

    #[test]
    fn names_are_read_back() {
        for name in ["F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL"] {
            assert_eq!(DType::from_name(name).unwrap().name(), name);
        }
        assert_eq!(DType::from_name("F8_E4M3"), None);
    }
}
