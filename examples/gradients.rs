//! Writes the gradients of one training step, for `tests/reference/alive.py`, which compares them with PyTorch's:
//! `cargo run --release --example gradients -- FILE NETWORK WEIGHTS IMAGES.npy LABELS.npy OUT.safetensors [AUXILIARY] [NAME=VALUE …]`.
//!
//! AUXILIARY is the loss weight of further outputs (0). OUT gets each learned parameter's gradient and the running statistics after the step.

#![allow(clippy::print_stdout, reason = "examples print their result")]

use std::error::Error;
use std::path::Path;

use ndarray::{ArrayD, Ix4};
use resnetc::internal::base::tensor::Tensor;
use resnetc::internal::driver::{CompileOptions, Frontend, Weights};
use resnetc::internal::formats::{npy, safetensors};
use resnetc::internal::grad::GradOptions;
use resnetc::internal::runtime::SessionOptions;
use resnetc::internal::train::{Batch, Engine, EngineOptions, GraphEngine};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [file, network, weights, images, labels, out, rest @ ..] = &args[..] else {
        return Err(
            "usage: gradients FILE NETWORK WEIGHTS IMAGES.npy LABELS.npy OUT.safetensors [AUXILIARY] [NAME=VALUE …]".into()
        );
    };
    let auxiliary = rest.first().map_or(Ok(0.0), |text| text.parse())?;
    let set =
        rest.iter().skip(1).filter_map(|pair| pair.split_once('=')).map(|(name, value)| (name.into(), value.into())).collect();
    let options = CompileOptions { network: Some(network.clone()), set, weights: Weights::File(weights.into()) };
    let (checked, params) = Frontend::open(Path::new(file))?.bound(&options)?;

    let what = GradOptions { auxiliary, ..GradOptions::default() };
    let session = SessionOptions { threads: 1, isa: None };
    let mut engine = GraphEngine::new(&checked, &params, &what, EngineOptions { session, seed: 0, precise: false })?;
    let images = four_axes(npy::read(Path::new(images))?)?;
    let labels: Vec<u32> = npy::read(Path::new(labels))?.iter().map(|&label| label as u32).collect();
    let stats = engine.gradients(&Batch { images: images.view(), labels: &labels }, 1.0, 0)?;
    println!("{}", stats.loss());

    let mut tensors: Vec<(String, Tensor)> = Vec::new();
    for param in engine.parameters() {
        let gradient = Tensor::from_f32(param.shape.clone(), param.gradient.clone());
        tensors.push((param.name.clone(), gradient.ok_or_else(|| format!("`{}` has no gradient", param.name))?));
    }
    for stat in engine.running_stats() {
        let values = Tensor::from_f32(vec![stat.values.len()], stat.values.clone());
        tensors.push((stat.name.clone(), values.ok_or_else(|| format!("`{}` is not a vector", stat.name))?));
    }
    safetensors::write(Path::new(out), tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)))?;
    Ok(())
}

/// Batch, channels, height and width: a 1-D input has height 1.
fn four_axes(images: ArrayD<f32>) -> Result<ndarray::Array4<f32>, Box<dyn Error>> {
    let images = if images.ndim() == 3 { images.insert_axis(ndarray::Axis(2)) } else { images };
    Ok(images.into_dimensionality::<Ix4>()?)
}
