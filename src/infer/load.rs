//! From a file, source or artifact, to a network with its weights.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::driver::{CompileError, CompileOptions, Frontend};
use crate::formats::artifact::{self, Artifact, ArtifactError};
use crate::ir::Checked;
use crate::plan::Settings;
use crate::runtime::{Model, PackedWeights, ParamError, ParamStore};

/// A checked network with its weights: what a [`Model`] is made from.
#[derive(Debug)]
pub struct BoundNetwork {
    /// The network, as written.
    pub checked: Checked,
    /// Its parameters.
    pub params: ParamStore,
    /// Weights that are packed already.
    pub packs: Option<PackedWeights>,
    /// Settings of the planner.
    pub settings: Settings,
    /// The artifact that it was read from.
    artifact: Option<PathBuf>,
}

/// Why a network and its weights cannot be loaded.
#[derive(Debug, Error)]
pub enum LoadError {
    /// A source that cannot be compiled.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// An artifact that cannot be read.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// A parameter is missing.
    #[error(transparent)]
    Param(#[from] ParamError),
}

impl BoundNetwork {
    /// A network from a source, with its parameters.
    pub fn new(checked: Checked, params: ParamStore) -> BoundNetwork {
        BoundNetwork { checked, params, packs: None, settings: Settings::default(), artifact: None }
    }

    /// Opens an artifact (`.rnx`), or a source (`.resnet`) that names its weights and holds one network, or one called like the file.
    pub fn open(path: &Path) -> Result<BoundNetwork, LoadError> {
        if artifact::is_artifact(path) {
            return Ok(BoundNetwork::open_artifact(path)?);
        }
        let mut front = Frontend::open(path).map_err(CompileError::Read)?;
        let (checked, params) = front.bound(&CompileOptions::default())?;
        Ok(BoundNetwork::new(checked, params))
    }

    /// Opens an artifact.
    pub fn open_artifact(path: &Path) -> Result<BoundNetwork, ArtifactError> {
        let Artifact { checked, params, packs, settings, .. } = artifact::read(path)?;
        let settings = settings.unwrap_or_default();
        Ok(BoundNetwork { checked, params, packs, settings, artifact: Some(path.to_path_buf()) })
    }

    /// The model.
    pub fn model(self) -> Result<Model, LoadError> {
        let model = Model::with_packed_weights(self.checked, self.params, self.packs, Some(self.settings));
        model.map_err(|error| match self.artifact {
            Some(path) => ArtifactError::Damaged { path, reason: error.to_string() }.into(),
            None => error.into(),
        })
    }
}
