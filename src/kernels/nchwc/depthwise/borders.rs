//! Which kernel elements are inside of the feature map.

use std::ops::Range;

use crate::kernels::ConvShape;
use crate::kernels::conv::range_inside;

/// The kernel elements of an output's row or column that are inside the feature map, and where the first one is.
pub(super) fn inside(shape: &ConvShape, axis: usize, at: usize) -> (Range<usize>, usize) {
    let from = (at * shape.stride[axis]) as isize - shape.pad[axis][0] as isize;
    let elements = range_inside(0, shape.kernel[axis], shape.input[axis], shape.dilation[axis], from);
    let pixel = if elements.is_empty() { 0 } else { (from + (elements.start * shape.dilation[axis]) as isize) as usize };
    (elements, pixel)
}

/// The output columns whose kernel elements are all inside the feature map.
pub(super) fn complete(shape: &ConvShape) -> Range<usize> {
    let (w, ow) = (shape.input[1], shape.output[1]);
    let (stride, left, reach) = (shape.stride[1], shape.pad[1][0], reach(shape, 1));
    let first = left.div_ceil(stride).min(ow);
    let last = if w + left >= reach { ((w + left - reach) / stride + 1).clamp(first, ow) } else { first };
    first..last
}

/// Rows or columns from the first kernel element to the last.
pub(super) fn reach(shape: &ConvShape, axis: usize) -> usize {
    (shape.kernel[axis] - 1) * shape.dilation[axis] + 1
}
