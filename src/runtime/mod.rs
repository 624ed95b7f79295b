//! Parameters, models and sessions, and the reference interpreter.
//!
//! A [`Model`] holds what sessions share. A [`Session`] belongs to one thread: it plans for the batch it receives and runs the
//! plan's steps on its arena with its thread pool. [`interp`] computes the same results slowly, from the original graph.

mod arena;
mod bound_weight;
pub mod error;
mod exec;
mod exec_norm;
mod exec_train;
mod executor;
mod finite;
pub mod init;
mod inputs;
pub mod interp;
mod lowered;
mod model;
mod outputs;
mod packed_weights;
pub mod params;
mod session;
mod train_session;
mod train_weights;
mod tune;
mod weights;

pub use error::RunError;
pub use executor::SessionOptions;
pub use finite::NotFinite;
pub(crate) use finite::{all_finite, of_tensor};
pub use lowered::lowered;
pub use model::Model;
pub use outputs::{OutputArray, Outputs};
pub use packed_weights::PackedWeights;
pub use params::{ParamError, ParamStore};
pub use session::Session;
pub use train_session::{StepInputs, TrainSession};
pub use tune::tune;
