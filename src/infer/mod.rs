//! Inference on images: preprocessing, the network, softmax, and the most probable classes.
//!
//! [`Classifier`] takes an image and returns named classes. [`ImagePipeline`] is what it and the command line are made of: it
//! prepares images in worker threads while the network runs, and returns the results in order. [`BoundNetwork`] opens a network
//! with its weights, from a source or an artifact.

mod classifier;
mod error;
mod image;
mod load;
mod pipeline;
mod prefetch;
mod scores;

pub use classifier::{Classifier, ClassifyError, Prediction};
pub use error::{InferError, NotFiniteScores};
pub use image::{Image, PixelsError};
pub use load::{BoundNetwork, LoadError};
pub use pipeline::{ImagePipeline, Unanswered};
pub(crate) use prefetch::{Event, PREFETCH, Prefetch};
pub use scores::{log_softmax, softmax, top_k};
