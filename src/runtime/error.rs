//! What can go wrong between named inputs and named outputs.

use thiserror::Error;

use super::params::ParamError;
use crate::check::SizeError;
use crate::kernels::IsaError;
use crate::plan::PlanError;

/// Why a run was refused or failed.
#[derive(Debug, Error)]
pub enum RunError {
    /// An input that the network does not have.
    #[error("the network has no input `{name}`; it has {known}")]
    UnknownInput {
        /// As given.
        name: String,
        /// All its inputs, in words.
        known: String,
    },
    /// An input that was not given.
    #[error("the input `{name}` is missing")]
    MissingInput {
        /// Its name.
        name: String,
    },
    /// An input that was given twice.
    #[error("the input `{name}` is given twice")]
    RepeatedInput {
        /// Its name.
        name: String,
    },
    /// Wrong rank or sizes.
    #[error("the input `{name}` is {got}; expected {expected}")]
    InputShape {
        /// Its name.
        name: String,
        /// `batch x 3 x 224 x 224`.
        expected: String,
        /// The sizes as given.
        got: String,
    },
    /// Inputs of different batches, or of different sizes along a free axis.
    #[error("the inputs disagree on the {what}: {first} and {second}")]
    Disagree {
        /// `batch`, `H` or `W`.
        what: &'static str,
        /// From one input.
        first: usize,
        /// From another.
        second: usize,
    },
    /// A batch of none.
    #[error("the input `{name}` holds no sample: its batch is 0")]
    EmptyBatch {
        /// Its name.
        name: String,
    },
    /// The instruction set that was asked for is not there.
    #[error(transparent)]
    Isa(#[from] IsaError),
    /// A size of the free axes for which the network does not type-check.
    #[error(transparent)]
    Size(#[from] SizeError),
    /// Not enough memory for the arena.
    #[error("cannot get {bytes} bytes of memory for the activations")]
    Memory {
        /// How much was asked for.
        bytes: usize,
    },
    /// Not enough memory for parameters that are drawn.
    #[error("cannot get {bytes} bytes of memory for the parameters")]
    ParamMemory {
        /// How much was asked for.
        bytes: u64,
    },
    /// The thread pool could not be started.
    #[error("cannot start a worker thread: {0}")]
    Threads(#[from] std::io::Error),
    /// A parameter is missing or does not fit.
    #[error(transparent)]
    Param(#[from] ParamError),
    /// A weight that was packed into an artifact has another length than its form has.
    #[error("the packed weight `{name}` has {got} values where {expected} are needed: its artifact is damaged")]
    Pack {
        /// The weight.
        name: String,
        /// Values of its form.
        expected: usize,
        /// Values in the artifact.
        got: usize,
    },
    /// No plan could be made.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A worker panicked: a defect of this program, reported instead of spread.
    #[error("internal error: a kernel panicked in step `{step}`; please report it")]
    Panicked {
        /// The step's name.
        step: String,
    },
    /// The graph breaks its own rules: a defect of this program.
    #[error("internal error: {0}; please report it")]
    Internal(String),
}
