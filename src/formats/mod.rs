//! Files: safetensors, PyTorch's `.pth`, npy, ONNX, the artifact. None of them is trusted: sizes are checked before memory is taken, and
//! whatever is wrong is an error that names the file.

pub mod artifact;
pub mod mismatch;
pub mod npy;
#[cfg(feature = "onnx")]
pub mod onnx;
pub mod pth;
pub mod safetensors;
mod structure;
pub mod tensors;
pub mod weights;

pub use mismatch::MismatchReport;
pub use tensors::{Tensors, WeightsError};
