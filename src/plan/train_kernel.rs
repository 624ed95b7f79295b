//! Kernels of training steps: the buffers that they read and write, and their layouts.

use super::FusedFunction;
use super::attrs::{self, edge, nearest, pool_shape};
use super::buffer::four;
use crate::ir::{NormOver, Pad, Pool, Train};
use crate::kernels::pad::PadShape;
use crate::kernels::pool::PoolShape;
use crate::kernels::standardize::Standardization;
use crate::kernels::train::{conv_weight, norm};
use crate::kernels::upsample::Nearest;
use crate::kernels::{ConvShape, Isa, Layout};

/// A training operator with its operands' sizes.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainKernel {
    /// The operator.
    pub op: Train,
    /// The function of its epilogue.
    pub act: Option<FusedFunction>,
    /// Sizes of each operand, batch first if it has one.
    pub operands: Vec<Vec<usize>>,
    /// Whether each operand has a row per sample; otherwise it belongs to the whole batch.
    pub per_sample: Vec<bool>,
    /// Sizes of the result.
    pub result: Vec<usize>,
    /// Whether the result has a row per sample.
    pub yields_per_sample: bool,
    /// The batch size.
    pub batch: usize,
    /// The layout of the feature maps that it reads and writes. Values of the whole batch are always plain.
    pub layout: Layout,
    /// Whether the operand of a convolution's weight gradient is plain even if `layout` is blocked.
    pub plain: bool,
    /// Whether a convolution's weight gradient is computed directly, without Winograd transforms.
    pub precise: bool,
}

impl TrainKernel {
    /// An operator on a feature map, in the plain layout.
    pub(super) fn on_map(op: Train, operand: Vec<usize>, result: Vec<usize>, batch: usize) -> TrainKernel {
        TrainKernel {
            op,
            act: None,
            operands: vec![operand],
            per_sample: vec![true],
            result,
            yields_per_sample: true,
            batch,
            layout: Layout::Nchw,
            plain: false,
            precise: false,
        }
    }

    /// Whether the result may overwrite an operand.
    pub fn may_overwrite(&self, slot: usize) -> bool {
        match &self.op {
            Train::BatchNorm { .. } => slot == 2,
            Train::NormGradInput { .. } | Train::SampleNormGradInput(_) | Train::L2NormGrad { .. } => slot < 2,
            Train::SoftmaxGrad | Train::Dropout { .. } => slot == 0,
            _ => false,
        }
    }

    /// Whether the kernel supports the blocked layout; otherwise its values are plain.
    pub(super) fn supports_blocked(&self) -> bool {
        match &self.op {
            // operators on vectors, or to and from them
            Train::ConvGradInput { .. }
            | Train::StandardizeGrad { .. }
            | Train::LinearGradInput { .. }
            | Train::LinearGradWeight
            | Train::Unflatten(_)
            | Train::MaxOverChannelsGrad
            | Train::SoftmaxGrad
            | Train::CrossEntropy { .. }
            | Train::CrossEntropyGrad { .. } => false,
            Train::SampleNormGradParams(norm) | Train::SampleNormGradInput(norm) if norm.over == NormOver::All => false,
            // sums for values, as opposed to parameters, are in the plain layout
            Train::Reduce(broadcast) if !broadcast.is_learned() => false,
            _ => self.operands.first().is_some_and(|sizes| sizes.len() == 4),
        }
    }

    /// Whether an operand has the layout [`TrainKernel::layout`].
    pub(super) fn is_map(&self, slot: usize) -> bool {
        self.per_sample.get(slot).copied().unwrap_or(false)
    }

    /// Samples, channels, height and width of an operand; a vector is a 1 x 1 feature map.
    pub fn sizes(&self, slot: usize) -> [usize; 4] {
        four(self.operands.get(slot).map_or(&[], Vec::as_slice))
    }

    /// The same for the result.
    pub fn result_sizes(&self) -> [usize; 4] {
        four(&self.result)
    }

    /// The shape of the convolution whose weight gradient this computes.
    pub fn conv(&self) -> Option<ConvShape> {
        let Train::ConvGradWeight(conv) = &self.op else { return None };
        let ([batch, channels, h, w], [.., oh, ow]) = (self.sizes(0), self.sizes(1));
        Some(ConvShape {
            batch,
            channels,
            input: [h, w],
            filters: conv.filters,
            output: [oh, ow],
            kernel: conv.kernel,
            stride: conv.stride,
            pad: conv.pad,
            dilation: conv.dilation,
            groups: conv.groups,
        })
    }

    /// Multiply-adds of a gradient of a convolution's weight or of a linear layer; 0 for others.
    pub fn macs(&self) -> u64 {
        let elements = |slot| self.sizes(slot).iter().map(|&n| n as u64).product::<u64>();
        match &self.op {
            Train::ConvGradWeight(_) => self.conv().map_or(0, |shape| shape.macs()),
            Train::LinearGradInput { inputs } => elements(0) * *inputs as u64,
            Train::LinearGradWeight => elements(0) * self.sizes(1)[1] as u64,
            _ => 0,
        }
    }

    /// The standardization whose gradient this computes.
    pub fn standardization(&self) -> Option<Standardization> {
        let Train::StandardizeGrad { conv, channels, .. } = &self.op else { return None };
        let standardize = conv.standardize?;
        let fan_in = channels / conv.groups.max(1) * conv.kernel[0] * conv.kernel[1];
        Some(Standardization { fan_in, eps: standardize.eps, scale: standardize.scale(fan_in) })
    }

    /// The shape of the pool whose gradient this computes.
    pub fn pool(&self) -> Option<PoolShape> {
        let shape = |pool: &Pool, [batch, channels, h, w]: [usize; 4], [.., oh, ow]: [usize; 4]| {
            pool_shape(pool, batch * channels, [h, w], [oh, ow])
        };
        match &self.op {
            Train::MaxPoolGrad(pool) => Some(shape(pool, self.sizes(0), self.sizes(1))),
            Train::AvgPoolGrad { pool, .. } => Some(shape(pool, self.result_sizes(), self.sizes(0))),
            _ => None,
        }
    }

    /// The shape of the upsampling whose gradient this computes.
    pub fn upsample(&self) -> Option<Nearest> {
        let Train::UpsampleGrad { upsample, input } = &self.op else { return None };
        let [.., h, w] = self.sizes(0);
        Some(nearest(upsample, *input, [h, w]))
    }

    /// The shape of the padding whose gradient this computes.
    pub fn pad(&self, pad: &Pad) -> PadShape {
        PadShape { input: self.result_sizes(), channels: pad.channels, sides: pad.sides, edge: edge(pad.mode) }
    }

    /// Floats of scratch memory for all threads together.
    pub fn scratch(&self, isa: Isa, threads: usize) -> usize {
        match &self.op {
            Train::NormStats | Train::NormGradParams { .. } => norm::scratch(self.layout, self.sizes(0)),
            Train::SampleNormGradParams(norm) => attrs::norm_scratch(norm, isa, self.layout, self.sizes(0), true),
            Train::SampleNormGradInput(norm) => attrs::norm_scratch(norm, isa, self.layout, self.sizes(0), false),
            Train::ConvGradWeight(_) => {
                let isa = if self.layout == Layout::Nchw { Isa::Portable } else { isa };
                self.conv().map_or(0, |shape| conv_weight::scratch(isa, self.plain, self.precise, &shape, threads))
            }
            _ => 0,
        }
    }
}
