//! Parameters, models and sessions; and the naive oracle.
//!
//! A [`Model`] holds what sessions share; a [`Session`] is one thread's: it plans for the batch it is given, and runs the
//! plan's steps over its arena with its pool. [`interp`] computes the same slowly, from the graph as it was written.

mod arena;
mod changing;
pub mod error;
mod exec;
mod exec_train;
mod finite;
pub mod init;
mod inputs;
pub mod interp;
mod model;
mod outputs;
mod packs;
pub mod params;
mod session;
mod train_session;
mod tune;
mod weights;

pub use error::RunError;
pub use finite::NotFinite;
pub(crate) use finite::{all_finite, of_tensor};
pub use model::Model;
pub use outputs::Outputs;
pub use packs::PackedWeights;
pub use params::{ParamError, ParamStore};
pub use session::{Session, SessionOptions};
pub use train_session::{StepInputs, TrainSession};
pub use tune::tune;
