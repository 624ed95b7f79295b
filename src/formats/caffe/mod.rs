//! Imports networks of Caffe: the text of a `.prototxt`, and the weights of a `.caffemodel`.
//!
//! The source for what layers compute is <https://github.com/BVLC/caffe>: `src/caffe/proto/caffe.proto` for their parameters, and
//! `src/caffe/layers/` for what they do. A network is read in its test phase.

mod blobs;
mod dispatch;
mod fields;
mod importer;
mod inputs;
mod joins;
mod means;
mod net;
mod norms;
mod pointwise;
mod windows;
mod wiring;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;

use super::layer_list::{Builder, ImportedLayers, LayerProblems, LayersError, Text, opened};
use crate::base::mmap::Bytes;
use crate::ir::Op;
use crate::syntax::prototxt;
use blobs::Weights;
use dispatch::{is_input, is_left_out};
use importer::{Blob, Importer};
use inputs::ABOUT_IMAGES;
pub use means::add_mean;
use net::Net;
use wiring::Wiring;

/// Opens a `.prototxt`, and the `.caffemodel` with its weights.
pub fn open(file: &Path, weights: Option<&Path>) -> Result<ImportedLayers, LayersError> {
    opened(file, weights, read)
}

/// Imports the contents of a `.prototxt`, and those of a `.caffemodel`, whose path is for messages.
pub fn read(file: &[u8], weights: Option<(&Path, &Bytes)>) -> Result<ImportedLayers, LayersError> {
    let text = Text::new("network.prototxt", file)?;
    let message = prototxt::parse(text.text()).map_err(|error| text.syntax(error))?;
    let mut net = Net::of(&message, &text)?;
    let weights = weights.map(|(path, bytes)| Weights::read(path, bytes)).transpose()?;
    let mut importer = Importer {
        build: Builder::new(text.span(&(0..0))),
        blobs: HashMap::new(),
        weights,
        plain_norms: HashSet::new(),
        preprocess: None,
        notes: BTreeSet::new(),
    };
    net.layers.retain(|layer| {
        let left_out = is_left_out(layer.kind);
        if left_out && layer.kind != "Silence" {
            importer.notes.insert(format!("{} is left out: it only measures", layer.shown()));
        }
        !left_out
    });
    let wiring = Wiring::of(&net.layers);
    let mut problems = LayerProblems::default();
    let mut results: Vec<Vec<Blob>> = Vec::new();
    for (index, layer) in net.layers.iter().enumerate() {
        importer.build.at(text.span(&layer.range));
        let found = importer.results(layer).unwrap_or_else(|reason| {
            if !reason.is_empty() {
                problems.add(|| text.problem(layer.range.start, layer.shown(), reason));
            }
            vec![Blob::Failed; layer.tops.len()]
        });
        for (top, (name, blob)) in layer.tops.iter().zip(&found).enumerate() {
            let blob = match blob {
                Blob::Value(flow, _) => Blob::Value(flow.clone(), wiring.is_read_once(index, top)),
                other => other.clone(),
            };
            importer.blobs.insert(name, blob);
        }
        results.push(found);
    }
    problems.none()?;
    for &(layer, top) in &wiring.outputs {
        if let Some(Blob::Value(flow, _)) = results[layer].get(top).filter(|_| !is_input(net.layers[layer].kind)) {
            importer.build.graph.add_output(net.layers[layer].tops[top], flow.value);
        }
    }
    finish(importer, net.name)
}

fn finish(importer: Importer<'_>, name: &str) -> Result<ImportedLayers, LayersError> {
    let Importer { build, preprocess, mut notes, .. } = importer;
    let Builder { graph, tensors, .. } = build;
    if graph.inputs().is_empty() || graph.outputs().is_empty() {
        return Err(LayersError::Network(
            "the file describes no network: it has no layer with an input and an output".to_owned(),
        ));
    }
    if preprocess.is_none() && graph.inputs().iter().any(|&node| is_image(&graph.node(node).op)) {
        notes.insert(ABOUT_IMAGES.to_owned());
    }
    Ok(ImportedLayers { name: name.to_owned(), graph, tensors, preprocess, notes: notes.into_iter().collect() })
}

/// Whether an operator is an input of three channels, with a height and a width.
fn is_image(op: &Op) -> bool {
    matches!(op, Op::Input(shape) if shape.channels() == Some(3) && shape.map().is_some_and(|map| map.len() == 2))
}
