//! Attributes of operators.

use std::sync::Arc;

use super::Elementwise;

/// Height, then width.
pub type Pair = [usize; 2];

/// Padding of a feature map: `[[top, bottom], [left, right]]`.
pub type Sides = [[usize; 2]; 2];

/// Operations fused into a step, applied to its result in this order before it is stored: (bias), residual addition, activation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Epilogue {
    /// Adds the node's last operand, which has the result's shape.
    pub residual: bool,
    /// Applies a function of one value last.
    pub act: Option<Arc<Elementwise>>,
}

/// A 2-D convolution (cross-correlation, as in every framework). Weight `[filters, channels / groups, kh, kw]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv {
    /// Output channels.
    pub filters: usize,
    /// Window.
    pub kernel: Pair,
    /// Step.
    pub stride: Pair,
    /// Zeros around the feature map.
    pub pad: Sides,
    /// Distance between kernel elements.
    pub dilation: Pair,
    /// The number of channel groups.
    pub groups: usize,
    /// Whether it has a bias.
    pub bias: bool,
    /// How the weight is standardized, if it is.
    pub standardize: Option<Standardize>,
    /// Set by the fusion pass; the front end leaves it empty.
    pub epilogue: Epilogue,
}

impl Conv {
    /// A linear layer at every place: kernel 1, without bias.
    pub fn pointwise(filters: usize) -> Conv {
        Conv {
            filters,
            kernel: [1; 2],
            stride: [1; 2],
            pad: [[0; 2]; 2],
            dilation: [1; 2],
            groups: 1,
            bias: false,
            standardize: None,
            epilogue: Epilogue::default(),
        }
    }

    /// The default padding, which keeps the size at stride 1: half the extent of the kernel; `None` for an even kernel.
    pub fn default_padding(kernel: Pair, dilation: Pair) -> Option<Sides> {
        let mut pad = [[0; 2]; 2];
        for axis in 0..2 {
            if kernel[axis].is_multiple_of(2) {
                return None;
            }
            pad[axis] = [dilation[axis].checked_mul(kernel[axis] / 2)?; 2];
        }
        Some(pad)
    }
}

/// Weight standardization (Qiao et al. 2019): a convolution's filters are shifted and scaled to mean 0 and variance 1 before it uses
/// them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standardize {
    /// Added to the variance for numerical stability.
    pub eps: f64,
    /// For scaled standardization (Brock et al. 2021): each filter is multiplied by a learned gain, and by this number over the square
    /// root of its fan-in.
    pub gain: Option<f64>,
}

/// Batch normalization over channels (Ioffe and Szegedy 2015).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNorm {
    /// Added to the variance for numerical stability.
    pub eps: f64,
    /// Weight of the new batch in the running statistics, by PyTorch's convention.
    pub momentum: f64,
}

impl BatchNorm {
    /// What a source leaves out, as in PyTorch.
    pub const DEFAULT: BatchNorm = BatchNorm { eps: 1e-5, momentum: 0.1 };

    /// The variance with which a default batch norm divides by exactly 1, for a constant scale and shift.
    pub const UNIT_VARIANCE: f32 = 1.0 - BatchNorm::DEFAULT.eps as f32;
}

/// The values of a sample that share a mean and a variance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NormOver {
    /// The channels of a place; the features of a vector.
    Channels,
    /// All of them.
    All,
    /// Those of each of this many groups of channels (Wu and He 2018).
    Groups(usize),
    /// The places of a channel (Ulyanov et al. 2016).
    Places,
}

impl NormOver {
    /// The number of groups of channels that have a mean and a variance each, if these are taken over places too.
    pub fn groups(self, channels: usize) -> Option<usize> {
        match self {
            NormOver::Groups(groups) => Some(groups),
            NormOver::Places => Some(channels),
            NormOver::Channels | NormOver::All => None,
        }
    }
}

/// Normalization of each sample by its own mean and biased variance, in training as in inference: layer norm (Ba et al. 2016),
/// group norm, instance norm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SampleNorm {
    /// What is normalized together.
    pub over: NormOver,
    /// Added to the variance for numerical stability.
    pub eps: f64,
    /// Whether it has a learned weight and bias: one for each value with [`NormOver::All`], otherwise one for each channel.
    pub affine: bool,
}

impl SampleNorm {
    /// What a source leaves out of the epsilon, as in PyTorch.
    pub const EPS: f64 = 1e-5;

    /// The sizes of its weight, and of its bias, for an operand of these sizes.
    pub fn param_shape(&self, operand: &[usize]) -> Vec<usize> {
        let axes = if self.over == NormOver::All { operand.len() } else { 1 };
        operand.iter().copied().take(axes).collect()
    }
}

/// Generalized-mean pooling (Radenovic et al. 2018): the `p`-th root of the mean of `max(x, eps)` to the power of `p`, which is
/// learned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gem {
    /// The initial power.
    pub p: f64,
    /// The smallest value that is raised to it.
    pub eps: f64,
}

/// What becomes of the channels of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reduction {
    /// Their mean.
    Mean,
    /// The largest of them; the first of equal ones gets the gradient.
    Max,
}

