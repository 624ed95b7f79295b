//! Planner settings: user options and measured choices. They are stored with the model and in its artifact.

use std::collections::HashMap;

use super::{ConvStrategy, PlanOptions};
use crate::kernels::Isa;

/// The default limit for packed weights, in percent of the raw ones.
pub const MAX_PACK: u32 = 400;

/// Planner settings.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Settings {
    /// Whether to avoid Winograd convolution, whose rounding errors are somewhat larger.
    pub precise: bool,
    /// Whether convolutions other than gradients use Winograd tiles with 2x2 outputs at most, whose rounding errors are as small
    /// as those of direct sums. Training sets it: if rounding moves a value across a ReLU's zero, a whole gradient appears or
    /// disappears. Gradients themselves tolerate larger errors.
    #[serde(default)]
    pub winograd_f2_only: bool,
    /// The limit for the packed weights of all convolutions together, in percent of the raw ones.
    pub max_packed_weights: u32,
    /// Measured choices.
    pub tuned: Vec<Tuned>,
    /// Rows of a chunk in loops over counted rows, if they are not to be chosen by the size of a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunk_rows: Option<usize>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { precise: false, winograd_f2_only: false, max_packed_weights: MAX_PACK, tuned: Vec::new(), chunk_rows: None }
    }
}

impl Settings {
    /// The measurements for a batch size, thread count and instruction set, by the convolution's name. The first wins if there
    /// are several.
    pub(super) fn measured(&self, options: &PlanOptions) -> HashMap<&str, ConvStrategy> {
        let fits = |t: &&Tuned| (t.batch, t.threads, t.isa) == (options.batch, options.threads, options.isa);
        self.tuned.iter().rev().filter(fits).map(|t| (t.name.as_str(), t.strategy)).collect()
    }
}

/// The fastest strategy of a convolution, measured for one batch size, thread count and instruction set.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Tuned {
    /// The convolution.
    pub name: String,
    /// Samples per run.
    pub batch: usize,
    /// Threads.
    pub threads: usize,
    /// The instruction set.
    pub isa: Isa,
    /// The fastest strategy.
    pub strategy: ConvStrategy,
}
