//! Imports networks of Darknet: the text of a `.cfg`, and the numbers of a `.weights`.
//!
//! The source for what layers compute is <https://github.com/pjreddie/darknet>: `src/parser.c` for both files, and the `forward_`
//! functions of the layers. Where its code for CPUs and for GPUs differ, the latter counts, since it trained the published weights:
//! a batch norm divides by `sqrt(variance + .00001)` (`normalize_kernel` in `blas_kernels.cu`), as PyTorch's does, while
//! `normalize_cpu` divides by `sqrt(variance) + .000001`.

mod images;
mod importer;
mod options;
mod sections;
mod weights;

use std::path::Path;

use super::layer_list::{ImportedLayers, LayersError, Text, opened};
use crate::base::mmap::Bytes;
use crate::syntax::cfg;
use images::Images;
use importer::Importer;
use options::Options;
use weights::Weights;

/// Opens a `.cfg`, and the `.weights` that belong to it.
pub fn open(file: &Path, weights: Option<&Path>) -> Result<ImportedLayers, LayersError> {
    opened(file, weights, read)
}

/// Imports the contents of a `.cfg`, and those of a `.weights`, whose path is for messages.
pub fn read(file: &[u8], weights: Option<(&Path, &Bytes)>) -> Result<ImportedLayers, LayersError> {
    let text = Text::new("network.cfg", file)?;
    let sections = cfg::parse(text.text()).map_err(|error| text.syntax(error))?;
    let Some((net, layers)) = sections.split_first().filter(|(net, _)| matches!(net.name, "net" | "network")) else {
        let at = sections.first().map_or(0, |section| section.range.start);
        return Err(text.error(at, "the first section must be `[net]`"));
    };
    let weights = weights.map(|(path, bytes)| Weights::read(path, bytes)).transpose()?;
    let crop = layers.first().filter(|first| first.name == "crop").map(Options);
    let images = Images::of(&Options(net), crop.as_ref()).map_err(|reason| text.error(net.range.start, reason))?;
    let mut importer =
        Importer::new(&images, text.span(&net.range), weights).map_err(|reason| text.error(net.range.start, reason))?;
    for (index, section) in layers.iter().enumerate() {
        importer.build.at(text.span(&section.range));
        importer.layer(index, &Options(section), &text)?;
    }
    importer.finish(&images)
}