/// The kind of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PoolKind {
    /// Maximum; padding counts as negative infinity.
    Max {
        /// Distance between kernel elements, as in a convolution.
        dilation: Pair,
    },
    /// Mean value.
    Avg {
        /// Whether padding counts in the divisor (PyTorch's `count_include_pad`).
        count_pad: bool,
    },
}

impl PoolKind {
    /// Max pooling without dilation.
    pub const MAX: PoolKind = PoolKind::Max { dilation: [1, 1] };
}

/// A pool over windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pool {
    /// Which.
    pub kind: PoolKind,
    /// Window.
    pub kernel: Pair,
    /// Step.
    pub stride: Pair,
    /// Padding.
    pub pad: Sides,
    /// Rounds the output size up (PyTorch's `ceil_mode`: the last window must start inside the feature map or its leading
    /// padding).
    pub ceil: bool,
}

impl Pool {
    /// Distance between kernel elements.
    pub fn dilation(&self) -> Pair {
        match self.kind {
            PoolKind::Max { dilation } => dilation,
            PoolKind::Avg { .. } => [1, 1],
        }
    }

    /// The smallest size along an axis at which every window overlaps the feature map. On a smaller one, a dilated window can
    /// fall entirely in the padding.
    pub fn min_map_size(&self, axis: usize) -> usize {
        const TRIED: usize = 64;
        match self.dilation()[axis] {
            _ if self.pad[axis][0] == 0 => 1,
            dilation if dilation > TRIED => dilation,
            dilation => 1 + (1..dilation).rev().find(|&size| !self.all_windows_overlap(axis, size)).unwrap_or(0),
        }
    }

    /// Whether every window along an axis of this size, which is smaller than the dilation, overlaps the feature map.
    fn all_windows_overlap(&self, axis: usize, size: usize) -> bool {
        let ([before, after], stride, dilation) = (self.pad[axis], self.stride[axis].max(1), self.dilation()[axis]);
        let padded = size.saturating_add(before).saturating_add(after);
        let padded = padded.saturating_add(if self.ceil { stride - 1 } else { 0 });
        let windows = padded.checked_sub(self.extent()[axis]).map_or(0, |rest| rest / stride + 1);
        // only windows that start in the leading padding can miss the feature map, and their offsets repeat after `dilation` windows
        let checked = windows.min(before.div_ceil(stride)).min(dilation);
        (0..checked).all(|window| (dilation - (before - window * stride) % dilation) % dilation < size)
    }

    /// The default padding: half the extent of an odd kernel, which keeps the size at stride 1, and 0 for an even one.
    pub fn default_padding(kernel: Pair, dilation: Pair) -> Sides {
        [0, 1].map(|axis| if kernel[axis] % 2 == 1 { [extent(kernel, dilation)[axis] / 2; 2] } else { [0; 2] })
    }

    /// The extent of a dilated window along each axis: `dilation * (kernel - 1) + 1`, saturating.
    pub fn extent(&self) -> Pair {
        extent(self.kernel, self.dilation())
    }
}

fn extent(kernel: Pair, dilation: Pair) -> Pair {
    [0, 1].map(|axis| (kernel[axis].saturating_sub(1)).saturating_mul(dilation[axis]).saturating_add(1))
}

/// A fully connected layer. Weight `[features, inputs]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    /// Output features.
    pub features: usize,
    /// Whether it has a bias.
    pub bias: bool,
    /// Set by the fusion pass.
    pub epilogue: Epilogue,
}

/// Padding mode, by PyTorch's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PadMode {
    /// Zeros.
    #[default]
    Zeros,
    /// Reflection without repeating the border values; the padding must be smaller than the feature map.
    Reflect,
    /// The border values repeated.
    Replicate,
}

impl PadMode {
    /// All keywords.
    pub const WORDS: &[&str] = &[PadMode::Zeros.word(), PadMode::Reflect.word(), PadMode::Replicate.word()];

    /// Its keyword in the language.
    pub const fn word(self) -> &'static str {
        match self {
            PadMode::Zeros => "zeros",
            PadMode::Reflect => "reflect",
            PadMode::Replicate => "replicate",
        }
    }

    /// The mode of this keyword.
    pub fn from_word(word: &str) -> Option<PadMode> {
        [PadMode::Zeros, PadMode::Reflect, PadMode::Replicate].into_iter().find(|mode| mode.word() == word)
    }
}

/// Padding around a feature map, and zero channels before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pad {
    /// Zero channels before and after; none in other modes than zeros.
    pub channels: [usize; 2],
    /// The padding on each side.
    pub sides: Sides,
    /// The padding mode.
    pub mode: PadMode,
}

impl Pad {
    /// Zeros around the feature map.
    pub fn zeros(sides: Sides) -> Pad {
        Pad { channels: [0, 0], sides, mode: PadMode::Zeros }
    }

    /// Zero channels.
    pub fn channels(channels: [usize; 2]) -> Pad {
        Pad { channels, sides: [[0; 2]; 2], mode: PadMode::Zeros }
    }
}
