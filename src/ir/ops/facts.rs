//! Facts about operators, as methods. Passes, printers and front ends ask for a fact and name no operator.
//!
//! Each fact has one default, so an operator appears here only where it differs. What every operator must state for itself is an
//! exhaustive `match` in a back end: shape rule, reference interpreter, lowering, gradient, ONNX and PyTorch.

use crate::ir::attrs::{Conv, Epilogue, Linear, NormOver, Pad, PadMode, Pair, Pool, PoolKind, Reduction};
use crate::ir::conv_transpose::ConvTranspose;
use crate::ir::dim::Shape;
use crate::ir::elementwise::Broadcast;
use crate::ir::op::Op;
use crate::ir::params::{FilterAxis, ParamRole};
use crate::ir::rearrange::Rearrange;
use crate::ir::upsample::{Interpolation, Target, Upsample};

/// How many operands an operator takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// This many.
    Exactly(usize),
    /// This many or more.
    AtLeast(usize),
}

impl Op {
    /// The number of operands, the residual of an epilogue included.
    pub fn arity(&self) -> Arity {
        let own = match self {
            Op::Input(_) => 0,
            Op::Concat => return Arity::AtLeast(2),
            Op::Upsample(Upsample { target: Target::Like, .. }) => 2,
            Op::Elementwise(function) => function.values().count(),
            Op::Train(op) => op.operands(),
            _ => 1,
        };
        Arity::Exactly(own + usize::from(self.has_residual()))
    }

    /// The epilogue of an operator that supports one; its default until the fusion pass.
    pub fn epilogue(&self) -> Option<&Epilogue> {
        match self {
            Op::Conv(Conv { epilogue, .. }) | Op::Linear(Linear { epilogue, .. }) => Some(epilogue),
            Op::Train(op) => op.epilogue(),
            _ => None,
        }
    }

    /// The epilogue, to fuse an addition or an activation into the operator; `None` if it cannot take one.
    pub fn epilogue_mut(&mut self) -> Option<&mut Epilogue> {
        match self {
            Op::Conv(Conv { epilogue, .. }) | Op::Linear(Linear { epilogue, .. }) => Some(epilogue),
            Op::Train(op) => op.epilogue_mut(),
            _ => None,
        }
    }

    /// Whether its last operand is added to the result.
    pub fn has_residual(&self) -> bool {
        self.epilogue().is_some_and(|epilogue| epilogue.residual)
    }

    /// The bias of a layer that multiplies by a weight, and its number of outputs: what a following norm can be folded into.
    pub fn bias_mut(&mut self) -> Option<(&mut bool, usize)> {
        match self {
            Op::Conv(Conv { bias, filters, .. }) => Some((bias, *filters)),
            Op::ConvTranspose(ConvTranspose { bias, filters, .. }) => Some((bias, *filters)),
            Op::Linear(Linear { bias, features, .. }) => Some((bias, *features)),
            _ => None,
        }
    }

    /// Where the filters of its weight are.
    pub fn filter_axis(&self) -> FilterAxis {
        match self {
            Op::ConvTranspose(conv) => {
                FilterAxis::Second { filters: conv.filters, groups: conv.groups, kernel: conv.kernel.iter().product() }
            }
            _ => FilterAxis::First,
        }
    }

    /// Whether it is a norm: its weight and bias are exempt from what is meant for the weights of layers.
    pub fn is_norm(&self) -> bool {
        matches!(self, Op::BatchNorm(_) | Op::SampleNorm(_))
    }

    /// Whether it multiplies by a learned weight matrix: the layers that papers count.
    pub fn is_weighted(&self) -> bool {
        matches!(self, Op::Conv(_) | Op::ConvTranspose(_) | Op::Linear(_))
    }

    /// Whether it joins two or more values, whose sizes must agree.
    pub fn is_join(&self) -> bool {
        match self {
            Op::Concat => true,
            Op::Elementwise(function) => function.values().count() > 1,
            _ => false,
        }
    }

    /// Whether inference can replace it by its first operand.
    pub fn is_identity(&self, operands: &[Shape], result: &Shape) -> bool {
        match self {
            Op::Dropout(_) => true,
            Op::Pad(pad) => pad.channels == [0; 2] && pad.sides == [[0; 2]; 2],
            Op::Crop(sides) => *sides == [[0; 2]; 2],
            Op::Subsample(stride) => *stride == [1, 1],
            Op::Upsample(upsample) => upsample.target == Target::Factor([1.0; 2]),
            Op::Elementwise(function) => function.program.is_identity(),
            Op::Flatten => operands.first() == Some(result),
            Op::Slice(_) => operands.first() == Some(result),
            Op::Rearrange(rearrange) => operands.first() == Some(result) && keeps_order(rearrange, result),
            _ => false,
        }
    }

