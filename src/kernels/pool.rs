//! The sizes of pooling, and the windows that follow from them.

use std::ops::Range;

/// The kind of pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PoolKind {
    /// Maximum; padding is never selected.
    Max,
    /// Average.
    Avg {
        /// Whether padding counts in the divisor (`count_include_pad`).
        count_pad: bool,
    },
}

/// A pool with windows. Windows that extend past the padding (output sizes rounded up) are clipped there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PoolShape {
    /// The kind of pooling.
    pub kind: PoolKind,
    /// Number of feature maps: samples times channels.
    pub maps: usize,
    /// Height and width of the input.
    pub input: [usize; 2],
    /// Height and width of the output.
    pub output: [usize; 2],
    /// Kernel size.
    pub kernel: [usize; 2],
    /// Stride.
    pub stride: [usize; 2],
    /// Padding.
    pub pad: [[usize; 2]; 2],
    /// Dilation.
    pub dilation: [usize; 2],
}

/// The range of an axis that one window covers.
pub(super) struct Window {
    /// First element inside the input.
    pub start: usize,
    /// Number of elements inside the input.
    pub count: usize,
    /// Distance between elements.
    pub step: usize,
    /// Number of elements including padding.
    pub padded: usize,
}

impl Window {
    pub fn new(shape: &PoolShape, axis: usize, step: usize) -> Window {
        let [before, after] = shape.pad[axis];
        let (len, dilation) = (shape.input[axis], shape.dilation[axis]);
        let from = step * shape.stride[axis];
        // number of the window's elements before position `end` of the padded axis
        let until = |end: usize| end.saturating_sub(from).div_ceil(dilation).min(shape.kernel[axis]);
        let (first, last) = (until(before), until(before + len));
        let start = (from + first * dilation).saturating_sub(before).min(len);
        Window { start, count: last - first, step: dilation, padded: until(before + len + after) }
    }

    /// Positions of the elements inside the input.
    pub fn places(&self) -> impl Iterator<Item = usize> + Clone + use<> {
        let Window { start, count, step, .. } = *self;
        (0..count).map(move |i| start + i * step)
    }

    /// The output columns, out of `columns`, whose window is entirely inside the input.
    pub fn inside(shape: &PoolShape, columns: usize) -> Range<usize> {
        let (stride, left) = (shape.stride[1], shape.pad[1][0]);
        let extent = (shape.kernel[1] - 1) * shape.dilation[1] + 1;
        let first = left.div_ceil(stride).min(columns);
        let last = (shape.input[1] + left).checked_sub(extent).map_or(first, |rest| (rest / stride + 1).clamp(first, columns));
        first..last
    }
}
