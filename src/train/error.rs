//! Errors of training.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::data::DataError;
use crate::formats::WeightsError;
use crate::runtime::{NotFinite, RunError};

/// Why training cannot start, or stops.
#[derive(Debug, Error)]
pub enum TrainError {
    /// The recipe does not fit the network or the data.
    #[error("{0}")]
    Recipe(String),
    /// The loss of a step is infinite or NaN.
    #[error("the loss of step {step} is {loss}{}{}", clause(.cause.as_ref()), advice(.cause.as_ref(), *step, *lr))]
    NotFinite {
        /// The step, from 1.
        step: u64,
        /// The loss.
        loss: f64,
        /// The first value that is not finite.
        cause: Option<NotFinite>,
        /// The learning rate of the recipe.
        lr: f64,
    },
    /// The validation loss is infinite or NaN.
    #[error("the validation loss after step {step} is {loss}{}{}", clause(.cause.as_ref()), lagging(.cause.as_ref()))]
    Validation {
        /// The step, from 1.
        step: u64,
        /// The loss.
        loss: f64,
        /// The first value that is not finite.
        cause: Option<NotFinite>,
    },
    /// An initial value is not finite, or a variance is negative.
    #[error("{cause}; this is before the first step")]
    Start {
        /// The parameter.
        cause: NotFinite,
    },
    /// After a step, a parameter or running statistic is not finite.
    #[error("after step {step}, {cause}; a smaller learning rate may help: --set train.optimizer.lr={}", number(lr / 10.0))]
    Diverged {
        /// The step, from 1.
        step: u64,
        /// The parameter.
        cause: NotFinite,
        /// The learning rate of the recipe.
        lr: f64,
    },
    /// The statistics of a batch are not finite.
    #[error("the statistics of batch {batch} are not finite: `{name}`{}", clause(.cause.as_ref()))]
    Statistics {
        /// The batch, from 1.
        batch: u64,
        /// The statistic.
        name: String,
        /// The first value that is not finite.
        cause: Option<NotFinite>,
    },
    /// The network cannot be run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A weight file cannot be read or written.
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
        /// What failed: `cannot write the checkpoint`.
        what: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// A file of the run directory has invalid contents.
    #[error("`{}`: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, as the rest of a sentence that begins with the path.
        why: String,
    },
}

fn clause(cause: Option<&NotFinite>) -> String {
    cause.map_or_else(String::new, |cause| format!(": {cause}"))
}

/// Advice for the user. The learning rate is not the cause if the data, or the weights before the first step, are not finite.
fn advice(cause: Option<&NotFinite>, step: u64, lr: f64) -> String {
    match cause {
        Some(NotFinite::Input { .. }) => String::new(),
        Some(NotFinite::Weight { .. }) if step == 1 => "; this is before the first step".to_owned(),
        Some(_) | None => format!("; a smaller learning rate may help: --set train.optimizer.lr={}", number(lr / 10.0)),
    }
}

fn lagging(cause: Option<&NotFinite>) -> &'static str {
    match cause {
        Some(NotFinite::Layer { .. }) => "; the training loss was finite, so lagging running statistics may be the cause",
        Some(NotFinite::Input { .. } | NotFinite::Weight { .. }) | None => "",
    }
}

/// Formats a number, with an exponent if it is very large or small.
fn number(x: f64) -> String {
    if (1e-3..1e3).contains(&x) { x.to_string() } else { format!("{x:.0e}") }
}
