//! From an optimized network or a training step to a list of steps over buffers, for one batch size and thread count. A plan is
//! plain data and holds no weights: it lists the ones needed and their layouts.
//!
//! ```text
//! lower: a step per node
//!   -> layout: blocked values, a strategy per convolution
//!   -> pairs: a projection and the convolution that adds it in one step
//!   -> in place: operands that may be overwritten
//!   -> arena: lifetimes and offsets
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

use crate::ir::{ParamSource, Plannable};
use crate::kernels::nchw::gemm::Tiles;
use crate::kernels::nchwc::direct::DirectPlan;
use crate::kernels::nchwc::pack;
use crate::kernels::pad::PadShape;
use crate::kernels::pool::PoolShape;
use crate::kernels::winograd::{self, WinogradPlan};
use crate::kernels::{Activation, ConvShape, Isa, Layout};
use layout::{ConvQuery, Layouts};

/// The configuration that a plan is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PlanOptions {
    /// Samples per run.
    pub batch: usize,
    /// Threads that will run it.
    pub threads: usize,
    /// The instruction set of its kernels.
    pub isa: Isa,
}

impl PlanOptions {
    /// Options for a batch size, thread count and instruction set.
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

/// Where a buffer is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The caller's array for this input; read-only.
    Input(usize),
    /// The array for this output, allocated for each run.
    Output(usize),
    /// The arena, starting at this float.
    Arena(usize),
}

/// Memory that steps read and write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// Its length in floats.
    pub len: usize,
    /// The order of its elements.
    pub layout: Layout,
    /// Where it is stored.
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

/// The layout of a weight for its kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum WeightLayout {
    /// As in the graph.
    Plain,
    /// Panels of the direct convolution ([`crate::kernels::nchwc::pack`]).
    Filters {
        /// Channels per block.
        lanes: usize,
        /// The number of channel groups.
        groups: usize,
        /// Whether the input is in the plain layout.
        plain: bool,
    },
    /// One number per channel, padded to whole blocks.
    Channels {
        /// Channels per block.
        lanes: usize,
    },
    /// Blocks of channels, one kernel element after the other ([`crate::kernels::nchwc::depthwise`]).
    Depthwise {
        /// Channels per block.
        lanes: usize,
    },
    /// Transformed for Winograd convolution ([`crate::kernels::winograd`]).
    Winograd {
        /// Channels per block.
        lanes: usize,
        /// The output size of a tile.
        size: winograd::Size,
    },
}

/// A parameter in the layout that a step needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Weight {
    /// Its name, unique in the network: `layer1.0.conv1.weight`, folded or not.
    pub name: String,
    /// The source of its values.
    pub source: WeightSource,
    /// The sizes of the unpacked tensor.
    pub shape: Vec<usize>,
    /// Its layout.
    pub layout: WeightLayout,
}

