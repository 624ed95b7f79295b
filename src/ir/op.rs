//! The operators and their typed attributes. `match` on [`Op`] never has a wildcard arm: a new operator is then a list
//! of compile errors to work through.

use serde::{Deserialize, Serialize};

use super::{Shape, Train};

/// Height, then width.
pub type Pair = [usize; 2];

/// Padding of a map: `[[top, bottom], [left, right]]`.
pub type Sides = [[usize; 2]; 2];

/// An element-wise activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Act {
    /// `max(x, 0)`.
    Relu,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
}

/// What a fused step does to its result before storing it, in this order: (bias), residual addition, activation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Epilogue {
    /// Adds a second operand (the node's last) of the result's shape.
    pub residual: bool,
    /// Then applies an activation.
    pub act: Option<Act>,
}

/// A 2-D convolution (cross-correlation, as in every framework). Weight `[filters, channels / groups, kh, kw]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Conv {
    /// Output channels.
    pub filters: usize,
    /// Window.
    pub kernel: Pair,
    /// Step.
    pub stride: Pair,
    /// Zeros around the map.
    pub pad: Sides,
    /// Distance between taps.
    pub dilation: Pair,
    /// Groups of channels.
    pub groups: usize,
    /// Whether it has a bias.
    pub bias: bool,
    /// Fused by a pass; the front end leaves it empty.
    pub epilogue: Epilogue,
}

/// Batch normalization over channels (Ioffe and Szegedy 2015).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchNorm {
    /// Added to the variance.
    pub eps: f64,
    /// Weight of the new batch in the running statistics, as PyTorch counts it.
    pub momentum: f64,
}

/// Which pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PoolKind {
    /// Largest value; padding never wins.
    Max {
        /// Distance between the values of a window, as a convolution's taps have it.
        dilation: Pair,
    },
    /// Mean value.
    Avg {
        /// Whether zeros of the padding count in the divisor (torch's `count_include_pad`).
        count_pad: bool,
    },
}

impl PoolKind {
    /// The largest of neighboring values.
    pub const MAX: PoolKind = PoolKind::Max { dilation: [1, 1] };
}

/// A pool over windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pool {
    /// Which.
    pub kind: PoolKind,
    /// Window.
    pub kernel: Pair,
    /// Step.
    pub stride: Pair,
    /// Padding.
    pub pad: Sides,
    /// Round the output size up (torch's `ceil_mode`: the last window must start inside the map or its leading padding).
    pub ceil: bool,
}

impl Pool {
    /// Distance between the values of a window.
    pub fn dilation(&self) -> Pair {
        match self.kind {
            PoolKind::Max { dilation } => dilation,
            PoolKind::Avg { .. } => [1, 1],
        }
    }

    /// The size along an axis from which on each window sees a value of the map: one with holes can leap over a small map.
    pub fn least_map(&self, axis: usize) -> usize {
        const TRIED: usize = 64;
        match self.dilation()[axis] {
            _ if self.pad[axis][0] == 0 => 1,
            dilation if dilation > TRIED => dilation,
            dilation => 1 + (1..dilation).rev().find(|&size| !self.meets(axis, size)).unwrap_or(0),
        }
    }

    /// Whether each window along an axis of that size, smaller than the dilation, sees a value of the map.
    fn meets(&self, axis: usize, size: usize) -> bool {
        let ([before, after], stride, dilation) = (self.pad[axis], self.stride[axis].max(1), self.dilation()[axis]);
        let room = size.saturating_add(before).saturating_add(after);
        let windows = room.checked_sub(self.extent()[axis]).map_or(0, |rest| rest / stride + 1 + usize::from(self.ceil));
        // those that begin before the map, as far as they meet it at different places
        let leaping = windows.min(before.div_ceil(stride)).min(dilation);
        (0..leaping).all(|o| (dilation - (before - o * stride) % dilation) % dilation < size)
    }

    /// The padding where none is written: half of an odd window, so that the map keeps its size at a stride of 1; none for an even one.
    pub fn usual_pad(&self) -> Sides {
        let extent = self.extent();
        [0, 1].map(|axis| if self.kernel[axis] % 2 == 1 { [extent[axis] / 2; 2] } else { [0; 2] })
    }

    /// From the first to the last value of a window along each axis, both counted; what is too large for a number is its largest.
    pub fn extent(&self) -> Pair {
        let dilation = self.dilation();
        [0, 1].map(|axis| (self.kernel[axis].saturating_sub(1)).saturating_mul(dilation[axis]).saturating_add(1))
    }
}

/// A fully connected layer. Weight `[features, inputs]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Linear {
    /// Output features.
    pub features: usize,
    /// Whether it has a bias.
    pub bias: bool,
    /// Fused by a pass.
    pub epilogue: Epilogue,
}

