//! Training: the optimizer, learning rate schedules, the loop, checkpoints, the run directory and its report.
//!
//! An [`Engine`] computes losses and gradients, and a [`Feed`] reads batches; the rest is independent of graphs. All randomness derives from
//! the recipe's seed, the epoch, the sample and the step, so the counters of a checkpoint are its complete state.

pub mod calibrate;
mod changes;
pub mod checkpoint;
mod engine;
mod error;
mod feed;
mod graph_engine;
pub mod init;
mod loader;
pub mod log;
mod make;
mod plot;
pub mod report;
mod run;
mod sanity;
mod schedule;
mod sgd;
#[cfg(test)]
mod tests;

pub use engine::{Batch, BatchStats, Engine, LayerKind, RunningStat, TrainedParam};
pub use error::TrainError;
pub use feed::{Feed, Loaded};
pub use graph_engine::{EngineOptions, GraphEngine};
pub use loader::LoaderFeed;
pub use make::{calibration_engine, classes, engine, feed};
pub use run::{End, Event, Flow, Run, RunDir, evaluate};
pub use schedule::{LrSchedule, Plateau};
pub use sgd::{Optimizer, clip_grad_norm};
