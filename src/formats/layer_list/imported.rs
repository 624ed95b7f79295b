//! The result of an import.

use std::collections::BTreeMap;

use crate::base::tensor::Tensor;
use crate::ir::{Graph, Preprocess};
use crate::runtime::ParamStore;

/// An imported list of layers.
#[derive(Clone, Debug)]
pub struct ImportedLayers {
    /// The name of the network in the file, if it states one.
    pub name: String,
    /// The operators, with the names of the layers.
    pub graph: Graph,
    /// Parameters by name: `conv1.weight`. Empty if no weights were given.
    pub tensors: BTreeMap<String, Tensor>,
    /// How images become inputs, if the format says so.
    pub preprocess: Option<Preprocess>,
    /// Notes for the user.
    pub notes: Vec<String>,
}

impl ImportedLayers {
    /// The tensors as parameters of the network.
    pub fn params(&self) -> ParamStore {
        self.tensors.iter().map(|(name, tensor)| (name.clone(), tensor.clone())).collect()
    }
}
