//! From a checked network and a dataset to what the loop drives.

use std::sync::Arc;

use super::{Engine, Feed, TrainError};
use crate::data::Dataset;
use crate::ir::{Checked, Recipe};
use crate::runtime::ParamStore;

/// The classes of a network: the length of its first output.
pub fn classes(checked: &Checked) -> Option<usize> {
    let (_, value) = checked.graph().outputs().first()?;
    checked.shape(value.node).channels()
}

/// An engine that computes a network's gradients.
pub fn engine(
    _checked: &Checked,
    _params: &ParamStore,
    _recipe: &Recipe,
    _threads: usize,
) -> Result<Box<dyn Engine>, TrainError> {
    Err(TrainError::Recipe("this build computes no gradients".to_owned()))
}

/// Reads a dataset for a network: in each epoch's order and augmented for training, as it is for measuring.
pub fn feed(
    _dataset: Arc<dyn Dataset>,
    _checked: &Checked,
    _recipe: &Recipe,
    _threads: usize,
    _training: bool,
) -> Result<Box<dyn Feed>, TrainError> {
    Err(TrainError::Recipe("this build reads no batches".to_owned()))
}
