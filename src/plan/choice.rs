//! What was measured best for a step on some machine, to be kept.

use serde::{Deserialize, Serialize};

use crate::kernels::Isa;

/// What was measured best for a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// The step's name.
    pub step: String,
    /// Samples in a run.
    pub batch: usize,
    /// Threads that ran it.
    pub threads: usize,
    /// The instruction set of its kernels.
    pub isa: Isa,
    /// The choice, as the planner writes it.
    pub choice: serde_json::Value,
}
