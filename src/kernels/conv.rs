//! Common types of the convolution kernels: sizes, operands, and the epilogue.

use super::elementwise::{Activation, apply};
use super::isa::Isa;

/// The sizes of a convolution (cross-correlation). Weight `[filters, channels / groups, kernel]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvShape {
    /// Samples.
    pub batch: usize,
    /// Input channels.
    pub channels: usize,
    /// Input height and width.
    pub input: [usize; 2],
    /// Output channels.
    pub filters: usize,
    /// Output height and width.
    pub output: [usize; 2],
    /// Kernel size: height, width.
    pub kernel: [usize; 2],
    /// Stride: vertical, horizontal.
    pub stride: [usize; 2],
    /// Zero padding: `[[top, bottom], [left, right]]`.
    pub pad: [[usize; 2]; 2],
    /// Dilation.
    pub dilation: [usize; 2],
    /// Groups of channels.
    pub groups: usize,
}

impl ConvShape {
    /// Values that contribute to one output: channels of a group times kernel elements.
    pub fn depth(&self) -> usize {
        self.channels / self.groups * self.kernel[0] * self.kernel[1]
    }

    /// Pixels of an output feature map.
    pub fn pixels(&self) -> usize {
        self.output[0] * self.output[1]
    }

    /// Multiply-adds.
    pub fn macs(&self) -> u64 {
        (self.batch * self.filters * self.pixels()) as u64 * self.depth() as u64
    }

    /// Whether each output pixel only reads the input pixel at the same position, so that no im2col is needed.
    pub fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1] && self.stride == [1, 1] && self.pad == [[0; 2]; 2]
    }

    /// The sizes of the input.
    pub fn input_sizes(&self) -> [usize; 4] {
        [self.batch, self.channels, self.input[0], self.input[1]]
    }

    /// The sizes of the output.
    pub fn output_sizes(&self) -> [usize; 4] {
        [self.batch, self.filters, self.output[0], self.output[1]]
    }
}

/// The subrange of `count` outputs, starting at output `x`, that read inside a row of `len` elements.
pub(crate) fn range_inside(x: usize, count: usize, len: usize, stride: usize, dx: isize) -> std::ops::Range<usize> {
    let first = if dx >= 0 { 0 } else { dx.unsigned_abs().div_ceil(stride) };
    let last = usize::try_from(len as isize - dx).unwrap_or(0).div_ceil(stride);
    let start = first.saturating_sub(x).min(count);
    start..last.saturating_sub(x).clamp(start, count)
}

/// What is added to the output besides the bias.
#[derive(Clone, Copy, Debug)]
pub enum Residual<'a> {
    /// Nothing.
    None,
    /// The current contents of the output buffer, for kernels that do not store intermediate sums there.
    InPlace,
    /// A value with the sizes and layout of the output.
    From(&'a [f32]),
}

/// What a kernel does to its output before storing it: adds the bias of the filter, adds the residual, applies the activation.
#[derive(Clone, Copy, Debug)]
pub struct Epilogue<'a> {
    /// One value per filter.
    pub bias: Option<&'a [f32]>,
    /// Added next.
    pub residual: Residual<'a>,
    /// Applied last.
    pub act: Option<Activation<'a>>,
}

impl Epilogue<'_> {
    /// Finishes a row of sums of one filter, at offset `start` of the output. The residual must not be in the output.
    pub(crate) fn finish(&self, isa: Isa, filter: usize, start: usize, sums: &mut [f32]) {
        let bias = self.bias.map_or(0.0, |b| b[filter]);
        let clamp = Activation::clamp(self.act);
        match self.residual {
            Residual::From(r) => {
                let r = &r[start..][..sums.len()];
                sums.iter_mut().zip(r).for_each(|(s, &r)| *s = clamp.of(*s + bias + r));
            }
            Residual::InPlace => unreachable!("a residual in place"),
            Residual::None => sums.iter_mut().for_each(|s| *s = clamp.of(*s + bias)),
        }
        if let Some(code) = Activation::program(self.act) {
            apply(isa, code, usize::MAX, sums);
        }
    }
}

/// The operands of a convolution.
#[derive(Clone, Copy, Debug)]
pub struct ConvOperands<'a> {
    /// The input.
    pub x: &'a [f32],
    /// The weight, in the layout that the kernel requires.
    pub weight: &'a [f32],
    /// What is done to the output.
    pub epilogue: Epilogue<'a>,
}
