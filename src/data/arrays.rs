//! Normalized samples and their labels, in two `.npy` files.

use std::path::{Path, PathBuf};

use super::labels::LabelRange;
use super::{DataError, Dataset, Sample, Values};
use crate::base::tensor::{DType, Tensor};
use crate::formats::npy;

/// Samples of shape `N x C x H x W`, or 1-D samples of shape `N x C x L`, with class labels of shape `N`.
pub(super) struct Arrays {
    path: PathBuf,
    samples: Tensor,
    size: [usize; 3],
    labels: Vec<u32>,
}

impl Arrays {
    /// Opens both. float32 samples stay memory-mapped; other floating-point types are converted.
    pub fn open(samples: &Path, labels: &Path, range: LabelRange) -> Result<Arrays, DataError> {
        let invalid = |path: &Path, reason: String| DataError::Invalid { path: path.display().to_string(), reason };
        let array = npy::read_tensor(samples)?;
        let (count, size) = match *array.shape() {
            [count, channels, height, width] => (count, [channels, height, width]),
            [count, channels, length] => (count, [channels, 1, length]),
            ref other => {
                let reason = format!("has shape {other:?}, but samples are batch x channels x height x width (or length)");
                return Err(invalid(samples, reason));
            }
        };
        if !array.dtype().is_float() {
            let dtype = array.dtype();
            return Err(invalid(samples, format!("contains {dtype}, but samples are normalized floating-point numbers")));
        }
        if array.is_empty() {
            return Err(DataError::Empty { path: samples.display().to_string() });
        }
        let given = npy::read_tensor(labels)?;
        let &[labeled] = given.shape() else {
            return Err(invalid(
                labels,
                format!("has shape {:?}, but labels are a list with one class per sample", given.shape()),
            ));
        };
        if labeled != count {
            return Err(DataError::Counts {
                samples_path: samples.display().to_string(),
                samples: count,
                labels_path: labels.display().to_string(),
                labels: labeled,
            });
        }
        let numbers = integers(&given).ok_or_else(|| {
            let dtype = given.dtype();
            invalid(labels, format!("contains {dtype}, but labels are integers: int64, int32 or uint8"))
        })?;
        let labels = range.check(labels.display(), numbers)?;
        let array = match array.as_f32() {
            Some(_) => array,
            None => Tensor::from_f32(array.shape().to_vec(), array.to_f32().into_owned()).unwrap_or(array),
        };
        Ok(Arrays { path: samples.to_path_buf(), samples: array, size, labels })
    }
}

/// The values of an integer array; `None` for other types.
fn integers(array: &Tensor) -> Option<Vec<i64>> {
    let bytes = array.to_le_bytes();
    Some(match array.dtype() {
        DType::I64 => bytes.as_chunks().0.iter().map(|&b| i64::from_le_bytes(b)).collect(),
        DType::I32 => bytes.as_chunks().0.iter().map(|&b| i32::from_le_bytes(b).into()).collect(),
        DType::I16 => bytes.as_chunks().0.iter().map(|&b| i16::from_le_bytes(b).into()).collect(),
        DType::I8 => bytes.iter().map(|&b| i64::from(b as i8)).collect(),
        DType::U8 => bytes.iter().map(|&b| b.into()).collect(),
        DType::F64 | DType::F32 | DType::F16 | DType::BF16 | DType::Bool => return None,
    })
}

impl Dataset for Arrays {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn classes(&self) -> &[String] {
        &[]
    }

    fn label(&self, index: usize) -> u32 {
        self.labels.get(index).copied().unwrap_or(0)
    }

    fn read(&self, index: usize) -> Result<Sample, DataError> {
        let len = self.size.iter().product::<usize>();
        let values = index.checked_mul(len).and_then(|start| self.samples.as_f32()?.get(start..)?.get(..len));
        let data = values.ok_or_else(|| super::error::out_of_range(self.name(index)))?.to_vec();
        if let Some(value) = data.iter().find(|v| !v.is_finite()) {
            return Err(DataError::Invalid {
                path: self.name(index),
                reason: format!("contains {value}, but samples are finite numbers"),
            });
        }
        Ok(Sample::Values(Values { size: self.size, data }))
    }

    fn name(&self, index: usize) -> String {
        format!("{}[{index}]", self.path.display())
    }

