//! What the importers of Caffe and Darknet share: both describe a network as a list of layers in a text, with the weights in another
//! file.

mod builder;
mod error;
mod functions;
mod imported;
mod text;

pub(super) use builder::{Builder, Flow};
pub use error::{LayerProblem, LayerProblems, LayersError};
pub(super) use functions::{leaky_relu, library};
pub use imported::ImportedLayers;
pub(super) use text::{Text, opened};
