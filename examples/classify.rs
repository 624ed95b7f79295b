//! Classifies an image from Rust: `cargo run --release --example classify -- tests/data/ankle-boot.png`.

#![allow(clippy::print_stdout, reason = "examples print their result")]

use resnetc::Classifier;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let image = std::env::args().nth(1).ok_or("usage: classify IMAGE")?;
    let mut classifier = Classifier::load("models/fashion.resnet")?;
    let best = classifier.classify_file(&image, 1)?;
    println!("{}", best[0].class);
    Ok(())
}
