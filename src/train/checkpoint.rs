//! Checkpoints: parameters and running statistics by torchvision's names, momentum buffers as `optimizer.NAME` (with underscores before the dot
//! if a layer has the same prefix), and the training state in the header.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::schedule::Plateau;
use super::sgd::Optimizer;
use super::{BatchStats, Engine, TrainError};
use crate::base::mmap::Bytes;
use crate::base::tensor::Tensor;
use crate::formats::safetensors;
use crate::formats::weights::optimizer_prefix;
use crate::ir::Recipe;

/// The key of the training state in the header.
const KEY: &str = "resnetc.training";

/// Everything that a run needs to continue, besides its tensors. All randomness derives from the recipe's seed and these counters, so they
/// also determine the random numbers and the position in the data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Completed steps.
    pub step: u64,
    /// Completed epochs.
    pub epoch: u64,
    /// Completed steps of the current epoch.
    pub position: u64,
    /// The sum of the losses of the current epoch.
    pub loss_sum: f64,
    /// The correct predictions of the current epoch.
    pub correct: usize,
    /// The samples of the current epoch.
    pub count: usize,
    /// The state of a plateau schedule.
    pub plateau: Plateau,
    /// Training time in seconds, without pauses.
    pub seconds: f64,
    /// Samples that were skipped so far because they could not be read.
    #[serde(alias = "broken")]
    pub skipped: u64,
    /// The step after which validation last ran.
    pub validated: Option<u64>,
    /// The best validation so far.
    #[serde(default)]
    pub best: Option<Best>,
    /// The recipe, with overrides.
    pub recipe: Recipe,
    /// The number of training samples.
    pub samples: usize,
}

/// The validation with the smallest error; of equal ones, that with the smallest loss.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// The step after which it ran.
    pub step: u64,
    /// Its error, from 0 to 1.
    pub error: f64,
    /// Its loss.
    pub loss: f64,
}

impl Best {
    /// Whether another validation is better. One whose loss is not finite never is.
    pub fn is_worse_than(&self, error: f64, loss: f64) -> bool {
        (error, loss) < (self.error, self.loss)
    }
}

impl State {
    /// The state before the first step.
    pub fn new(recipe: Recipe, samples: usize) -> State {
        State {
            step: 0,
            epoch: 0,
            position: 0,
            loss_sum: 0.0,
            correct: 0,
            count: 0,
            plateau: Plateau::default(),
            seconds: 0.0,
            skipped: 0,
            validated: None,
            best: None,
            recipe,
            samples,
        }
    }

    /// The sums of the current epoch.
    pub fn sums(&self) -> BatchStats {
        BatchStats { loss_sum: self.loss_sum, correct: self.correct, count: self.count }
    }

    /// Sets the sums of the current epoch.
    pub fn set_sums(&mut self, sums: BatchStats) {
        (self.loss_sum, self.correct, self.count) = (sums.loss_sum, sums.correct, sums.count);
    }
}

fn tensor(name: &str, shape: &[usize], values: &[f32]) -> Result<Tensor, TrainError> {
    let tensor = Tensor::from_f32(shape.to_vec(), values);
    tensor.ok_or_else(|| TrainError::Recipe(format!("`{name}` has {} values, but shape {shape:?}", values.len())))
}

/// The parameters and running statistics of an engine.
fn weights(engine: &mut dyn Engine) -> Result<Vec<(String, Tensor)>, TrainError> {
    let mut list = Vec::new();
    for p in engine.parameters() {
        list.push((p.name.clone(), tensor(&p.name, &p.shape, &p.values)?));
    }
    for s in engine.running_stats() {
        list.push((s.name.clone(), tensor(&s.name, &[s.values.len()], &s.values)?));
    }
    Ok(list)
}

/// Writes parameters and running statistics, atomically.
pub fn write_weights(path: &Path, engine: &mut dyn Engine) -> Result<(), TrainError> {
    let list = weights(engine)?;
    Ok(safetensors::write(path, list.iter().map(|(name, tensor)| (name.as_str(), tensor)))?)
}

/// Writes a checkpoint, atomically: on error, the previous one remains.
pub fn write(path: &Path, engine: &mut dyn Engine, optimizer: &Optimizer, state: &State) -> Result<(), TrainError> {
    let mut list = weights(engine)?;
    let prefix = optimizer_prefix(list.iter().map(|(name, _)| name.as_str()));
    for (p, velocity) in engine.parameters().iter().zip(optimizer.velocities()) {
        if !velocity.is_empty() {
            let name = format!("{prefix}{}", p.name);
            let tensor = tensor(&name, &p.shape, velocity)?;
            list.push((name, tensor));
        }
    }
    let json = serde_json::to_string(state).map_err(|e| TrainError::Recipe(e.to_string()))?;
    Ok(safetensors::write_with_metadata(path, list.iter().map(|(name, tensor)| (name.as_str(), tensor)), KEY, json)?)
}

/// Reads the training state of a checkpoint.
pub fn state(path: &Path) -> Result<State, TrainError> {
    let file = |source| TrainError::File { path: path.to_owned(), what: "cannot read the checkpoint", source };
    let bytes = Bytes::map(path).map_err(file)?;
    let json = safetensors::metadata(&bytes, KEY);
    let json =
        json.ok_or_else(|| TrainError::Damaged { path: path.to_owned(), why: "is not a training checkpoint".to_owned() })?;
    serde_json::from_str(&json)
        .map_err(|e| TrainError::Damaged { path: path.to_owned(), why: format!("its state cannot be read: {e}") })
}

/// Reads a checkpoint's tensors into an engine and an optimizer.
pub fn restore(path: &Path, engine: &mut dyn Engine, optimizer: &mut Optimizer) -> Result<(), TrainError> {
    let tensors = crate::formats::weights::open(path)?;
    let fill = |name: &str, values: &mut [f32]| -> Result<(), TrainError> {
        let stored = tensors.get(name).map(Tensor::to_f32);
        match stored {
            Some(stored) if stored.len() == values.len() => {
                values.copy_from_slice(&stored);
                Ok(())
            }
            Some(stored) => Err(TrainError::Damaged {
                path: path.to_owned(),
                why: format!(
                    "`{name}` has {} values, but the network needs {}: the checkpoint belongs to another network",
                    stored.len(),
                    values.len()
                ),
            }),
            None => {
                let why = format!("has no `{name}`: the checkpoint belongs to another network");
                Err(TrainError::Damaged { path: path.to_owned(), why })
            }
        }
    };
    let mut names: Vec<String> = engine.parameters().iter().map(|p| p.name.clone()).collect();
    names.extend(engine.running_stats().iter().map(|s| s.name.clone()));
    let prefix = optimizer_prefix(names.iter().map(String::as_str));
    for (p, velocity) in engine.parameters().iter_mut().zip(optimizer.velocities_mut()) {
        fill(&p.name, &mut p.values)?;
        if !velocity.is_empty() {
            fill(&format!("{prefix}{}", p.name), velocity)?;
        }
    }
    engine.running_stats().iter_mut().try_for_each(|s| fill(&s.name, &mut s.values))
}