/// What stands around a padded map, by PyTorch's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PadMode {
    /// Zeros.
    #[default]
    Zeros,
    /// The map, mirrored at the center of its outermost values: less than its size.
    Reflect,
    /// The map's outermost values.
    Replicate,
}

impl PadMode {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            PadMode::Zeros => "zeros",
            PadMode::Reflect => "reflect",
            PadMode::Replicate => "replicate",
        }
    }
}

/// Values around a map, and zero channels before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pad {
    /// Zero channels before and after; none where the mode is another than zeros.
    pub channels: [usize; 2],
    /// How many values around the map.
    pub sides: Sides,
    /// Which values.
    pub mode: PadMode,
}

impl Pad {
    /// Zeros around the map.
    pub fn zeros(sides: Sides) -> Pad {
        Pad { channels: [0, 0], sides, mode: PadMode::Zeros }
    }

    /// Zero channels.
    pub fn channels(channels: [usize; 2]) -> Pad {
        Pad { channels, sides: [[0; 2]; 2], mode: PadMode::Zeros }
    }
}

/// Limits of a value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Clamp {
    /// What is less becomes this.
    pub low: Option<f32>,
    /// What is more becomes this.
    pub high: Option<f32>,
}

impl Clamp {
    /// Both limits, infinite where there is none.
    pub fn limits(self) -> [f32; 2] {
        [self.low.unwrap_or(f32::NEG_INFINITY), self.high.unwrap_or(f32::INFINITY)]
    }
}

/// A value times a constant, plus a constant.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scale {
    /// The factor.
    pub times: f32,
    /// What is added then.
    pub plus: f32,
}

/// An operator. Operands are ordered by slot; every operator here yields one value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Op {
    /// The network's input, of the declared shape. No operand.
    Input(Shape),
    /// Convolution. Operands: x; the residual, where the epilogue says so.
    Conv(Conv),
    /// Batch normalization.
    BatchNorm(BatchNorm),
    /// Activation.
    Act(Act),
    /// Element-wise sum of two or more operands of equal shape.
    Add,
    /// Element-wise product of two operands; the second may be `C x 1 x 1` against `C x H x W`.
    Mul,
    /// Concatenation of two or more operands along the channels.
    Concat,
    /// Pooling over windows.
    Pool(Pool),
    /// Average pool to a fixed output size (torch's `AdaptiveAvgPool2d`); `[1, 1]` is the global pool.
    AdaptiveAvgPool(Pair),
    /// Largest value of the whole map.
    GlobalMaxPool,
    /// `C x H x W` to `C H W` features.
    Flatten,
    /// Fully connected.
    Linear(Linear),
    /// Softmax over the features, or over the channels of a map.
    Softmax,
    /// Dropout with this probability: the identity in inference.
    Dropout(f64),
    /// Values around.
    Pad(Pad),
    /// Every `stride`-th row and column from the first (`x[:, :, ::s, ::s]`).
    Subsample(Pair),
    /// A larger map, each pixel that of the nearest before it (torch's `interpolate` in mode `nearest`): so many times the rows and
    /// columns, or as many as those of a second operand.
    Upsample(Option<Pair>),
    /// `min(max(x, low), high)`.
    Clamp(Clamp),
    /// `times * x + plus`.
    Scale(Scale),
    /// What only a training step computes.
    Train(Train),
}

impl Op {
    /// The word for it in dumps and messages, which is the statement's word in the language.
    pub fn word(&self) -> &'static str {
        match self {
            Op::Input(_) => "input",
            Op::Conv(_) => "conv",
            Op::BatchNorm(_) => "batchnorm",
            Op::Act(Act::Relu) => "relu",
            Op::Act(Act::Sigmoid) => "sigmoid",
            Op::Add => "add",
            Op::Mul => "mul",
            Op::Concat => "concat",
            Op::Pool(Pool { kind: PoolKind::Max { .. }, .. }) | Op::GlobalMaxPool => "maxpool",
            Op::Pool(Pool { kind: PoolKind::Avg { .. }, .. }) | Op::AdaptiveAvgPool(_) => "avgpool",
            Op::Flatten => "flatten",
            Op::Linear(_) => "linear",
            Op::Softmax => "softmax",
            Op::Dropout(_) => "dropout",
            Op::Pad(_) => "pad",
            Op::Subsample(_) => "subsample",
            Op::Upsample(_) => "upsample",
            Op::Clamp(_) => "clip",
            Op::Scale(_) => "scale",
            Op::Train(op) => op.word(),
        }
    }

    /// Whether its result has a value for each sample; else one for the whole batch, and no dimension for it.
    pub fn is_batched(&self) -> bool {
        match self {
            Op::Train(op) => op.is_batched(),
            _ => true,
        }
    }

    /// Whether its operand in a slot has a value for each sample.
    pub fn takes_batched(&self, slot: usize) -> bool {
        match self {
            Op::Train(op) => op.takes_batched(slot),
            _ => true,
        }
    }
}
