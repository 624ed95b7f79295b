//! From a checked graph to a list of steps over buffers, for one batch and thread count. A plan is plain data and holds no
//! weights: it says which are needed and in which form.
//!
//! ```text
//! lower: a step for each node   ->   layout: blocked values, a strategy for each convolution   ->   pairs: a projection and its addition in one step   ->   in place: operands that may be overwritten   ->   arena: lifetimes and offsets
//! ```

mod arena;
mod dump;
pub mod error;
mod in_place;
mod layout;
mod lower;
mod pair;
mod settings;
mod strategy;
mod train;
mod work;

pub use error::PlanError;
pub use settings::{MAX_PACK, Settings, Tuned};
pub use train::TrainKernel;
pub use work::Family;

use crate::ir::{Checked, ParamSource};
use crate::kernels::blocked::direct::DirectPlan;
use crate::kernels::blocked::pack;
use crate::kernels::gemm_conv::Tiles;
use crate::kernels::pooling::PoolShape;
use crate::kernels::shape::PadShape;
use crate::kernels::winograd::{self, WinogradPlan};
use crate::kernels::{Activation, ConvShape, Isa, Layout};

/// What a plan is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PlanOptions {
    /// Samples in a run.
    pub batch: usize,
    /// Threads that will run it.
    pub threads: usize,
    /// The instruction set of its kernels.
    pub isa: Isa,
}

impl PlanOptions {
    /// For a batch, threads and an instruction set.
    pub fn new(batch: usize, threads: usize, isa: Isa) -> PlanOptions {
        PlanOptions { batch, threads, isa }
    }
}

/// Index of a [`Buffer`] in its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BufferId(pub usize);

/// Index of a [`Weight`] in its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WeightId(pub usize);

/// Where a buffer lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The caller's array of that input; only read.
    Input(usize),
    /// The array of that output, made for each run.
    Output(usize),
    /// The arena, from that float on.
    Arena(usize),
}

/// Memory that steps read and write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// Floats.
    pub len: usize,
    /// Order of its elements.
    pub layout: Layout,
    /// Where it lies.
    pub place: Place,
}

/// An input or output of the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Its sizes, the batch first.
    pub shape: Vec<usize>,
}

/// How a weight is laid out for its kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum WeightLayout {
    /// As the graph has it.
    Plain,
    /// Panels of the direct convolution ([`crate::kernels::blocked::pack`]).
    Filters {
        /// Channels of a block.
        lanes: usize,
        /// Groups of channels.
        groups: usize,
        /// Whether the input is a plain map.
        plain: bool,
    },
    /// A number a channel, filled up to whole blocks.
    Channels {
        /// Channels of a block.
        lanes: usize,
    },
    /// A block of channels, tap by tap ([`crate::kernels::blocked::depthwise`]).
    Depthwise {
        /// Channels of a block.
        lanes: usize,
    },
    /// Transformed for Winograd's convolution ([`crate::kernels::winograd`]).
    Winograd {
        /// Channels of a block.
        lanes: usize,
        /// Results of a tile.
        size: winograd::Size,
    },
}

/// A parameter in the form that a step needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Weight {
    /// Its name, unique in the network: `layer1.0.conv1.weight`, folded or not.
    pub name: String,
    /// Where its values come from.
    pub source: WeightSource,
    /// Sizes of the values.
    pub shape: Vec<usize>,
    /// How they are laid out.
    pub form: WeightLayout,
}

impl Weight {
    /// Floats of its form.
    pub fn len(&self) -> usize {
        let [filters, channels, kh, kw] = [0, 1, 2, 3].map(|i| self.shape.get(i).copied().unwrap_or(1));
        match self.form {
            WeightLayout::Plain => self.shape.iter().product(),
            WeightLayout::Filters { lanes, groups, plain } => pack::packed_len(lanes, [filters, channels, kh, kw], groups, plain),
            WeightLayout::Channels { lanes } => self.shape.iter().product::<usize>().next_multiple_of(lanes),
            WeightLayout::Depthwise { lanes } => filters.next_multiple_of(lanes) * kh * kw,
            WeightLayout::Winograd { lanes, size } => winograd::packed_len(lanes, [filters, channels], size),
        }
    }

