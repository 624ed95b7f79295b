//! Evaluation over a labeled dataset: accuracy, loss and confusion of a network or an ensemble, over one or several views of each
//! image; and the mean and standard deviation of a dataset's images.

mod confusion;
mod ensemble;
mod error;
mod evaluator;
mod measures;
mod options;
mod report;
mod state;
mod stats;

pub use confusion::Confusion;
pub use ensemble::{Ensemble, EnsembleMember};
pub use error::EvalError;
pub use evaluator::{Evaluator, Progress};
pub use measures::Measures;
pub use options::{Average, EvalOptions, describe};
pub use report::{Report, WorstImage};
pub use state::Resumed;
pub use stats::{DatasetStats, StatsError, StatsOptions, dataset_stats};
