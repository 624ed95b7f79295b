//! Values in another order, each by its definition.

use super::array::Array;
use crate::ir::Rearrange;

/// The values of the result: axes are split, permuted and merged, one value at a time.
pub(super) fn rearranged(rearrange: &Rearrange, x: &Array) -> Vec<f64> {
    let size = |axis: usize| x.shape.get(axis).copied().unwrap_or(1);
    let sample = [size(1), size(2), size(3)];
    let moves = rearrange.moves(sample);
    let len: usize = sample.iter().product();
    let from = |to: usize| {
        // the coordinates of the value in the result, from the last axis, and its position in the operand
        let mut rest = to;
        let mut at = vec![0; moves.sizes.len()];
        for &axis in moves.order.iter().rev() {
            at[axis] = rest % moves.sizes[axis];
            rest /= moves.sizes[axis];
        }
        at.iter().zip(&moves.sizes).fold(0, |position, (i, size)| position * size + i)
    };
    (0..x.data.len()).map(|i| x.data[i / len * len + from(i % len)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{SquareOrder, Squares};

    /// The order in which the values of a sample of these sizes are read.
    fn order(rearrange: Rearrange, [c, h, w]: [usize; 3]) -> Vec<usize> {
        let data = (0..c * h * w).map(|i| i as f64).collect();
        rearranged(&rearrange, &Array { shape: vec![1, c, h, w], data }).iter().map(|&v| v as usize).collect()
    }

    /// The values of PyTorch 2.15 (`ByChannel`) and ONNX's reference implementation (`ByPixel`).
    #[test]
    fn the_orders_are_those_of_pytorch_and_onnx() {
        let squares = |order| Squares { side: 2, order };
        let [pytorch, onnx] = [SquareOrder::ByChannel, SquareOrder::ByPixel].map(squares);
        assert_eq!(order(Rearrange::Shuffle(2), [6, 1, 1]), [0, 3, 1, 4, 2, 5]);
        assert_eq!(order(Rearrange::DepthToSpace(pytorch), [4, 2, 2]), [0, 4, 1, 5, 8, 12, 9, 13, 2, 6, 3, 7, 10, 14, 11, 15]);
        assert_eq!(order(Rearrange::DepthToSpace(pytorch), [8, 1, 1]), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(order(Rearrange::DepthToSpace(onnx), [8, 1, 2]), [0, 4, 1, 5, 8, 12, 9, 13, 2, 6, 3, 7, 10, 14, 11, 15]);
        assert_eq!(order(Rearrange::SpaceToDepth(pytorch), [1, 4, 4]), [0, 2, 8, 10, 1, 3, 9, 11, 4, 6, 12, 14, 5, 7, 13, 15]);
        assert_eq!(order(Rearrange::SpaceToDepth(onnx), [2, 2, 4]), [0, 2, 8, 10, 1, 3, 9, 11, 4, 6, 12, 14, 5, 7, 13, 15]);
        assert_eq!(order(Rearrange::SpaceToDepth(pytorch), [2, 2, 4]), [0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15]);
        assert_eq!(order(Rearrange::Transpose([1, 2, 0]), [2, 1, 3]), [0, 3, 1, 4, 2, 5]);
    }
}
