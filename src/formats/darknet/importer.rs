//! The state of an import, which goes from section to section.

use std::collections::BTreeSet;

use super::super::layer_list::{Builder, Flow, ImportedLayers, LayerProblems, LayersError, Text};
use super::images::Images;
use super::options::Options;
use super::weights::Weights;
use crate::base::source::Span;

/// Imports section by section.
pub(super) struct Importer {
    pub build: Builder,
    /// The result of each section; `None` if it has none, or could not be imported.
    results: Vec<Option<Flow>>,
    /// What the next section reads.
    current: Option<Flow>,
    pub weights: Option<Weights>,
    pub notes: BTreeSet<String>,
    /// Values that a detector reads, which are outputs.
    detections: Vec<(String, Flow)>,
    problems: LayerProblems,
}

/// Why a section cannot be imported.
pub(super) enum Refusal {
    /// For this reason.
    Layer(String),
    /// A section before it could not be imported.
    Earlier,
    /// The weights do not fit.
    Weights(LayersError),
}

impl From<String> for Refusal {
    fn from(reason: String) -> Refusal {
        Refusal::Layer(reason)
    }
}

impl From<&str> for Refusal {
    fn from(reason: &str) -> Refusal {
        Refusal::Layer(reason.to_owned())
    }
}

impl From<LayersError> for Refusal {
    fn from(error: LayersError) -> Refusal {
        Refusal::Weights(error)
    }
}

/// What a section yields.
pub(super) type Imported<T> = Result<T, Refusal>;

impl Importer {
    /// An importer that has the input only.
    pub fn new(images: &Images, span: Span, weights: Option<Weights>) -> Result<Importer, String> {
        let mut build = Builder::new(span);
        let current = build.input("input", &images.sizes)?;
        Ok(Importer {
            build,
            results: Vec::new(),
            current: Some(current),
            weights,
            notes: BTreeSet::new(),
            detections: Vec::new(),
            problems: LayerProblems::default(),
        })
    }

    /// Imports a section.
    pub fn layer(&mut self, index: usize, options: &Options<'_>, text: &Text) -> Result<(), LayersError> {
        let result = match self.section(index, options) {
            Ok(flow) => Some(flow),
            Err(Refusal::Weights(error)) => return Err(error),
            Err(refusal) => {
                if let Refusal::Layer(reason) = refusal {
                    let layer = || format!("layer {index} `[{}]`", options.0.name);
                    self.problems.add(|| text.problem(options.0.range.start, layer(), reason));
                }
                // the numbers of what follows are at an unknown place
                self.weights = None;
                None
            }
        };
        self.current.clone_from(&result);
        self.results.push(result);
        Ok(())
    }

    /// What the section before yields.
    pub fn current(&self) -> Imported<Flow> {
        self.current.clone().ok_or(Refusal::Earlier)
    }

    /// What a section before yields.
    pub fn result(&self, index: usize) -> Imported<Flow> {
        self.results.get(index).cloned().flatten().ok_or(Refusal::Earlier)
    }

    /// Makes a value that a detector reads an output.
    pub fn detection(&mut self, name: String, x: &Flow) {
        self.detections.push((name, x.clone()));
    }

    /// The network, whose output is the last result.
    pub fn finish(mut self, images: &Images) -> Result<ImportedLayers, LayersError> {
        self.problems.none()?;
        if let Some(rest) = self.weights.as_ref().map(Weights::rest).filter(|&rest| rest > 0) {
            self.notes.insert(format!("the weights have {rest} more bytes than the layers"));
        }
        let last = self.current.filter(|last| self.detections.iter().all(|(_, flow)| flow != last));
        for (name, flow) in last.map(|flow| ("output".to_owned(), flow)).into_iter().chain(self.detections) {
            self.build.graph.add_output(name, flow.value);
        }
        if self.results.is_empty() {
            return Err(LayersError::Network("the file describes no network: it has no layers".to_owned()));
        }
        let preprocess = images.preprocess.clone();
        let Builder { graph, tensors, .. } = self.build;
        Ok(ImportedLayers { name: String::new(), graph, tensors, preprocess, notes: self.notes.into_iter().collect() })
    }
}