    /// Whether every element of its result is one of its operands', or 0: it needs no rounding if they need none.
    pub fn moves_values(&self) -> bool {
        match self {
            Op::Concat | Op::GlobalMaxPool | Op::Flatten | Op::Dropout(_) | Op::Pad(_) | Op::Crop(_) | Op::Subsample(_) => true,
            Op::Slice(_) | Op::Rearrange(_) | Op::OverChannels(Reduction::Max) => true,
            Op::Pool(pool) => matches!(pool.kind, PoolKind::Max { .. }),
            Op::Upsample(upsample) => matches!(upsample.mode, Interpolation::Nearest | Interpolation::NearestExact),
            Op::Elementwise(function) => function.program.is_relu(),
            _ => false,
        }
    }

    /// For an operator that begins counted rows: the slot of the operand with their counts.
    pub fn counts(&self) -> Option<usize> {
        match self {
            Op::Custom(op) => op.0.counts(),
            _ => None,
        }
    }

    /// Whether a source can declare it: training operators and fused epilogues belong to later phases, and custom operators to
    /// the program.
    pub fn is_declarable(&self) -> bool {
        !matches!(self, Op::Train(_) | Op::Custom(_)) && self.epilogue().is_none_or(|epilogue| *epilogue == Epilogue::default())
    }

    /// The step along height and width, as counted by shortcut policies.
    pub fn stride(&self) -> Pair {
        match self {
            Op::Conv(conv) => conv.stride,
            Op::Pool(pool) => pool.stride,
            Op::Subsample(stride) => *stride,
            _ => [1, 1],
        }
    }

    /// Whether it leaves the height axis alone, so that it also applies to 1-D values.
    pub fn is_flat(&self) -> bool {
        match self {
            Op::Conv(Conv { kernel, stride, pad, dilation, .. }) => {
                kernel[0] == 1 && stride[0] == 1 && pad[0] == [0, 0] && dilation[0] == 1
            }
            Op::ConvTranspose(ConvTranspose { kernel, stride, pad, output_padding, dilation, .. }) => {
                kernel[0] == 1 && stride[0] == 1 && pad[0] == [0, 0] && output_padding[0] == 0 && dilation[0] == 1
            }
            Op::Pool(pool @ Pool { kernel, stride, pad, .. }) => {
                kernel[0] == 1 && stride[0] == 1 && pad[0] == [0, 0] && pool.dilation()[0] == 1
            }
            Op::AdaptiveAvgPool(size) | Op::Subsample(size) => size[0] == 1,
            Op::Upsample(upsample) => upsample.is_flat(),
            Op::Pad(Pad { sides, .. }) | Op::Crop(sides) => sides[0] == [0, 0],
            Op::Rearrange(rearrange) => {
                matches!(rearrange, Rearrange::Shuffle(_) | Rearrange::Transpose([_, 1, _]))
            }
            _ => true,
        }
    }

    /// The smallest height and width that it accepts, beyond those that its windows and its result imply.
    pub fn min_map_size(&self) -> Pair {
        match self {
            // a dilated window must not fall entirely in the padding
            Op::Pool(pool) => [0, 1].map(|axis| pool.min_map_size(axis)),
            // reflection padding must be smaller than the feature map
            Op::Pad(Pad { mode: PadMode::Reflect, sides, .. }) => {
                sides.map(|[before, after]| before.max(after).saturating_add(1))
            }
            _ => [1, 1],
        }
    }

