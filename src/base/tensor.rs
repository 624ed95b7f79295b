//! A tensor: sizes and values.

use std::borrow::Cow;
use std::sync::Arc;

/// Sizes and values, row-major. Cheap to clone: the values are shared.
#[derive(Clone, Debug)]
pub struct Tensor {
    shape: Vec<usize>,
    data: Data,
}

#[derive(Clone, Debug)]
enum Data {
    F32(Arc<[f32]>),
}

impl Tensor {
    /// A tensor that owns its values; `None` where their number is not the product of the sizes.
    pub fn from_f32(shape: Vec<usize>, values: impl Into<Arc<[f32]>>) -> Option<Tensor> {
        let values = values.into();
        let len = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))?;
        (len == values.len()).then_some(Tensor { shape, data: Data::F32(values) })
    }

    /// The sizes.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The values as f32: borrowed where they are stored so.
    pub fn to_f32(&self) -> Cow<'_, [f32]> {
        match &self.data {
            Data::F32(values) => Cow::Borrowed(values),
        }
    }
}