    /// Whether it has no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Where a weight's values come from.
#[derive(Clone, Debug, PartialEq)]
pub enum WeightSource {
    /// A parameter of the graph.
    Param(ParamSource),
    /// The weight of a convolution from which its input's gradient is a convolution of its result's: filters and channels
    /// of each group change places, and taps are taken from the last to the first.
    Turned {
        /// The weight `[filters, channels / groups, height, width]`.
        param: ParamSource,
        /// Groups of channels.
        groups: usize,
    },
    /// `weight / sqrt(running_var + eps)` of a norm that could not be folded.
    NormScale {
        /// The norm.
        norm: String,
        /// Its epsilon.
        eps: f64,
    },
    /// `bias - running_mean * scale` of that norm.
    NormShift {
        /// The norm.
        norm: String,
        /// Its epsilon.
        eps: f64,
    },
}

/// How a convolution is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConvStrategy {
    /// Matrix product over tiles laid out by im2col, or over the map itself where the convolution is pointwise.
    Gemm(Tiles),
    /// Tap by tap, over plain maps.
    Taps,
    /// The micro-kernel over all taps, blocked.
    Direct {
        /// How the work is cut.
        plan: DirectPlan,
        /// Whether the input is a plain map of few channels.
        plain: bool,
    },
    /// Winograd's minimal filtering, blocked.
    Winograd(WinogradPlan),
    /// A filter a channel, blocked.
    Depthwise,
}

/// What is added to a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResidualPlan {
    /// Nothing.
    None,
    /// What the output buffer holds.
    InPlace,
    /// The step's last input.
    Operand,
}

/// What a step computes.
#[derive(Clone, Debug, PartialEq)]
pub enum Kernel {
    /// A convolution. Weights: weight, bias if any.
    Conv {
        /// Its sizes.
        shape: ConvShape,
        /// How.
        strategy: ConvStrategy,
        /// Added.
        residual: ResidualPlan,
        /// Applied last.
        act: Option<Activation>,
    },
    /// A pointwise convolution and a second one of one tap, whose result is added: the end of a block and its projection
    /// shortcut. Inputs: theirs. Weights: weight and bias of each.
    FusedConvPair {
        /// Sizes of the first.
        shape: ConvShape,
        /// Sizes of the second.
        second: ConvShape,
        /// How the work is cut, by rows of the result.
        plan: DirectPlan,
        /// Applied last.
        act: Option<Activation>,
    },
    /// A fully connected layer. Weights: weight, bias if any.
    Linear {
        /// Batch, inputs, features.
        sizes: [usize; 3],
        /// Added.
        residual: ResidualPlan,
        /// Applied last.
        act: Option<Activation>,
    },
    /// Sum of all inputs.
    Add {
        /// Applied last.
        act: Option<Activation>,
    },
    /// Product of two inputs.
    Mul {
        /// Applied last.
        act: Option<Activation>,
    },
    /// First input times one number of the second for each map.
    ChannelMul {
        /// Elements of a map.
        plane: usize,
        /// Applied last.
        act: Option<Activation>,
    },
    /// Scale and shift by channel. Weights: scale, shift.
    ScaleShift {
        /// Elements of a map.
        plane: usize,
        /// Applied last.
        act: Option<Activation>,
    },
    /// An activation alone, or a copy.
    Activate {
        /// Which.
        act: Option<Activation>,
    },
    /// Concatenation along channels: floats of a sample of each input.
    Concat {
        /// One for each input.
        parts: Vec<usize>,
    },
    /// Pool over windows.
    Pool(PoolShape),
    /// Average pool to a fixed size.
    AdaptiveAvg {
        /// Height and width.
        input: [usize; 2],
        /// Height and width of the result.
        output: [usize; 2],
    },
    /// Softmax over channels.
    Softmax {
        /// How many.
        channels: usize,
        /// Elements of a map.
        plane: usize,
    },
    /// Zeros around.
    Pad(PadShape),
    /// From one layout to the other.
    Convert {
        /// Samples, channels, height, width.
        sizes: [usize; 4],
        /// To blocks of channels, else to plain maps.
        blocked: bool,
    },
    /// Every so many rows and columns.
    Subsample {
        /// Height and width.
        input: [usize; 2],
        /// Step.
        stride: [usize; 2],
    },
    /// Every pixel that of the nearest before it in a smaller map.
    Upsample {
        /// Height and width.
        input: [usize; 2],
        /// Height and width of the result.
        output: [usize; 2],
    },
    /// Values within limits.
    Clamp {
        /// The least, and the greatest.
        limits: [f32; 2],
    },
    /// Values times a constant, plus a constant.
    Scale {
        /// The factor.
        times: f32,
        /// What is added then.
        plus: f32,
    },
    /// What only a training step computes. Weights: those of its operator, in order.
    Train(TrainKernel),
}

