//! The state of an import, and what the layers of all types need.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::super::layer_list::{Builder, Flow};
use super::blobs::Weights;
use super::net::Layer;
use crate::base::tensor::{Tensor, count};
use crate::ir::{NodeId, Preprocess};

/// What a name stands for.
#[derive(Clone)]
pub(super) enum Blob {
    /// A value, and whether a single layer reads it.
    Value(Flow, bool),
    /// The labels of a dataset.
    Labels,
    /// The result of a layer that cannot be imported. Layers that read it report nothing.
    Failed,
}

/// Imports layer by layer.
pub(super) struct Importer<'m> {
    pub build: Builder,
    pub blobs: HashMap<&'m str, Blob>,
    pub weights: Option<Weights>,
    /// Batch norms without a scale and a shift so far, which Caffe has in a layer of their own.
    pub plain_norms: HashSet<NodeId>,
    pub preprocess: Option<Preprocess>,
    pub notes: BTreeSet<String>,
}

/// The result of a layer, or the reason why it cannot be imported. The reason is empty if a layer before it failed.
pub(super) type Imported<T> = Result<T, String>;

impl Importer<'_> {
    /// What a layer reads. Its values come first.
    pub fn blob(&self, layer: &Layer<'_>, slot: usize) -> Imported<&Blob> {
        let name = layer.bottoms.get(slot).ok_or_else(|| format!("it has no `bottom` {slot}"))?;
        self.blobs.get(*name).ok_or_else(|| format!("it reads `{name}`, which no layer before it yields"))
    }

    /// A value that a layer reads.
    pub fn flow(&self, layer: &Layer<'_>, slot: usize) -> Imported<Flow> {
        match self.blob(layer, slot)? {
            Blob::Value(flow, _) => Ok(flow.clone()),
            Blob::Labels => Err(format!("it reads `{}`, which are labels", layer.bottoms[slot])),
            Blob::Failed => Err(String::new()),
        }
    }

    /// The value that a layer reads, if it reads one.
    pub fn only(&self, layer: &Layer<'_>) -> Imported<Flow> {
        match layer.bottoms.len() {
            1 => self.flow(layer, 0),
            count => Err(format!("it reads {count} values, but must read one")),
        }
    }

    /// All values that a layer reads, at least this many.
    pub fn flows(&self, layer: &Layer<'_>, least: usize) -> Imported<Vec<Flow>> {
        if layer.bottoms.len() < least {
            return Err(format!("it reads {} values, but must read at least {least}", layer.bottoms.len()));
        }
        (0..layer.bottoms.len()).map(|slot| self.flow(layer, slot)).collect()
    }

    /// The tensors of a layer in these sizes; none if no weights were given.
    pub fn tensors(&mut self, layer: &Layer<'_>, sizes: &[&[usize]]) -> Imported<Option<Vec<Tensor>>> {
        let Some(weights) = &mut self.weights else { return Ok(None) };
        let found = weights.take(layer.name, sizes.len())?;
        found.iter().zip(sizes).map(|(tensor, sizes)| sized(tensor, sizes)).collect::<Imported<Vec<_>>>().map(Some)
    }
}

/// A tensor in these sizes. Older files have four axes for each, of size 1 where there are fewer.
fn sized(tensor: &Tensor, sizes: &[usize]) -> Imported<Tensor> {
    let own = |sizes: &[usize]| sizes.iter().copied().filter(|&size| size != 1).collect::<Vec<_>>();
    if own(tensor.shape()) != own(sizes) || count(sizes) != Some(tensor.len()) {
        return Err(format!("a tensor of its weights has the sizes {:?}, but the layer {sizes:?}", tensor.shape()));
    }
    if tensor.shape() == sizes {
        return Ok(tensor.clone());
    }
    tensor
        .with_sizes(sizes)
        .or_else(|| Tensor::from_f32(sizes.to_vec(), tensor.to_f32().into_owned()))
        .ok_or_else(|| "a tensor of its weights is too large".to_owned())
}
