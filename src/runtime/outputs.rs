//! The named outputs of a run.

use ndarray::ArrayD;

use crate::base::tensor::DType;

/// The array of an output. Almost every output has f32; class indices, for example, are integers.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum OutputArray {
    /// 32-bit floating point.
    F32(ArrayD<f32>),
    /// Signed, 64 bits.
    I64(ArrayD<i64>),
    /// Signed, 32 bits.
    I32(ArrayD<i32>),
}

impl OutputArray {
    /// An array of zeros; `None` if outputs have no such type.
    pub(crate) fn zeros(dtype: DType, shape: &[usize]) -> Option<OutputArray> {
        match dtype {
            DType::F32 => Some(OutputArray::F32(ArrayD::zeros(shape))),
            DType::I64 => Some(OutputArray::I64(ArrayD::zeros(shape))),
            DType::I32 => Some(OutputArray::I32(ArrayD::zeros(shape))),
            _ => None,
        }
    }

    /// Its memory, for a run to write to.
    pub(crate) fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        match self {
            OutputArray::F32(array) => array.as_slice_mut().map(bytemuck::cast_slice_mut),
            OutputArray::I64(array) => array.as_slice_mut().map(bytemuck::cast_slice_mut),
            OutputArray::I32(array) => array.as_slice_mut().map(bytemuck::cast_slice_mut),
        }
    }

    /// The array, if its elements are f32.
    pub fn as_f32(&self) -> Option<&ArrayD<f32>> {
        match self {
            OutputArray::F32(array) => Some(array),
            _ => None,
        }
    }

    /// The sizes of its axes.
    pub fn shape(&self) -> &[usize] {
        match self {
            OutputArray::F32(array) => array.shape(),
            OutputArray::I64(array) => array.shape(),
            OutputArray::I32(array) => array.shape(),
        }
    }
}

/// The outputs of a run, in declaration order. The first axis of each is the batch.
///
/// The main output is f32, and so are almost all others: [`Outputs::get`] and the iterators are for those. [`Outputs::array`]
/// returns an output of any type.
#[derive(Clone, Debug, PartialEq)]
pub struct Outputs {
    /// The first is the main one, and f32.
    list: Vec<(String, OutputArray)>,
}

impl Outputs {
    /// `None` unless there is a main output, and it is f32.
    pub(crate) fn new(list: Vec<(String, OutputArray)>) -> Option<Self> {
        list.first().is_some_and(|(_, main)| main.as_f32().is_some()).then_some(Outputs { list })
    }

    /// The output with that name, if its elements are f32.
    pub fn get(&self, name: &str) -> Option<&ArrayD<f32>> {
        self.array(name)?.as_f32()
    }

    /// The output with that name, of any type.
    pub fn array(&self, name: &str) -> Option<&OutputArray> {
        self.list.iter().find(|(n, _)| n == name).map(|(_, array)| array)
    }

    /// The main output, which is the first. Every network has one, and its elements are f32.
    pub fn main(&self) -> &ArrayD<f32> {
        let (name, main) = &self.list[0];
        main.as_f32().unwrap_or_else(|| unreachable!("the main output `{name}` is not f32"))
    }

    /// All f32 outputs with their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ArrayD<f32>)> {
        self.arrays().filter_map(|(name, array)| Some((name, array.as_f32()?)))
    }

    /// All outputs with their names, of any type.
    pub fn arrays(&self) -> impl Iterator<Item = (&str, &OutputArray)> {
        self.list.iter().map(|(name, array)| (name.as_str(), array))
    }

    /// All outputs with their names, of any type, without a copy.
    pub fn into_arrays(self) -> impl Iterator<Item = (String, OutputArray)> {
        self.list.into_iter()
    }
}

/// Over the f32 outputs; [`Outputs::into_arrays`] is over all.
impl IntoIterator for Outputs {
    type Item = (String, ArrayD<f32>);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        let f32_only = |(name, array)| match array {
            OutputArray::F32(array) => Some((name, array)),
            _ => None,
        };
        self.list.into_iter().filter_map(f32_only).collect::<Vec<_>>().into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_of_other_types_are_found_by_name() {
        let zeros = |dtype| OutputArray::zeros(dtype, &[2, 3]).unwrap();
        let list = || vec![("scores".to_owned(), zeros(DType::F32)), ("labels".to_owned(), zeros(DType::I64))];
        let outputs = Outputs::new(list()).unwrap();
        assert_eq!(outputs.main().shape(), [2, 3]);
        assert!(outputs.get("labels").is_none());
        assert!(matches!(outputs.array("labels"), Some(OutputArray::I64(labels)) if labels.shape() == [2, 3]));
        assert_eq!(outputs.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["scores"]);
        assert_eq!(outputs.arrays().map(|(name, y)| (name, y.shape())).last(), Some(("labels", &[2, 3][..])));
        assert_eq!(outputs.clone().into_arrays().count(), 2);
        assert_eq!(outputs.into_iter().count(), 1);
        // the main output is f32
        assert!(Outputs::new(list().into_iter().rev().collect()).is_none());
        assert!(Outputs::new(Vec::new()).is_none());
        assert!(OutputArray::zeros(DType::F16, &[1]).is_none());
    }
}
