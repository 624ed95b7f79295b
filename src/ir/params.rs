//! The parameters of a node, and where their values come from.

use std::collections::BTreeSet;

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
    /// Learned factor of each filter of a convolution with standardized weights.
    Gain,
    /// A learned operand of an elementwise function, by its slot: a PReLU's slope.
    Operand(u8),
}

impl ParamRole {
    /// PyTorch's name for it, which follows the layer's name and a dot.
    pub fn suffix(self) -> &'static str {
        match self {
            ParamRole::Weight => "weight",
            ParamRole::Bias => "bias",
            ParamRole::RunningMean => "running_mean",
            ParamRole::RunningVar => "running_var",
            ParamRole::Gain => "gain",
            // its declaration names it: see `Op::param_name`
            ParamRole::Operand(_) => "operand",
        }
    }

    /// Whether training updates it by gradient (and `params` counts it).
    pub fn is_learned(self) -> bool {
        matches!(self, ParamRole::Weight | ParamRole::Bias | ParamRole::Gain | ParamRole::Operand(_))
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
        /// Where the weight's filters are.
        axis: FilterAxis,
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
    /// Each filter of a weight with mean 0 and variance 1, times a factor.
    Standardized {
        /// The tensor of the weight.
        weight: String,
        /// The tensor of the gains, one for each filter.
        gain: Option<String>,
        /// The number of filters.
        filters: usize,
        /// Added to the variance.
        eps: f64,
        /// The factor besides the gain.
        scale: f64,
    },
    /// A parameter times a learned factor: filter by filter, or all by the same.
    Scaled {
        /// The parameter of a convolution or linear layer.
        of: Box<ParamSource>,
        /// The factor.
        factor: Box<Param>,
        /// Where the parameter's filters are.
        axis: FilterAxis,
    },
    /// A parameter rounded to bf16.
    Bf16 {
        /// The tensor that it is stored as, rounded already; otherwise it is made of the others.
        stored: String,
        /// The parameter.
        of: Box<ParamSource>,
    },
}

impl ParamSource {
    /// Adds the names of the tensors that the parameter is made from. One that is stored already is left out.
    pub fn tensors(&self, names: &mut BTreeSet<String>) {
        match self {
            ParamSource::Named(name) => drop(names.insert(name.clone())),
            ParamSource::FoldedWeight { conv, norm, .. } => {
                names.insert(format!("{conv}.weight"));
                of_norm(norm, names);
            }
            ParamSource::Standardized { weight, gain, .. } => names.extend([weight].into_iter().chain(gain).cloned()),
            ParamSource::FoldedBias { conv, conv_bias, norm, .. } => {
                if *conv_bias {
                    names.insert(format!("{conv}.bias"));
                }
                of_norm(norm, names);
            }
            ParamSource::Scaled { of, factor, .. } => {
                of.tensors(names);
                factor.source.tensors(names);
            }
            ParamSource::Bf16 { of, .. } => of.tensors(names),
        }
    }
}

/// Adds the names of a norm's tensors.
pub(crate) fn of_norm(norm: &str, names: &mut BTreeSet<String>) {
    for role in [ParamRole::Weight, ParamRole::Bias, ParamRole::RunningMean, ParamRole::RunningVar] {
        names.insert(format!("{norm}.{}", role.suffix()));
    }
}

/// The axis of a weight that its filters, or a layer's outputs, are along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterAxis {
    /// The first one: of convolutions and linear layers.
    First,
    /// The second one within each group: of transposed convolutions, `[channels, filters / groups, …]`.
    Second {
        /// All filters.
        filters: usize,
        /// The number of channel groups.
        groups: usize,
        /// Kernel elements.
        kernel: usize,
    },
}

impl FilterAxis {
    /// How many values of a filter lie together, in a weight of `len` values with this many filters.
    pub fn run(self, len: usize, filters: usize) -> usize {
        match self {
            FilterAxis::First => len / filters.max(1),
            FilterAxis::Second { kernel, .. } => kernel,
        }
    }

    /// The filter of a run of values, of so many.
    pub fn filter(self, run: usize, runs: usize) -> usize {
        match self {
            FilterAxis::First => run,
            FilterAxis::Second { filters, groups, .. } => {
                let (of_group, runs_of_group) = (filters / groups.max(1), runs / groups.max(1));
                run / runs_of_group.max(1) * of_group + run % of_group.max(1)
            }
        }
    }
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
