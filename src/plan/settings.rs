//! What a user asks of the planner, and what was measured: it travels with the model and in its artifact.

use std::collections::HashMap;

use super::{ConvStrategy, PlanOptions};
use crate::kernels::Isa;

/// How large packed weights may become, in hundredths of the raw ones, where nothing is said.
pub const MAX_PACK: u32 = 400;

/// What a user asks of the planner.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Settings {
    /// Whether to do without Winograd's convolutions, whose rounding is somewhat coarser.
    pub precise: bool,
    /// Whether convolutions that are no gradients are done with Winograd's tiles of 2x2 results at most, which round as finely as sums
    /// do. Training asks for it: where rounding moves a number across a ReLU's zero, a whole gradient comes or goes; gradients
    /// themselves may be rounded more coarsely.
    #[serde(default)]
    pub winograd_f2_only: bool,
    /// How large the packed weights of all convolutions together may become, in hundredths of the raw ones.
    pub max_packed_weights: u32,
    /// Choices that were measured.
    pub tuned: Vec<Tuned>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { precise: false, winograd_f2_only: false, max_packed_weights: MAX_PACK, tuned: Vec::new() }
    }
}

impl Settings {
    /// What was measured for a batch, thread count and instruction set, by the convolution's name: the first where there are
    /// several.
    pub(super) fn measured(&self, options: &PlanOptions) -> HashMap<&str, ConvStrategy> {
        let fits = |t: &&Tuned| (t.batch, t.threads, t.isa) == (options.batch, options.threads, options.isa);
        self.tuned.iter().rev().filter(fits).map(|t| (t.name.as_str(), t.strategy)).collect()
    }
}

/// A convolution's strategy, measured for one batch, thread count and instruction set.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Tuned {
    /// The convolution.
    pub name: String,
    /// Samples in a run.
    pub batch: usize,
    /// Threads.
    pub threads: usize,
    /// The instruction set.
    pub isa: Isa,
    /// What was fastest.
    pub strategy: ConvStrategy,
}