/// A step of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The node's name.
    pub name: String,
    /// What it computes.
    pub kernel: Kernel,
    /// What it reads, in order; the first, or another that the kernel may overwrite, may be `output` itself.
    pub inputs: Vec<BufferId>,
    /// What it writes.
    pub output: BufferId,
    /// The parameters that it reads.
    pub weights: Vec<WeightId>,
    /// Floats of scratch that each thread needs.
    pub scratch: usize,
    /// Sizes of the result, the batch first.
    pub shape: Vec<usize>,
    /// Why a convolution is computed as it is, in words; empty where there was no choice.
    pub why: String,
}

/// A list of steps with all they need.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The network's name.
    pub name: String,
    /// What it was made for.
    pub options: PlanOptions,
    /// The inputs, in order.
    pub inputs: Vec<Port>,
    /// The outputs, in order.
    pub outputs: Vec<Port>,
    /// The buffers.
    pub buffers: Vec<Buffer>,
    /// The parameters.
    pub weights: Vec<Weight>,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// Floats of the arena, the scratch of all threads included, which begins at `scratch_at`.
    pub arena: usize,
    /// First float of the scratch: a part of `scratch` floats for each thread.
    pub scratch_at: usize,
    /// Floats of scratch for each thread.
    pub scratch: usize,
}

/// Plans a checked network whose sizes are all fixed.
pub fn plan(checked: &Checked, options: &PlanOptions, settings: &Settings) -> Result<Plan, PlanError> {
    let mut plan = lower::lower(checked, options)?;
    for step in &mut plan.steps {
        if let Kernel::Train(train) = &mut step.kernel {
            train.precise = settings.precise;
        }
    }
    // which layouts there are does not depend on what is chosen: the first walk asks, the second tells
    let mut asked = Vec::new();
    layout::assign(&mut plan.clone(), &mut |conv| {
        let ways = strategy::candidates(conv, options, settings);
        let first = ways.first().cloned();
        asked.push((conv.name.to_owned(), ways));
        first.unwrap_or_else(|| strategy::plain(conv.shape, options.threads))
    })?;
    let chosen = strategy::choose(asked, options, settings);
    layout::assign(&mut plan, &mut |conv| {
        chosen.get(conv.name).cloned().unwrap_or_else(|| strategy::plain(conv.shape, options.threads))
    })?;
    pair::join(&mut plan);
    in_place::overwrite(&mut plan);
    arena::place(&mut plan)?;
    Ok(plan)
}

/// For each convolution by name, the ways to compute it that are worth measuring, the most promising first.
pub fn alternatives(
    checked: &Checked,
    options: &PlanOptions,
    settings: &Settings,
) -> Result<Vec<(String, Vec<ConvStrategy>)>, PlanError> {
    let mut plan = lower::lower(checked, options)?;
    let mut asked = Vec::new();
    layout::assign(&mut plan, &mut |conv| {
        let ways = strategy::candidates(conv, options, settings);
        asked.push((conv.name.to_owned(), ways.iter().map(|way| way.strategy).collect()));
        ways.into_iter().next().unwrap_or_else(|| strategy::plain(conv.shape, options.threads))
    })?;
    Ok(asked)
}

impl Plan {
    /// The buffer.
    pub fn buffer(&self, id: BufferId) -> &Buffer {
        &self.buffers[id.0]
    }

    /// The step at which each buffer is read or written last; outputs live to the end (`usize::MAX`).
    fn last_uses(&self) -> Vec<usize> {
        let mut last = vec![0; self.buffers.len()];
        for (index, step) in self.steps.iter().enumerate() {
            for id in step.inputs.iter().chain([&step.output]) {
                last[id.0] = index;
            }
        }
        for (buffer, last) in self.buffers.iter().zip(&mut last) {
            if matches!(buffer.place, Place::Output(_)) {
                *last = usize::MAX;
            }
        }
        last
    }
}
