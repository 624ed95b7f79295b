//! 1-D inputs: values with one spatial axis, `channels x length`. After the checker they are feature maps of height 1, so that
//! one set of passes, kernels and gradients serves both. These are the conversions of shapes.

use super::{Conv, Dim, Op, Pool, Shape, ShapeError};

/// Whether a shape is `channels x length`.
pub(super) fn is_1d(shape: &Shape) -> bool {
    shape.dims().is_some_and(|dims| dims.len() == 2)
}

/// Whether an operator leaves the height axis alone.
pub(super) fn is_flat(op: &Op) -> bool {
    match op {
        Op::Conv(Conv { kernel, stride, pad, dilation, .. }) => {
            kernel[0] == 1 && stride[0] == 1 && pad[0] == [0, 0] && dilation[0] == 1
        }
        Op::Pool(pool @ Pool { kernel, stride, pad, .. }) => {
            kernel[0] == 1 && stride[0] == 1 && pad[0] == [0, 0] && pool.dilation()[0] == 1
        }
        Op::AdaptiveAvgPool(size) | Op::Subsample(size) | Op::Upsample(Some(size)) => size[0] == 1,
        Op::Pad(pad) => pad.sides[0] == [0, 0],
        Op::Input(_)
        | Op::BatchNorm(_)
        | Op::Act(_)
        | Op::Add
        | Op::Mul
        | Op::Concat
        | Op::GlobalMaxPool
        | Op::Flatten
        | Op::Linear(_)
        | Op::Softmax
        | Op::Dropout(_)
        | Op::Upsample(None)
        | Op::Clamp(_)
        | Op::Scale(_)
        | Op::Train(_) => true,
    }
}

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
