//! Training: the optimizer, schedules, the loop, checkpoints, the run directory and its report.
//!
//! What computes losses and gradients is an [`Engine`], and what reads batches a [`Feed`]; all else here knows no graph. Everything
//! random is drawn from the recipe's seed, the epoch, the sample and the step, so that the counters of a checkpoint are all its state.

pub mod calibrate;
pub mod checkpoint;
mod engine;
mod error;
mod feed;
mod graph_engine;
pub mod init;
mod loader;
pub mod log;
mod make;
pub mod report;
mod run;
mod sanity;
mod schedule;
mod sgd;
#[cfg(test)]
mod tests;

pub use engine::{Batch, BatchStats, Engine, LayerKind, StateTensor, TrainedParam};
pub use error::TrainError;
pub use feed::{Feed, Loaded};
pub use graph_engine::{EngineOptions, GraphEngine};
pub use loader::LoaderFeed;
pub use make::{classes, engine, feed, statistics};
pub use run::{End, Event, Flow, Run, RunDir, evaluate};
pub use schedule::{Plateau, Rates};
pub use sgd::{Optimizer, clip};
