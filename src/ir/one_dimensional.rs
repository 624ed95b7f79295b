//! 1-D inputs: values with one spatial axis, `channels x length`. After the checker they are feature maps of height 1, so that
//! one set of passes, kernels and gradients serves both. This module does the conversion.

use super::{Conv, Dim, Op, Pool, Shape, ShapeError, ShapedNetwork};

/// Whether a shape is `channels x length`.
pub(super) fn is_1d(shape: &Shape) -> bool {
    shape.dims().is_some_and(|dims| dims.len() == 2)
}

/// Shape inference for operators with 1-D operands.
pub(super) fn infer(op: &Op, inputs: &[Shape]) -> Result<Shape, ShapeError> {
    if inputs.contains(&Shape::Unknown) {
        return Ok(Shape::Unknown);
    }
    let map = inputs.iter().find(|shape| shape.dims().is_some_and(|dims| dims.len() == 3));
    if let (Some(map), Some(other)) = (map, inputs.iter().find(|shape| is_1d(shape))) {
        return Err(ShapeError::Unequal { op: op.word(), left: other.clone(), right: map.clone(), slot: 1 });
    }
    if !is_flat(op) {
        return Err(ShapeError::OneDimensional { op: op.word(), shape: inputs[0].clone() });
    }
    let lifted: Vec<Shape> = inputs.iter().map(lift).collect();
    Ok(drop_height(&super::infer(op, &lifted).map_err(|error| lower(error, inputs))?))
}

/// Whether an operator leaves the height axis alone.
fn is_flat(op: &Op) -> bool {
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
fn lower(error: ShapeError, inputs: &[Shape]) -> ShapeError {
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

/// Turns every 1-D value into a feature map of height 1.
pub(super) fn lift_all(network: &mut ShapedNetwork) {
    let graph = &mut network.network.graph;
    let ids: Vec<_> = graph.ids().filter(|&id| graph.node(id).op.is_batched()).collect();
    for id in ids {
        let shape = &mut network.shapes[id.index()];
        if !is_1d(shape) {
            continue;
        }
        *shape = lift(shape);
        network.lifted = true;
        if let Op::Input(declared) = &mut graph.node_mut(id).op {
            declared.clone_from(shape);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{Epilogue, PoolKind};

    fn conv(kernel: [usize; 2], stride: [usize; 2], pad: [[usize; 2]; 2]) -> Op {
        Op::Conv(Conv {
            filters: 8,
            kernel,
            stride,
            pad,
            dilation: [1, 1],
            groups: 1,
            bias: false,
            epilogue: Epilogue::default(),
        })
    }

    #[test]
    fn one_dimensional_values_keep_their_axis() {
        let x = Shape::fixed(&[2, 1000]);
        let infer_one = |op: &Op| super::super::infer(op, std::slice::from_ref(&x));
        assert_eq!(infer_one(&conv([1, 7], [1, 2], [[0, 0], [3, 3]])), Ok(Shape::fixed(&[8, 500])));
        assert_eq!(infer_one(&Op::AdaptiveAvgPool([1, 1])), Ok(Shape::fixed(&[2, 1])));
        assert_eq!(infer_one(&Op::Flatten), Ok(Shape::fixed(&[2000])));
        assert_eq!(super::super::infer(&Op::Mul, &[x.clone(), Shape::fixed(&[2, 1])]), Ok(x.clone()));
        let pool = Pool { kind: PoolKind::MAX, kernel: [1, 3], stride: [1, 2], pad: [[0, 0], [1, 1]], ceil: false };
        assert_eq!(infer_one(&Op::Pool(pool)), Ok(Shape::fixed(&[2, 500])));
    }

    #[test]
    fn two_dimensional_sizes_are_refused() {
        let x = Shape::fixed(&[2, 1000]);
        let infer_one = |op: &Op| super::super::infer(op, std::slice::from_ref(&x));
        assert!(matches!(infer_one(&conv([3, 3], [1, 1], [[1, 1]; 2])), Err(ShapeError::OneDimensional { .. })));
        assert!(matches!(infer_one(&conv([1, 3], [2, 2], [[0, 0], [1, 1]])), Err(ShapeError::OneDimensional { .. })));
        assert!(matches!(infer_one(&Op::Subsample([2, 2])), Err(ShapeError::OneDimensional { .. })));
        let map = Shape::fixed(&[2, 1, 1000]);
        assert!(matches!(super::super::infer(&Op::Add, &[x, map]), Err(ShapeError::Unequal { .. })));
    }
}
