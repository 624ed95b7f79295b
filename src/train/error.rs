//! What can go wrong in training.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::data::DataError;
use crate::formats::WeightsError;
use crate::runtime::{NotFinite, RunError};

/// See the module.
#[derive(Debug, Error)]
pub enum TrainError {
    /// The recipe cannot be run on these data.
    #[error("{0}")]
    Recipe(String),
    /// The loss of a step is infinite or no number.
    #[error("the loss of step {step} is {loss}{}{}", clause(.cause.as_ref()), advice(.cause.as_ref(), *step, *rate))]
    NotFinite {
        /// The step, from 1.
        step: u64,
        /// The loss.
        loss: f64,
        /// What is not finite.
        cause: Option<NotFinite>,
        /// The recipe's rate.
        rate: f64,
    },
    /// The loss over the validation data is infinite or no number.
    #[error("the validation loss after step {step} is {loss}{}{}", clause(.cause.as_ref()), measured(.cause.as_ref()))]
    Validation {
        /// The step, from 1.
        step: u64,
        /// The loss.
        loss: f64,
        /// What is not finite.
        cause: Option<NotFinite>,
    },
    /// The values that training starts from are no finite numbers, or a variance is negative.
    #[error("{cause}; they were so before the first step")]
    Start {
        /// The parameter.
        cause: NotFinite,
    },
    /// A step has made a parameter, or a running statistic, that is no finite number.
    #[error("after step {step}, {cause}; a smaller learning rate may help: --set train.optimizer.lr={}", number(rate / 10.0))]
    Diverged {
        /// The step, from 1.
        step: u64,
        /// The parameter.
        cause: NotFinite,
        /// The recipe's rate.
        rate: f64,
    },
    /// Statistics that were measured are no finite numbers.
    #[error("the statistics of batch {batch} are not finite: `{name}`{}", clause(.cause.as_ref()))]
    Statistics {
        /// The batch, from 1.
        batch: u64,
        /// The statistic.
        name: String,
        /// What is not finite.
        cause: Option<NotFinite>,
    },
    /// The network does not run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A file of weights cannot be read or written.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A sample cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A file of the run directory cannot be read or written.
    #[error("`{}`: {what}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was to be done: `cannot write the checkpoint`.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// A file of the run directory holds what no run writes.
    #[error("`{}`: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, in one sentence.
        why: String,
    },
}

fn clause(cause: Option<&NotFinite>) -> String {
    cause.map_or_else(String::new, |cause| format!(": {cause}"))
}

/// What may help: the learning rate has no part in data and weights that were bad before the first step.
fn advice(cause: Option<&NotFinite>, step: u64, rate: f64) -> String {
    match cause {
        Some(NotFinite::Input { .. }) => String::new(),
        Some(NotFinite::Weight { .. }) if step == 1 => "; they were so before the first step".to_owned(),
        Some(_) | None => format!("; a smaller learning rate may help: --set train.optimizer.lr={}", number(rate / 10.0)),
    }
}

fn measured(cause: Option<&NotFinite>) -> &'static str {
    match cause {
        Some(NotFinite::Layer { .. }) => "; the training loss was finite: running statistics that lag behind may be the reason",
        Some(NotFinite::Input { .. } | NotFinite::Weight { .. }) | None => "",
    }
}

/// A number as a person writes it: with an exponent where it is far from 1.
fn number(x: f64) -> String {
    if (1e-3..1e3).contains(&x) { x.to_string() } else { format!("{x:.0e}") }
}
