//! The public API: what a program needs that embeds networks. Semantic versioning covers the items that are exported here and
//! from the crate's root, and nothing else.
//!
//! No type of the compiler appears in a signature, so that the compiler can change freely.

mod classifier;
mod error;
mod model;
mod network;
mod options;

pub use classifier::{Classifier, Image, Prediction};
pub use error::{Diagnostic, Error, ErrorKind, Severity};
pub use model::{Model, Session, compile};
pub use network::{LayerSummary, Network, Summary};
pub use options::{CompileOptions, SessionOptions, Weights};
