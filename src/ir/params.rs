//! An operator's parameters and its cost.

use super::{Op, Shape, Train, one_dimensional};

/// The role of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ParamRole {
    /// Weight of a convolution or linear layer, or scale of a batch norm.
    Weight,
    /// Bias, or shift of a batch norm.
    Bias,
    /// Running mean of a batch norm: state, not counted as a parameter.
    RunningMean,
    /// Running variance of a batch norm: state, not counted as a parameter.
    RunningVar,
}

impl ParamRole {
    /// PyTorch's name for it, which follows the layer's name and a dot.
    pub fn suffix(self) -> &'static str {
        match self {
            ParamRole::Weight => "weight",
            ParamRole::Bias => "bias",
            ParamRole::RunningMean => "running_mean",
            ParamRole::RunningVar => "running_var",
        }
    }

    /// Whether training updates it by gradient (and `params` counts it).
    pub fn is_learned(self) -> bool {
        matches!(self, ParamRole::Weight | ParamRole::Bias)
    }
}

/// Where a parameter's value comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum ParamSource {
    /// The tensor of that name.
    Named(String),
    /// `conv.weight * norm.weight / sqrt(norm.running_var + eps)`, scaled per filter. Layers are named without suffix.
    FoldedWeight {
        /// The convolution or linear layer.
        conv: String,
        /// The norm after it.
        norm: String,
        /// The norm's epsilon.
        eps: f64,
    },
    /// `norm.bias + (conv.bias - norm.running_mean) * norm.weight / sqrt(norm.running_var + eps)`.
    FoldedBias {
        /// The convolution or linear layer.
        conv: String,
        /// Whether it has a bias.
        conv_bias: bool,
        /// The norm after it.
        norm: String,
        /// The norm's epsilon.
        eps: f64,
    },
}

/// A parameter of a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// Its role.
    pub role: ParamRole,
    /// Its sizes.
    pub shape: Vec<usize>,
    /// Where its value comes from.
    pub source: ParamSource,
}

/// The parameters of an operator on these operands, in the order weight, bias, running mean, running variance.
/// Empty if an operand's channels are unknown.
pub fn params(op: &Op, inputs: &[Shape]) -> Vec<(ParamRole, Vec<usize>)> {
    let Some(channels) = inputs.first().and_then(Shape::channels) else { return Vec::new() };
    match op {
        Op::Conv(c) => {
            let mut sizes = vec![c.filters, channels / c.groups.max(1)];
            // the weight of a 1-D convolution has one kernel axis, as in PyTorch's `Conv1d`
            let is_1d = one_dimensional::is_1d(&inputs[0]);
            sizes.extend_from_slice(if is_1d { &c.kernel[1..] } else { &c.kernel });
            let mut list = vec![(ParamRole::Weight, sizes)];
            if c.bias {
                list.push((ParamRole::Bias, vec![c.filters]));
            }
            list
        }
        Op::Linear(l) => {
            let mut list = vec![(ParamRole::Weight, vec![l.features, channels])];
            if l.bias {
                list.push((ParamRole::Bias, vec![l.features]));
            }
            list
        }
        Op::BatchNorm(_) => [ParamRole::Weight, ParamRole::Bias, ParamRole::RunningMean, ParamRole::RunningVar]
            .into_iter()
            .map(|role| (role, vec![channels]))
            .collect(),
        Op::Input(_)
        | Op::Act(_)
        | Op::Add
        | Op::Mul
        | Op::Concat
        | Op::Pool(_)
        | Op::AdaptiveAvgPool(_)
        | Op::GlobalMaxPool
        | Op::Flatten
        | Op::Softmax
        | Op::Dropout(_)
        | Op::Pad(_)
        | Op::Subsample(_)
        | Op::Upsample(_)
        | Op::Clamp(_)
        | Op::Scale(_) => Vec::new(),
        Op::Train(op) => train_params(op, inputs),
    }
}

/// The parameters that a training operator reads from its layer.
fn train_params(op: &Train, inputs: &[Shape]) -> Vec<(ParamRole, Vec<usize>)> {
    let channels = inputs.first().and_then(Shape::channels).unwrap_or(0);
    let norm = |bias: bool| {
        let roles = [ParamRole::Weight, ParamRole::Bias];
        roles[..1 + usize::from(bias)].iter().map(|&role| (role, vec![channels])).collect()
    };
    match op {
        Train::BatchNorm { .. } => norm(true),
        Train::NormGradParams { act: None, .. } => Vec::new(),
        Train::NormGradParams { act: Some(_), .. } => norm(true),
        Train::NormGradInput { act, .. } => norm(act.is_some()),
        Train::ConvGradInput { conv, input } => {
            let shape = vec![conv.filters, input[0] / conv.groups.max(1), conv.kernel[0], conv.kernel[1]];
            vec![(ParamRole::Weight, shape)]
        }
        Train::LinearGradInput { inputs } => vec![(ParamRole::Weight, vec![channels, *inputs])],
        Train::NormStats
        | Train::ActGrad(_)
        | Train::ConvGradWeight(_)
        | Train::BiasGrad
        | Train::LinearGradWeight
        | Train::MaxPoolGrad(_)
        | Train::AvgPoolGrad { .. }
        | Train::AdaptiveAvgPoolGrad { .. }
        | Train::Slice { .. }
        | Train::Unpad(_)
        | Train::SubsampleGrad { .. }
        | Train::UpsampleGrad { .. }
        | Train::ClampGrad(_)
        | Train::SumPlane
        | Train::Unflatten(_)
        | Train::SoftmaxGrad
        | Train::Dropout { .. }
        | Train::CrossEntropy { .. }
        | Train::CrossEntropyGrad { .. } => Vec::new(),
    }
}

/// Multiply-adds for one image, counted as in the paper: only convolutions and linear layers. `None` if a size is free or
/// unknown.
pub fn macs(op: &Op, inputs: &[Shape], output: &Shape) -> Option<u64> {
    match op {
        Op::Conv(c) => {
            let channels = inputs.first()?.channels()?;
            let values = output.sizes()?.iter().try_fold(1u64, |n, &size| n.checked_mul(size as u64))?;
            let products = (channels / c.groups.max(1) * c.kernel[0] * c.kernel[1]) as u64;
            values.checked_mul(products)
        }
        Op::Linear(l) => (l.features as u64).checked_mul(inputs.first()?.channels()? as u64),
        Op::Input(_)
        | Op::BatchNorm(_)
        | Op::Act(_)
        | Op::Add
        | Op::Mul
        | Op::Concat
        | Op::Pool(_)
        | Op::AdaptiveAvgPool(_)
        | Op::GlobalMaxPool
        | Op::Flatten
        | Op::Softmax
        | Op::Dropout(_)
        | Op::Pad(_)
        | Op::Subsample(_)
        | Op::Upsample(_)
        | Op::Clamp(_)
        | Op::Scale(_)
        | Op::Train(_) => Some(0),
    }
}
