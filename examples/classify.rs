//! Classifies an image from Rust: `cargo run --release --example classify -- tests/data/ankle-boot.png`.

#![allow(clippy::print_stdout, reason = "examples print their result")]

use resnetc::data::{load, prepare};
use resnetc::ndarray::{ArrayD, IxDyn};
use resnetc::{CompileOptions, compile};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let image = std::env::args().nth(1).ok_or("usage: classify IMAGE")?;
    let model = compile("models/fashion.resnet", &CompileOptions::default())?;
    let network = model.network();

    let input = model.optimized().shape(network.graph.inputs()[0]);
    let how = network.preprocess.as_ref().ok_or("the network states no preprocessing")?;
    let (values, [channels, height, width]) = prepare(load(image.as_ref())?, how, input)?;

    let batch = ArrayD::from_shape_vec(IxDyn(&[1, channels, height, width]), values)?;
    let outputs = model.session()?.run(&[("input", batch.view())])?;
    let best = outputs.main().iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(class, _)| class);
    println!("{}", network.labels[best]);
    Ok(())
}