    /// Its parameters on these operands, in the order weight, bias, running mean, running variance. Empty if an operand's channels
    /// are unknown.
    pub fn params(&self, operands: &[Shape]) -> Vec<(ParamRole, Vec<usize>)> {
        let Some(channels) = operands.first().and_then(Shape::channels) else { return Vec::new() };
        match self {
            Op::Conv(conv) => {
                let mut weight = vec![conv.filters, channels / conv.groups.max(1)];
                // the weight of a 1-D convolution has one kernel axis, as in PyTorch's `Conv1d`
                weight.extend_from_slice(if operands[0].is_1d() { &conv.kernel[1..] } else { &conv.kernel });
                let gain = conv.standardize.and_then(|standardize| standardize.gain);
                // broadcasts against the weight
                let gain =
                    gain.map(|_| (ParamRole::Gain, std::iter::once(conv.filters).chain(weight[1..].iter().map(|_| 1)).collect()));
                weight_and_bias(weight, conv.bias.then_some(conv.filters)).into_iter().chain(gain).collect()
            }
            Op::ConvTranspose(conv) => {
                let mut weight = vec![channels, conv.filters / conv.groups.max(1)];
                weight.extend_from_slice(if operands[0].is_1d() { &conv.kernel[1..] } else { &conv.kernel });
                weight_and_bias(weight, conv.bias.then_some(conv.filters))
            }
            Op::ChannelConv(kernel) => vec![(ParamRole::Weight, vec![1, 1, *kernel])],
            Op::Linear(linear) => weight_and_bias(vec![linear.features, channels], linear.bias.then_some(linear.features)),
            Op::BatchNorm(_) => [ParamRole::Weight, ParamRole::Bias, ParamRole::RunningMean, ParamRole::RunningVar]
                .map(|role| (role, vec![channels]))
                .to_vec(),
            Op::Gem(_) => vec![(ParamRole::Operand(0), vec![1])],
            Op::SampleNorm(norm) => {
                let Some(sizes) = operands[0].sizes().or_else(|| (norm.over != NormOver::All).then(|| vec![channels])) else {
                    return Vec::new();
                };
                let shape = norm.param_shape(&sizes);
                if norm.affine { vec![(ParamRole::Weight, shape.clone()), (ParamRole::Bias, shape)] } else { Vec::new() }
            }
            Op::Elementwise(function) => function
                .learned()
                .map(|slot| {
                    let is_shared = matches!(function.operands[slot].broadcast, Broadcast::Shared { .. });
                    (ParamRole::Operand(slot as u8), vec![if is_shared { 1 } else { channels }])
                })
                .collect(),
            Op::Train(op) => op.params(&operands[0], channels),
            _ => Vec::new(),
        }
    }

    /// PyTorch's name for a parameter, which follows the layer's name and a dot.
    pub fn param_name(&self, role: ParamRole) -> &str {
        match (self, role) {
            (Op::Elementwise(function), ParamRole::Operand(slot)) => {
                function.operands.get(usize::from(slot)).map_or("", |operand| &operand.name)
            }
            (Op::Gem(_), ParamRole::Operand(_)) => "p",
            _ => role.suffix(),
        }
    }

    /// The full name of a parameter of a layer. The only parameter of a function has the layer's name if that ends with its own, as a
    /// parameter has that belongs to a block itself: `gamma: layer_scale` is `blocks.0.gamma`, not `blocks.0.gamma.gamma`.
    pub fn full_param_name(&self, layer: &str, role: ParamRole) -> String {
        if self.is_parameter(layer) { layer.to_owned() } else { format!("{layer}.{}", self.param_name(role)) }
    }

    /// Whether a layer of this name stands for its only parameter: see [`Op::full_param_name`].
    pub fn is_parameter(&self, layer: &str) -> bool {
        let Op::Elementwise(function) = self else { return false };
        let mut learned = function.learned();
        let (first, more) = (learned.next(), learned.next());
        let is_named = |slot: usize| layer.rsplit('.').next() == Some(&function.operands[slot].name);
        first.is_some_and(is_named) && more.is_none()
    }

    /// Multiply-adds for one image, counted as in the paper: only convolutions and linear layers. `None` if a size is free or
    /// unknown.
    pub fn macs(&self, operands: &[Shape], result: &Shape) -> Option<u64> {
        match self {
            Op::Conv(conv) => {
                let channels = operands.first()?.channels()?;
                let values = result.sizes()?.iter().try_fold(1u64, |n, &size| n.checked_mul(size as u64))?;
                let products = (channels / conv.groups.max(1) * conv.kernel[0] * conv.kernel[1]) as u64;
                values.checked_mul(products)
            }
            Op::ConvTranspose(conv) => {
                let values = operands.first()?.sizes()?.iter().try_fold(1u64, |n, &size| n.checked_mul(size as u64))?;
                values.checked_mul((conv.filters / conv.groups.max(1) * conv.kernel[0] * conv.kernel[1]) as u64)
            }
            Op::Linear(linear) => (linear.features as u64).checked_mul(operands.first()?.channels()? as u64),
            Op::ChannelConv(kernel) => (*kernel as u64).checked_mul(operands.first()?.channels()? as u64),
            _ => Some(0),
        }
    }
}

/// Whether a rearrangement of a value of this shape leaves every value where it is.
fn keeps_order(rearrange: &Rearrange, shape: &Shape) -> bool {
    let sizes = shape.sizes().and_then(|sizes| <[usize; 3]>::try_from(sizes).ok());
    sizes.is_some_and(|sizes| rearrange.moves(sizes).keeps_order())
}

/// A weight, and a bias for each of this many outputs.
fn weight_and_bias(weight: Vec<usize>, bias: Option<usize>) -> Vec<(ParamRole, Vec<usize>)> {
    let bias = bias.map(|outputs| (ParamRole::Bias, vec![outputs]));
    std::iter::once((ParamRole::Weight, weight)).chain(bias).collect()
}
