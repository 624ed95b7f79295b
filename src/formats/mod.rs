//! File formats: safetensors, PyTorch's `.pth`, npy and npz, ONNX, Caffe, Darknet, the artifact. Files are not trusted: sizes are checked before memory is
//! allocated, and every error names the file.

pub mod artifact;
mod biases;
mod by_order;
#[cfg(feature = "cli")]
pub mod caffe;
mod contents;
#[cfg(feature = "cli")]
pub mod darknet;
mod differing;
mod expected;
mod fault;
mod folder;
mod in_order;
pub mod kind;
#[cfg(feature = "cli")]
pub mod layer_list;
mod location;
pub mod mismatch;
mod name_list;
#[cfg(feature = "onnx")]
mod names;
mod natural;
pub mod npy;
pub mod npz;
#[cfg(feature = "onnx")]
pub mod onnx;
mod optimizer_state;
mod parts;
#[cfg(feature = "onnx")]
mod protobuf;
pub mod pth;
pub mod rename;
mod renamed;
#[cfg(feature = "onnx")]
mod response;
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
