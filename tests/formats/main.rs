//! What comes in and goes out: ONNX, PyTorch, decompiled sources, images and datasets.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[cfg(feature = "cli")]
#[path = "../common/any_image.rs"]
mod any_image;
#[cfg(feature = "cli")]
#[path = "../common/layer_lists.rs"]
mod any_layers;
#[cfg(feature = "cli")]
#[path = "../common/any_onnx.rs"]
mod any_onnx;
#[cfg(feature = "cli")]
#[path = "../common/any_weights.rs"]
mod any_weights;
#[cfg(feature = "cli")]
#[path = "../common/elementwise/bytes.rs"]
#[allow(dead_code, reason = "each generator uses its part")]
mod bytes;
#[path = "../common/command.rs"]
mod command;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/structured.rs"]
mod structured;

mod caffe;
mod checkpoints;
mod darknet;
mod decompile;
mod fuzzed;
#[cfg(feature = "cli")]
mod layer_lists;
mod loader;
mod mismatch;
mod onnx;
mod onnx_bad_input;
mod onnx_conformance;
mod onnx_file;
mod onnx_functions;
mod onnx_layers;
mod onnx_options;
mod onnx_patterns;
mod preprocess;
mod torch;
