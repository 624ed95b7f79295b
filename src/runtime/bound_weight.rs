//! A parameter in the layout that a step needs.

use crate::base::tensor::Tensor;
use crate::kernels::Aligned;

/// A parameter ready for its kernel.
#[derive(Debug)]
pub(super) enum BoundWeight {
    /// Derived or packed here.
    Made(Aligned),
    /// Used as stored, without a copy.
    Stored(Tensor),
    /// Derived or packed when the artifact was written, and used from its file.
    Mapped(Tensor),
}

impl BoundWeight {
    /// The values.
    pub fn values(&self) -> &[f32] {
        match self {
            BoundWeight::Made(values) => values,
            // anything that is not stored as f32 was converted
            BoundWeight::Stored(tensor) | BoundWeight::Mapped(tensor) => tensor.as_f32().unwrap_or(&[]),
        }
    }
}
