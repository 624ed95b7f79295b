//! File formats: safetensors, PyTorch's `.pth`, npy and npz, ONNX, the artifact. Files are not trusted: sizes are checked before memory is
//! allocated, and every error names the file.

pub mod artifact;
mod expected;
mod fault;
pub mod kind;
pub mod mismatch;
pub mod npy;
pub mod npz;
#[cfg(feature = "onnx")]
pub mod onnx;
pub mod pth;
pub mod safetensors;
pub mod sharded;
mod single;
mod structure;
pub mod tensors;
pub mod weights;
mod zip_archive;

pub use mismatch::MismatchReport;
pub use tensors::{Tensors, WeightsError};
