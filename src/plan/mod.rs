//! From an optimized network or a training step to a list of steps over buffers, for one batch size and thread count. A plan is
//! plain data and holds no weights: it lists the ones needed and their layouts.
//!
//! ```text
//! lower: a step per node
//!   -> layout: blocked values, a strategy per convolution
//!   -> pairs: a projection and the convolution that adds it in one step
//!   -> in place: operands that may be overwritten
//!   -> parts of concatenations in their results
//!   -> arena: lifetimes and offsets
//! ```

mod arena;
mod attrs;
mod buffer;
mod concat;
mod dump;
pub mod error;
mod function;
mod in_place;
mod kernel;
mod layout;
mod lower;
mod pair;
mod planner;
mod row_loop;
mod settings;
mod strategy;
mod train_kernel;
mod weight;
mod work;

pub(crate) use attrs::together;
pub use buffer::{Buffer, BufferId, Place};
pub use error::PlanError;
pub use function::{ElementwiseKernel, FusedFunction};
pub use kernel::{ConvStrategy, Kernel, ResidualPlan};
pub use planner::{alternatives, plan};
pub use row_loop::RowLoop;
pub use settings::{MAX_PACK, Settings, Tuned};
pub use train_kernel::TrainKernel;
pub use weight::{Weight, WeightId, WeightLayout, WeightSource};
pub use work::Family;

use crate::base::tensor::DType;
use crate::kernels::Isa;

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

/// An input or output of the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// The type of its elements.
    pub dtype: DType,
    /// Its sizes, the batch first.
    pub shape: Vec<usize>,
}

/// A step of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The node's name.
    pub name: String,
    /// Its computation.
    pub kernel: Kernel,
    /// The buffers it reads, in order. One that the kernel may overwrite can also be an output.
    pub inputs: Vec<BufferId>,
    /// The buffers it writes, one for each result; at least one.
    pub outputs: Vec<BufferId>,
    /// The weights it reads.
    pub weights: Vec<WeightId>,
    /// Bytes of scratch memory per thread.
    pub scratch: usize,
    /// Sizes of the first result, batch first.
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
    /// The loops over counted rows, in the order of their steps.
    pub loops: Vec<RowLoop>,
    /// Bytes of the arena, including the scratch memory of all threads, which begins at `scratch_at`.
    pub arena: usize,
    /// The first byte of the scratch memory, which has `scratch` bytes for each thread.
    pub scratch_at: usize,
    /// Bytes of scratch memory per thread.
    pub scratch: usize,
}

impl Step {
    /// The first buffer it writes: the only one, unless its operator has several results.
    pub fn output(&self) -> BufferId {
        self.outputs[0]
    }

    /// All buffers that it reads or writes.
    fn buffers(&self) -> impl Iterator<Item = BufferId> {
        self.inputs.iter().chain(&self.outputs).copied()
    }
}

impl Plan {
    /// The buffer.
    pub fn buffer(&self, id: BufferId) -> &Buffer {
        &self.buffers[id.0]
    }
}
