//! 1-D inputs: values with one spatial axis, `channels x length`. After the checker they are feature maps of height 1, so that
//! one set of passes, kernels and gradients serves both. These are the conversions of shapes.

use super::{Dim, Shape, ShapeError};

/// `channels x length` as `channels x 1 x length`; other shapes unchanged.
pub fn lift(shape: &Shape) -> Shape {
    match shape.dims() {
        Some(&[channels, length]) => Shape::Known(vec![channels, Dim::Fixed(1), length]),
        _ => shape.clone(),
    }
}

/// `channels x 1 x length` as `channels x length`.
pub(super) fn drop_height(shape: &Shape) -> Shape {
    match shape.dims() {
        Some(&[channels, Dim::Fixed(1), length]) => Shape::Known(vec![channels, length]),
        _ => shape.clone(),
    }
}

/// Rewrites an error about feature maps in terms of the 1-D operands.
pub(super) fn lower(error: ShapeError, inputs: &[Shape]) -> ShapeError {
    match error {
        ShapeError::Unequal { op, left, right, slot } => {
            ShapeError::Unequal { op, left: drop_height(&left), right: drop_height(&right), slot }
        }
        ShapeError::Rank { op, needs, got } => ShapeError::Rank { op, needs, got: drop_height(&got) },
        ShapeError::FreeCeil { op, .. } => ShapeError::FreeCeil { op, shape: inputs[0].clone() },
        ShapeError::Free { op, .. } => ShapeError::Free { op, shape: inputs[0].clone() },
        other => other,
    }
}