impl Weight {
    /// Its length in floats, packed.
    pub fn len(&self) -> usize {
        let [filters, channels, kh, kw] = [0, 1, 2, 3].map(|i| self.shape.get(i).copied().unwrap_or(1));
        match self.layout {
            WeightLayout::Plain => self.shape.iter().product(),
            WeightLayout::Filters { lanes, groups, plain } => pack::packed_len(lanes, [filters, channels, kh, kw], groups, plain),
            WeightLayout::Channels { lanes } => self.shape.iter().product::<usize>().next_multiple_of(lanes),
            WeightLayout::Depthwise { lanes } => filters.next_multiple_of(lanes) * kh * kw,
            WeightLayout::Winograd { lanes, size } => winograd::packed_len(lanes, [filters, channels], size),
        }
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The source of a weight's values.
#[derive(Clone, Debug, PartialEq)]
pub enum WeightSource {
    /// A parameter of the graph.
    Param(ParamSource),
    /// The weight for the gradient of a convolution's input: filters and channels of each group are transposed, and the kernel
    /// is flipped along both axes.
    Transposed {
        /// The weight `[filters, channels / groups, height, width]`.
        param: ParamSource,
        /// The number of channel groups.
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
        /// The activation, applied last.
        act: Option<Activation>,
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
        /// The activation, applied last.
        act: Option<Activation>,
    },
    /// A fully connected layer. Weights: weight, bias if any.
    Linear {
        /// Batch, inputs, features.
        sizes: [usize; 3],
        /// The residual.
        residual: ResidualPlan,
        /// The activation, applied last.
        act: Option<Activation>,
    },
    /// Sum of all inputs.
    Add {
        /// The activation, applied last.
        act: Option<Activation>,
    },
    /// Product of two inputs.
    Mul {
        /// The activation, applied last.
        act: Option<Activation>,
    },
    /// The first input times one number per channel from the second.
    ChannelMul {
        /// Elements per channel.
        plane: usize,
        /// The activation, applied last.
        act: Option<Activation>,
    },
    /// Scale and shift per channel. Weights: scale, shift.
    ScaleShift {
        /// Elements per channel.
        plane: usize,
        /// The activation, applied last.
        act: Option<Activation>,
    },
    /// A stand-alone activation, or a copy.
    Activate {
        /// The activation.
        act: Option<Activation>,
    },
    /// Concatenation along channels.
    Concat {
        /// Floats per sample of each input.
        parts: Vec<usize>,
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
    /// Nearest-neighbor upsampling.
    Upsample {
        /// Height and width.
        input: [usize; 2],
        /// Height and width of the output.
        output: [usize; 2],
    },
    /// Clamps values to limits.
    Clamp {
        /// The minimum and the maximum.
        limits: [f32; 2],
    },
    /// Values times a constant, plus a constant.
    Scale {
        /// The factor.
        times: f32,
        /// The constant added to the product.
        plus: f32,
    },
    /// A training operator. Weights: those of the operator, in order.
    Train(TrainKernel),
}

/// A step of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The node's name.
    pub name: String,
    /// Its computation.
    pub kernel: Kernel,
    /// The buffers it reads, in order. One that the kernel may overwrite can be `output` itself.
    pub inputs: Vec<BufferId>,
    /// The buffer it writes.
    pub output: BufferId,
    /// The weights it reads.
    pub weights: Vec<WeightId>,
    /// Floats of scratch memory per thread.
    pub scratch: usize,
    /// Sizes of the result, batch first.
    pub shape: Vec<usize>,
    /// Why a convolution's strategy was chosen, in words; empty if there was no choice.
    pub why: String,
}

/// A list of steps with everything they need.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The network's name.
    pub name: String,
    /// The configuration it was made for.
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
    /// Floats of the arena, including the scratch memory of all threads, which begins at `scratch_at`.
    pub arena: usize,
    /// The first float of the scratch memory, which has `scratch` floats for each thread.
    pub scratch_at: usize,
    /// Floats of scratch memory per thread.
    pub scratch: usize,
}

/// Plans an optimized network or a training step. All its sizes must be fixed.
///
/// A network as its source declares it cannot be planned:
///
/// ```compile_fail
/// # use resnetc::internal::plan::{Plan, PlanError, PlanOptions, Settings, plan};
/// # use resnetc::{ir::{Canonical, Checked}, passes::{self, Optimized}};
/// fn plan_it(network: &Checked, options: &PlanOptions) -> Result<Plan, PlanError> {
///     plan(network, options, &Settings::default())
/// }
/// ```
///
/// ```
/// # use resnetc::internal::plan::{Plan, PlanError, PlanOptions, Settings, plan};
/// # use resnetc::{ir::{Canonical, Checked}, passes::{self, Optimized}};
/// fn plan_it(network: &Checked, options: &PlanOptions) -> Result<Plan, PlanError> {
///     plan(&passes::inference(network.canonical()), options, &Settings::default())
/// }
/// ```
pub fn plan(network: &impl Plannable, options: &PlanOptions, settings: &Settings) -> Result<Plan, PlanError> {
    let mut plan = lower::lower(network, options)?;
    for step in &mut plan.steps {
        if let Kernel::Train(train) = &mut step.kernel {
            train.precise = settings.precise;
        }
    }
    let layouts = Layouts::of(&plan);
    let convs = layouts.queries(&plan).into_iter().map(|query| (query.name, strategy::candidates(&query, options, settings)));
    let choices = strategy::choose(convs.collect(), options, settings);
    layouts.assign(&mut plan, choices)?;
    pair::join(&mut plan);
    in_place::overwrite(&mut plan);
    arena::place(&mut plan)?;
    Ok(plan)
}

/// For each convolution by name, the strategies worth measuring, the most promising first.
pub fn alternatives(
    network: &impl Plannable,
    options: &PlanOptions,
    settings: &Settings,
) -> Result<Vec<(String, Vec<ConvStrategy>)>, PlanError> {
    let plan = lower::lower(network, options)?;
    let strategies = |query: &ConvQuery<'_>| {
        let candidates = strategy::candidates(query, options, settings);
        (query.name.to_owned(), candidates.into_iter().map(|choice| choice.strategy).collect())
    };
    Ok(Layouts::of(&plan).queries(&plan).iter().map(strategies).collect())
}

impl Plan {
    /// The buffer.
    pub fn buffer(&self, id: BufferId) -> &Buffer {
        &self.buffers[id.0]
    }

    /// The step that last reads or writes each buffer. Outputs live to the end (`usize::MAX`).
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
