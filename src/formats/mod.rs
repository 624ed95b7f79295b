//! File formats: safetensors, PyTorch's `.pth`, npy and npz, ONNX, the artifact. Files are not trusted: sizes are checked before memory is
//! allocated, and every error names the file.

pub mod artifact;
mod biases;
mod expected;
mod fault;
mod folder;
pub mod kind;
mod location;
pub mod mismatch;
mod names;
pub mod npy;
pub mod npz;
#[cfg(feature = "onnx")]
pub mod onnx;
pub mod pth;
mod renamed;
pub mod safetensors;
mod shapes;
pub mod sharded;
mod single;
mod structure;
pub mod tensors;
mod types;
pub mod weights;
mod wrapper;
mod zip_archive;

pub use mismatch::MismatchReport;
pub use tensors::{Tensors, WeightsError};
