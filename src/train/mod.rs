//! Training: the optimiser, schedules, the loop, checkpoints, the run directory and its report.
//!
//! What computes losses and gradients is an [`Engine`]; all else here knows no graph.

mod engine;
mod error;

pub use engine::{Batch, BatchStats, Engine, LayerKind, StateTensor, TrainedParam};
pub use error::TrainError;
