//! Measures how fast a dataset is read, augmented and batched:
//! `cargo run --release --features image --example loader -- DATA [WORKERS] [32|224]`.

#![allow(clippy::print_stdout, reason = "examples print their result")]

use std::error::Error;
use std::time::Instant;

use resnetc::internal::data::{DatasetOptions, Loader, LoaderOptions, Split, Transform, open_dataset};
use resnetc::internal::ir::{Augment, OnError, Shape};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let spec = args.first().ok_or("usage: loader DATA [WORKERS] [32|224]")?;
    let workers = args.get(1).map_or(Ok(1), |text| text.parse())?;
    let side: usize = args.get(2).map_or(Ok(32), |text| text.parse())?;
    let flip = Augment::Flip { probability: 0.5 };
    let augment = if side < 64 {
        [Augment::PadCrop { pad: 4, crop: [side; 2] }, flip]
    } else {
        [Augment::RandomResizedCrop { size: [side; 2], scale: [0.08, 1.0], ratio: [0.75, 4.0 / 3.0] }, flip]
    };
    let start = Instant::now();
    let dataset = open_dataset(spec, Split::Train, &DatasetOptions::default())?;
    println!("opened {} samples of {} classes in {:.2} s", dataset.len(), dataset.classes().len(), start.elapsed().as_secs_f64());
    let start = Instant::now();
    let channels = if dataset.common_size().is_some_and(|size| size[0] == 1) { 1 } else { 3 };
    let transform = Transform::new(&*dataset, &Shape::fixed(&[channels, side, side]), None, &augment)?;
    transform.check_sizes(&*dataset, false, workers)?;
    println!("sizes checked in {:.2} s", start.elapsed().as_secs_f64());
    let options = LoaderOptions { batch: 128, seed: 0, shuffle: true, on_error: OnError::Fatal, workers };
    let mut loader = Loader::new(dataset, transform, options);
    for epoch in 0..3 {
        let start = Instant::now();
        loader.start(epoch, 0);
        let (mut count, mut sum) = (0, 0.0);
        while let Some(samples) = loader.next().transpose()? {
            count += samples.labels.len();
            sum += f64::from(samples.values.first().copied().unwrap_or(0.0));
        }
        let seconds = start.elapsed().as_secs_f64();
        println!("epoch {}: {count} samples in {seconds:.2} s, {:.0} images/s (sum {sum:.3})", epoch + 1, count as f64 / seconds);
    }
    Ok(())
}
