//! What can go wrong in training.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::data::DataError;
use crate::formats::WeightsError;
use crate::runtime::RunError;

/// See the module.
#[derive(Debug, Error)]
pub enum TrainError {
    /// The recipe cannot be run on these data.
    #[error("{0}")]
    Recipe(String),
    /// The loss is infinite or no number.
    #[error("the loss of step {step} is {loss}{}; a smaller rate may help: --set train.optimizer.lr={}", node_clause(.node.as_deref()), number(rate / 10.0))]
    NotFinite {
        /// The step, from 1.
        step: u64,
        /// The loss.
        loss: f64,
        /// The first node that went bad.
        node: Option<String>,
        /// The recipe's rate.
        rate: f64,
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

fn node_clause(node: Option<&str>) -> String {
    node.map_or_else(String::new, |node| format!(", and `{node}` is the first node whose values are not finite"))
}

/// A number as a person writes it: with an exponent where it is far from 1.
fn number(x: f64) -> String {
    if (1e-3..1e3).contains(&x) { x.to_string() } else { format!("{x:.0e}") }
}
