//! From a checked network and a dataset to what the loop drives.

use std::sync::Arc;

use super::{EngineOptions, Feed, GraphEngine, LoaderFeed, TrainError};
use crate::data::Dataset;
use crate::grad::GradOptions;
use crate::ir::{Checked, Recipe, ShapedNetwork};
use crate::runtime::{ParamStore, SessionOptions};

/// The classes of a network: the length of its first output.
pub fn classes(checked: &ShapedNetwork) -> Option<usize> {
    let (_, value) = checked.graph().outputs().first()?;
    checked.shape(value.node).channels()
}

/// An engine that computes a network's gradients as a recipe wants them.
pub fn engine(checked: &Checked, params: &ParamStore, recipe: &Recipe, threads: usize) -> Result<GraphEngine, TrainError> {
    make(checked, params, recipe, threads, false)
}

/// An engine for [`calibrate`](super::calibrate::calibrate()): it moves the running statistics, and leaves the gradients out.
pub fn statistics(checked: &Checked, params: &ParamStore, recipe: &Recipe, threads: usize) -> Result<GraphEngine, TrainError> {
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
        stochastic_depth: recipe.stochastic_depth,
        forward_only,
    };
    let session = SessionOptions { threads, isa: None };
    GraphEngine::new(checked, params, &what, EngineOptions { session, seed: recipe.seed, precise: false })
}

/// Reads a dataset for a network: in each epoch's order and augmented for training, as it is for measuring.
pub fn feed(
    dataset: Arc<dyn Dataset>,
    checked: &Checked,
    recipe: &Recipe,
    threads: usize,
    training: bool,
) -> Result<Box<dyn Feed>, TrainError> {
    Ok(Box::new(LoaderFeed::new(dataset, checked, recipe, threads, training)?))
}
