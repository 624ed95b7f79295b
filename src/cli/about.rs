//! `run.json`: a description of a run, so that it can be resumed and evaluated from its directory.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::failure::Failure;
use crate::base::file_system::normalized;
use crate::driver::Weights;
use crate::formats::rename::Rename;
use crate::ir::{Checked, Recipe, WeightsFrom};
use crate::train::{RunDir, classes};

/// The contents of `run.json`. Paths are absolute, so that a run can be resumed from any working directory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct About {
    /// The source as given.
    pub file: PathBuf,
    /// Its copy, relative to the run directory; if empty, the copy has the source's name.
    #[serde(default)]
    pub copy: PathBuf,
    pub network: String,
    pub set: Vec<(String, String)>,
    pub data: String,
    pub valid: Option<String>,
    /// The value of `--weights`: a file, or a seed.
    pub weights: Option<PathBuf>,
    pub init: Option<u64>,
    /// The file of initial weights, of the recipe or of `--from`.
    pub from: Option<PathBuf>,
    /// What `--from` does not initialize, by the full names of layers and scopes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub except: Option<Vec<String>>,
    /// Other names for the tensors of the initial weights.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rename: Vec<Rename>,
    /// The names of the classes in the data, if the network has no `labels`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    pub threads: usize,
    pub version: String,
}

impl About {
    /// The initial weights, if given on the command line.
    pub fn weights(&self) -> Option<Weights> {
        self.init.map(Weights::Init).or_else(|| self.weights.clone().map(Weights::File))
    }

    /// The recipe of the network, with the initial weights of the command line.
    pub fn recipe(&self, checked: &Checked) -> Result<Recipe, Failure> {
        let Some(mut recipe) = checked.network.recipe.clone() else {
            return Err(Failure::Input(format!(
                "network `{}` has no recipe: add a `train` block, or set the length with --set train.epochs=10",
                self.network
            )));
        };
        match (&mut recipe.from, &self.from, &self.except) {
            (_, Some(path), Some(except)) => {
                recipe.from = Some(WeightsFrom { path: path.clone(), except: except.clone() });
            }
            (Some(from), Some(path), None) => from.path.clone_from(path),
            _ => {}
        }
        if let Some(seed) = self.init {
            recipe.seed = seed;
            recipe.from = None;
        }
        Ok(recipe)
    }

    /// Reads `run.json`.
    pub fn read(dir: &RunDir) -> Result<About, Failure> {
        let path = dir.about();
        let text = std::fs::read_to_string(&path).map_err(|e| {
            Failure::Input(format!("`{}` is not a run directory: cannot read run.json: {e}", dir.path().display()))
        })?;
        serde_json::from_str(&text).map_err(|e| Failure::Input(format!("`{}`: {e}", path.display())))
    }

    /// The copy of the source in the run directory.
    pub fn source(&self, dir: &RunDir) -> PathBuf {
        let name = Path::new(self.file.file_name().unwrap_or_default());
        dir.path().join(if self.copy.as_os_str().is_empty() { name } else { &self.copy })
    }

    /// Gives a network without labels the class names of the run's data.
    pub fn name_classes(&self, checked: &mut Checked) {
        if checked.network.labels.is_empty() && classes(checked) == Some(self.classes.len()) {
            checked.network.labels.clone_from(&self.classes);
        }
    }

    /// Sets parameters as `--set` does; a later value of a name replaces an earlier one.
    pub fn set(&mut self, more: &[(String, String)]) {
        for (name, value) in more {
            self.set.retain(|(known, _)| known != name);
            self.set.push((name.clone(), value.clone()));
        }
    }
}

/// An absolute path without `.` and `..`, resolved lexically: symbolic links are not followed.
pub(super) fn plain(path: &Path) -> PathBuf {
    normalized(&std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()))
}
