//! The computations of steps.

use std::ops::Range;
use std::sync::Arc;

use super::{ElementwiseKernel, FusedFunction, TrainKernel};
use crate::ir::{CustomOp, Reduction, SampleNorm};
use crate::kernels::ConvShape;
use crate::kernels::interpolate::InterpolationMap;
use crate::kernels::nchw::gemm::Tiles;
use crate::kernels::nchwc::direct::DirectPlan;
use crate::kernels::pad::PadShape;
use crate::kernels::pool::PoolShape;
use crate::kernels::upsample::Nearest;
use crate::kernels::winograd::WinogradPlan;

/// The algorithm of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConvStrategy {
    /// Matrix product over im2col tiles, or over the feature map itself if the convolution is pointwise.
    Gemm(Tiles),
    /// Direct convolution in the plain layout, one kernel element at a time.
    #[serde(rename = "direct-nchw", alias = "taps")]
    DirectNchw,
    /// Direct convolution by the micro-kernel, blocked.
    Direct {
        /// How the work is split.
        plan: DirectPlan,
        /// Whether the input is in the plain layout, with few channels.
        plain: bool,
    },
    /// Winograd minimal filtering, blocked.
    Winograd(WinogradPlan),
    /// Depthwise: one filter per channel, blocked.
    Depthwise,
}

/// The residual added to a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResidualPlan {
    /// Nothing.
    None,
    /// The previous contents of the output buffer.
    InPlace,
    /// The step's last input.
    Operand,
}

/// The computation of a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Kernel {
    /// A convolution. Weights: weight, bias if any.
    Conv {
        /// Its shape.
        shape: ConvShape,
        /// The algorithm.
        strategy: ConvStrategy,
        /// The residual.
        residual: ResidualPlan,
        /// The function applied last.
        act: Option<FusedFunction>,
    },
    /// A pointwise convolution plus a second 1x1 convolution, possibly strided: the end of a block and its projection
    /// shortcut. Inputs: one for each. Weights: weight and bias of each.
    FusedConvPair {
        /// The shape of the first.
        shape: ConvShape,
        /// The shape of the second.
        second: ConvShape,
        /// How the work is split, by output rows.
        plan: DirectPlan,
        /// The function applied last.
        act: Option<FusedFunction>,
    },
    /// A convolution over this many channels of a value with one pixel. Weights: weight.
    ChannelConv(usize),
    /// A fully connected layer. Weights: weight, bias if any.
    Linear {
        /// Batch, inputs, features.
        sizes: [usize; 3],
        /// The residual.
        residual: ResidualPlan,
        /// The function applied last.
        act: Option<FusedFunction>,
    },
    /// An elementwise function.
    Elementwise(ElementwiseKernel),
    /// Scale and shift per channel. Weights: scale, shift.
    ScaleShift {
        /// Elements per channel.
        plane: usize,
        /// The function applied last.
        act: Option<FusedFunction>,
    },
    /// A norm of each sample. Weights: weight and bias, if it has them.
    SampleNorm {
        /// The norm.
        norm: SampleNorm,
        /// The function applied last, by norms of groups of channels.
        act: Option<FusedFunction>,
    },
    /// One value for the channels of each place, in the plain layout.
    OverChannels {
        /// Which.
        reduction: Reduction,
        /// Samples, channels, height and width of the input.
        sizes: [usize; 4],
    },
    /// The channels of each place over their Euclidean norm.
    L2Norm {
        /// The smallest norm that is divided by.
        eps: f64,
    },
    /// A copy.
    Copy,
    /// Concatenation along channels.
    Concat {
        /// The floats of each sample of the result that each input becomes.
        parts: Vec<Range<usize>>,
        /// The number of parts that were computed in the result, and are not copied.
        placed: usize,
    },
    /// Pool over windows.
    Pool(PoolShape),
    /// Average pool to a fixed size.
    AdaptiveAvg {
        /// Height and width.
        input: [usize; 2],
        /// Height and width of the output.
        output: [usize; 2],
    },
    /// Softmax over channels.
    Softmax {
        /// The number of channels.
        channels: usize,
        /// Elements per channel.
        plane: usize,
    },
    /// Padding.
    Pad(PadShape),
    /// Conversion between layouts.
    Convert {
        /// Samples, channels, height, width.
        sizes: [usize; 4],
        /// To the blocked layout; otherwise to the plain one.
        blocked: bool,
    },
    /// Every `stride`-th row and column.
    Subsample {
        /// Height and width.
        input: [usize; 2],
        /// The stride.
        stride: [usize; 2],
    },
    /// Some of the channels.
    Slice {
        /// The first.
        start: usize,
        /// The number of channels of the input.
        of: usize,
    },
    /// Values in another order.
    Rearrange {
        /// The sizes of the axes of the operand.
        sizes: Vec<usize>,
        /// The axes in the order of the result.
        order: Vec<usize>,
    },
    /// Interleaved groups of channels.
    Shuffle {
        /// Samples, channels, and elements per channel.
        sizes: [usize; 3],
        /// The number of groups.
        groups: usize,
    },
    /// Nearest-neighbor upsampling.
    Upsample(Nearest),
    /// Interpolation, or its gradient.
    Interpolate(Arc<InterpolationMap>),
    /// A training operator. Weights: those of the operator, in order.
    Train(TrainKernel),
    /// An operator that the program gives.
    Custom(CustomOp),
}

impl Kernel {
    /// Whether the result may overwrite an input, if it is in the same buffer: each element is read before it is written.
    pub fn may_overwrite(&self, slot: usize) -> bool {
        match self {
            Kernel::Elementwise(function) => function.is_full(slot),
            Kernel::Train(train) => train.may_overwrite(slot),
            Kernel::ScaleShift { .. }
            | Kernel::SampleNorm { .. }
            | Kernel::L2Norm { .. }
            | Kernel::Copy
            | Kernel::Softmax { .. } => slot == 0,
            // a residual that is overwritten is no input any more
            _ => false,
        }
    }
}
