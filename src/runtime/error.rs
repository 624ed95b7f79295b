//! Errors of a run.

use thiserror::Error;

use super::params::ParamError;
use crate::check::SizeError;
use crate::kernels::IsaError;
use crate::plan::PlanError;

/// Why a run was rejected or failed.
#[derive(Debug, Error)]
pub enum RunError {
    /// An input that the network does not have.
    #[error("the network has no input `{name}`; it has {known}")]
    UnknownInput {
        /// The given name.
        name: String,
        /// All inputs of the network, as text.
        known: String,
    },
    /// A required input was not given.
    #[error("the input `{name}` is missing")]
    MissingInput {
        /// Its name.
        name: String,
    },
    /// An input was given twice.
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
    /// Inputs with different batch sizes, or different sizes along a free axis.
    #[error("the inputs disagree on the {what}: {first} and {second}")]
    Disagree {
        /// `batch`, `H` or `W`.
        what: &'static str,
        /// The size in one input.
        first: usize,
        /// The size in another.
        second: usize,
    },
    /// An empty batch.
    #[error("the input `{name}` holds no sample: its batch is 0")]
    EmptyBatch {
        /// Its name.
        name: String,
    },
    /// The requested instruction set is not available.
    #[error(transparent)]
    Isa(#[from] IsaError),
    /// The network does not accept this input size.
    #[error(transparent)]
    Size(#[from] SizeError),
    /// Not enough memory for the arena.
    #[error("cannot get {bytes} bytes of memory for the activations")]
    Memory {
        /// Requested bytes.
        bytes: usize,
    },
    /// Not enough memory to initialize the parameters.
    #[error("cannot get {bytes} bytes of memory for the parameters")]
    ParamMemory {
        /// Requested bytes.
        bytes: u64,
    },
    /// The thread pool could not be started.
    #[error("cannot start a worker thread: {0}")]
    Threads(#[from] std::io::Error),
    /// A parameter is missing or has the wrong size.
    #[error(transparent)]
    Param(#[from] ParamError),
    /// A packed weight in an artifact has the wrong length.
    #[error("the packed weight `{name}` has {got} values where {expected} are needed: its artifact is damaged")]
    PackedWeight {
        /// The weight.
        name: String,
        /// Number of values that its layout needs.
        expected: usize,
        /// Number of values in the artifact.
        got: usize,
    },
    /// Planning failed.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A kernel panicked: a bug in this program, reported instead of propagated.
    #[error("internal error: a kernel panicked in step `{step}`; please report it")]
    Panicked {
        /// The step's name.
        step: String,
    },
    /// The graph is inconsistent: a bug in this program.
    #[error("internal error: {0}; please report it")]
    Internal(String),
}
