//! Creates engines and feeds for the training loop from a checked network and a dataset.

use std::sync::Arc;

use super::{EngineOptions, Feed, GraphEngine, LoaderFeed, TrainError};
use crate::data::Dataset;
use crate::grad::GradOptions;
use crate::ir::{Checked, Recipe, ShapedNetwork};
use crate::runtime::{ParamStore, SessionOptions};

/// The number of classes of a network: the length of its first output.
pub fn classes(checked: &ShapedNetwork) -> Option<usize> {
    let (_, value) = checked.graph().outputs().first()?;
    checked.shape(*value).channels()
}

/// An engine that computes a network's gradients as a recipe specifies.
pub fn engine(checked: &Checked, params: &ParamStore, recipe: &Recipe, threads: usize) -> Result<GraphEngine, TrainError> {
    make(checked, params, recipe, threads, false)
}

/// An engine for [`calibrate`](super::calibrate::calibrate()), which updates the running statistics without computing gradients.
pub fn calibration_engine(
    checked: &Checked,
    params: &ParamStore,
    recipe: &Recipe,
    threads: usize,
) -> Result<GraphEngine, TrainError> {
    make(checked, params, recipe, threads, true)
}

fn make(
    checked: &Checked,
    params: &ParamStore,
    recipe: &Recipe,
    threads: usize,
    forward_only: bool,
) -> Result<GraphEngine, TrainError> {
    let what = GradOptions {
        smoothing: recipe.loss.label_smoothing,
        auxiliary: recipe.loss.auxiliary,
        frozen: recipe.freeze.clone(),
        keep_stats: recipe.freeze_running_stats,
        stochastic_depth: recipe.stochastic_depth,
        forward_only,
    };
    let session = SessionOptions { threads, isa: None };
    GraphEngine::new(checked, params, &what, EngineOptions { session, seed: recipe.seed, precise: false })
}

/// Reads a dataset for a network: shuffled and augmented for training, unchanged for evaluation.
pub fn feed(
    dataset: Arc<dyn Dataset>,
    checked: &Checked,
    recipe: &Recipe,
    threads: usize,
    training: bool,
) -> Result<Box<dyn Feed>, TrainError> {
    Ok(Box::new(LoaderFeed::new(dataset, checked, recipe, threads, training)?))
}
