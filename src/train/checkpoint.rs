//! Checkpoints: parameters and running statistics by torchvision's names, velocities as `optimizer.NAME` (with underscores
//! before the dot where a layer's names begin so), and the counters in the header.

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

/// The header's key.
const KEY: &str = "resnetc.training";

/// All that a run needs besides its tensors to go on. Everything random is drawn from the recipe's seed and these counters, so that they
/// are the state of the random numbers and the place in the data as well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Steps made.
    pub step: u64,
    /// Whole epochs made.
    pub epoch: u64,
    /// Steps made of the epoch in progress.
    pub position: u64,
    /// The losses of the epoch in progress.
    pub loss_sum: f64,
    /// Its right answers.
    pub correct: usize,
    /// Its samples.
    pub count: usize,
    /// What a plateau schedule remembers.
    pub plateau: Plateau,
    /// Seconds of computing.
    pub seconds: f64,
    /// Samples that could not be read, so far.
    pub broken: u64,
    /// The step after which the validation data were last measured.
    pub validated: Option<u64>,
    /// The recipe, as overridden.
    pub recipe: Recipe,
    /// Training samples.
    pub samples: usize,
}

impl State {
    /// The beginning.
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
            broken: 0,
            validated: None,
            recipe,
            samples,
        }
    }

    /// The sums of the epoch in progress.
    pub fn sums(&self) -> BatchStats {
        BatchStats { loss_sum: self.loss_sum, correct: self.correct, count: self.count }
    }

    /// Sets them.
    pub fn set_sums(&mut self, sums: BatchStats) {
        (self.loss_sum, self.correct, self.count) = (sums.loss_sum, sums.correct, sums.count);
    }
}

fn tensor(name: &str, shape: &[usize], values: &[f32]) -> Result<Tensor, TrainError> {
    let tensor = Tensor::from_f32(shape.to_vec(), values);
    tensor.ok_or_else(|| TrainError::Recipe(format!("`{name}` has {} values and sizes {shape:?}", values.len())))
}

/// The parameters and running statistics of an engine.
fn weights(engine: &mut dyn Engine) -> Result<Vec<(String, Tensor)>, TrainError> {
    let mut list = Vec::new();
    for p in engine.parameters() {
        list.push((p.name.clone(), tensor(&p.name, &p.shape, &p.values)?));
    }
    for s in engine.state() {
        list.push((s.name.clone(), tensor(&s.name, &[s.values.len()], &s.values)?));
    }
    Ok(list)
}

/// Writes parameters and running statistics, whole or not at all.
pub fn write_weights(path: &Path, engine: &mut dyn Engine) -> Result<(), TrainError> {
    let list = weights(engine)?;
    Ok(safetensors::write(path, list.iter().map(|(name, tensor)| (name.as_str(), tensor)))?)
}

/// Writes a checkpoint, whole or not at all: on any error the one that was there stays.
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
    let note = serde_json::to_string(state).map_err(|e| TrainError::Recipe(e.to_string()))?;
    Ok(safetensors::write_with_note(path, list.iter().map(|(name, tensor)| (name.as_str(), tensor)), KEY, note)?)
}

/// The counters of a checkpoint.
pub fn state(path: &Path) -> Result<State, TrainError> {
    let file = |source| TrainError::File { path: path.to_owned(), what: "cannot read the checkpoint", source };
    let bytes = Bytes::map(path).map_err(file)?;
    let note = safetensors::note(&bytes, KEY);
    let note =
        note.ok_or_else(|| TrainError::Damaged { path: path.to_owned(), why: "is no checkpoint of training".to_owned() })?;
    serde_json::from_str(&note)
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
                    "`{name}` has {} values where the network needs {}: it is of another network",
                    stored.len(),
                    values.len()
                ),
            }),
            None => {
                let why = format!("has no `{name}`: it is of another network");
                Err(TrainError::Damaged { path: path.to_owned(), why })
            }
        }
    };
    let mut names: Vec<String> = engine.parameters().iter().map(|p| p.name.clone()).collect();
    names.extend(engine.state().iter().map(|s| s.name.clone()));
    let prefix = optimizer_prefix(names.iter().map(String::as_str));
    for (p, velocity) in engine.parameters().iter_mut().zip(optimizer.velocities_mut()) {
        fill(&p.name, &mut p.values)?;
        if !velocity.is_empty() {
            fill(&format!("{prefix}{}", p.name), velocity)?;
        }
    }
    engine.state().iter_mut().try_for_each(|s| fill(&s.name, &mut s.values))
}