    fn size(&self, _: usize) -> Result<[usize; 3], DataError> {
        Ok(self.size)
    }

    fn common_size(&self) -> Option<[usize; 3]> {
        Some(self.size)
    }

    fn is_normalized(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An array of version 1.0.
    fn array(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let dict = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        // a short header also makes the data start at an address that is not a multiple of 4
        bytes.extend_from_slice(&(dict.len() as u16).to_le_bytes());
        bytes.extend_from_slice(dict.as_bytes());
        bytes.extend_from_slice(data);
        bytes
    }

    fn open(x: &[u8], y: &[u8], classes: Option<usize>) -> Result<Arrays, DataError> {
        let dir = tempfile::tempdir().unwrap();
        let (xs, ys) = (dir.path().join("x.npy"), dir.path().join("y.npy"));
        std::fs::write(&xs, x).unwrap();
        std::fs::write(&ys, y).unwrap();
        Arrays::open(&xs, &ys, LabelRange::of(classes))
    }

    fn samples() -> Vec<u8> {
        let values: Vec<u8> = (0..24).flat_map(|v| (v as f32).to_le_bytes()).collect();
        array("<f4", "(2, 3, 1, 4)", &values)
    }

    #[test]
    fn labels_may_have_any_integer_type() {
        let cases: [(&str, Vec<u8>); 4] = [
            ("<i8", [7i64, 1].iter().flat_map(|v| v.to_le_bytes()).collect()),
            ("<i4", [7i32, 1].iter().flat_map(|v| v.to_le_bytes()).collect()),
            (">i4", [7i32, 1].iter().flat_map(|v| v.to_be_bytes()).collect()),
            ("|u1", vec![7, 1]),
        ];
        for (descr, labels) in cases {
            let data = open(&samples(), &array(descr, "(2,)", &labels), Some(8)).unwrap();
            assert_eq!((data.len(), data.label(0), data.label(1), data.common_size()), (2, 7, 1, Some([3, 1, 4])), "{descr}");
            let Sample::Values(values) = data.read(1).unwrap() else { panic!("normalized") };
            assert_eq!(values.data, (12..24).map(|v| v as f32).collect::<Vec<f32>>());
            assert!(data.read(2).is_err() && data.read(usize::MAX).is_err());
        }
    }

    #[test]
    fn the_message_names_a_sample_that_is_not_finite() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let values: Vec<u8> = (0..24).flat_map(|v| (if v == 17 { bad } else { v as f32 }).to_le_bytes()).collect();
            let data = open(&array("<f4", "(2, 3, 1, 4)", &values), &array("|u1", "(2,)", &[0, 1]), None).unwrap();
            assert!(data.read(0).is_ok());
            let message = data.read(1).unwrap_err().to_string();
            assert!(message.contains("x.npy[1]` contains") && message.contains(&bad.to_string()), "{message}");
        }
    }

    #[test]
    fn arrays_that_do_not_fit_are_errors_with_a_reason() {
        let labels = array("|u1", "(2,)", &[7, 1]);
        let message = |x: &[u8], y: &[u8], classes| open(x, y, classes).err().unwrap().to_string();
        assert!(message(&samples(), &labels, Some(7)).contains("sample 0 has label 7, but the network has 7 classes"));
        let negative = array("<i4", "(2,)", &[1, 0, 0, 0, 255, 255, 255, 255]);
        assert!(message(&samples(), &negative, None).contains("sample 1 has label -1"));
        assert!(message(&samples(), &array("|u1", "(3,)", &[0; 3]), None).contains("2 samples, but"));
        assert!(message(&samples(), &array("|u1", "(2, 1)", &[0; 2]), None).contains("labels are a list"));
        assert!(message(&samples(), &array("<f4", "(2,)", &[0; 8]), None).contains("labels are integers"));
        assert!(message(&array("|u1", "(2, 1, 1, 1)", &[0; 2]), &labels, None).contains("normalized"));
        assert!(message(&array("<f4", "(2, 3)", &[0; 24]), &labels, None).contains("batch x channels"));
        assert!(open(&array("<f4", "(2, 3, 4)", &samples()[samples().len() - 96..]), &labels, None).is_ok());
        assert!(message(&array("<f4", "(0, 1, 1, 1)", &[]), &array("|u1", "(0,)", &[]), None).contains("no samples"));
    }
}
