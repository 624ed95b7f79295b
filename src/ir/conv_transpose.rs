//! Transposed convolutions, which are the gradients of convolutions with respect to their operands.

use super::attrs::{Conv, Epilogue, Pair, Sides};

/// A transposed convolution (PyTorch's `ConvTranspose2d`): each value of the operand adds a window of values to the result. Weight
/// `[channels, filters / groups, kh, kw]`.
#[derive(Clone, Debug, PartialEq)]
pub struct ConvTranspose {
    /// Output channels.
    pub filters: usize,
    /// Window.
    pub kernel: Pair,
    /// The step between the windows of neighboring values.
    pub stride: Pair,
    /// Rows and columns that the result leaves out at its sides.
    pub pad: Sides,
    /// More rows at the bottom and columns on the right.
    pub output_padding: Pair,
    /// Distance between kernel elements.
    pub dilation: Pair,
    /// The number of channel groups.
    pub groups: usize,
    /// Whether it has a bias.
    pub bias: bool,
}

impl ConvTranspose {
    /// The convolution without bias of which it is the gradient, for an operand of this many channels: the same weight takes its
    /// `filters` channels back to `channels` filters.
    pub fn convolution(&self, channels: usize) -> Conv {
        Conv {
            filters: channels,
            kernel: self.kernel,
            stride: self.stride,
            pad: self.pad,
            dilation: self.dilation,
            groups: self.groups,
            bias: false,
            standardize: None,
            epilogue: Epilogue::default(),
        }
    }

    /// Rows and columns of that convolution's result beyond those of the operand: output padding of a stride or more makes room for
    /// them.
    pub fn surplus(&self) -> Sides {
        [0, 1].map(|axis| [0, self.output_padding[axis] / self.stride[axis].max(1)])
    }
}
