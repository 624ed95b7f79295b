//! `resnetc dataset-stats`

use std::path::PathBuf;

use ndarray::ArrayD;

use super::args::{OnError, data_files};
use super::images::progress;
use super::output::{Done, Failure, Out, writable};
use crate::data::{DatasetOptions, Sample, Split, open_dataset};
use crate::formats::npy;
use crate::ir::Channels;

/// Computes the mean and standard deviation of a dataset, for `preprocess`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  resnetc dataset-stats --data cifar10/train\n  resnetc dataset-stats --data cifar10/train -o mean.npy\n\n\
                        The first example prints a line for `preprocess`. The second also writes the mean image, if all images have the same size, \
                        for `preprocess { mean: \"mean.npy\" }`. If the dataset has several splits, the training split is used. Images that cannot \
                        be read are reported and skipped, unless --on-error is fatal."
)]
pub(super) struct Args {
    /// Dataset: an image folder or .tar, CIFAR binary files, or IDX files
    #[arg(long, value_name = "DATA")]
    data: String,
    /// Also write the mean image: channels x height x width, with values from 0 to 1
    #[arg(short, long, value_name = "MEAN.npy")]
    output: Option<PathBuf>,
    /// Convert colors to luminance
    #[arg(long)]
    gray: bool,
    /// What to do with images that cannot be read
    #[arg(long, value_enum, default_value_t)]
    on_error: OnError,
}

/// How many broken files are named.
const NAMED: usize = 10;

pub(super) fn run(args: &Args, out: &mut Out) -> Done {
    writable(args.output.as_deref(), &data_files(&args.data))?;
    let data = open_dataset(&args.data, Split::Train, &DatasetOptions { cache_bytes: 0, ..DatasetOptions::default() })
        .map_err(Failure::input)?;
    let gray = args.gray || data.common_size().is_some_and(|size| size[0] == 1);
    let (to, channels) = if gray { (Channels::Gray, 1) } else { (Channels::Rgb, 3) };
    let mut counts = vec![[0u64; 256]; channels];
    let mut each: Option<([usize; 2], Vec<u64>)> = None;
    let bar = progress(data.len());
    let mut broken = 0usize;
    for index in 0..data.len() {
        let sample = match data.read(index) {
            Ok(sample) => sample,
            Err(why) if args.on_error == OnError::Skip => {
                broken += 1;
                if broken <= NAMED {
                    bar.suspend(|| out.note(format_args!("warning: {why}")));
                }
                bar.inc(1);
                continue;
            }
            Err(why) => return Err(Failure::input(why)),
        };
        let Sample::Pixels(pixels) = sample else {
            return Err(Failure::Input(format!("`{}` holds normalized values, and no images", args.data)));
        };
        let pixels = pixels.convert(to);
        for pixel in pixels.data.chunks_exact(channels) {
            counts.iter_mut().zip(pixel).for_each(|(counts, &v)| counts[usize::from(v)] += 1);
        }
        if args.output.is_some() {
            let size = [pixels.height, pixels.width];
            let (first, sums) = each.get_or_insert_with(|| (size, vec![0; pixels.data.len()]));
            if *first != size {
                return Err(Failure::Input(format!(
                    "`{}` is {} x {} pixels, and those before it {} x {}: a mean of each pixel is of images of one size",
                    data.name(index),
                    size[0],
                    size[1],
                    first[0],
                    first[1]
                )));
            }
            sums.iter_mut().zip(&pixels.data).for_each(|(sum, &v)| *sum += u64::from(v));
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let read = data.len() - broken;
    if broken > NAMED {
        out.note(format_args!("warning: and {} more broken files in `{}`", broken - NAMED, args.data));
    }
    if read == 0 {
        return Err(Failure::Input(format!("none of the images of `{}` can be read", args.data)));
    }
    if broken > 0 {
        out.note(format_args!("note: measured on {read} of {} images, without {broken} that cannot be read", data.len()));
    }
    let (means, stds): (Vec<f64>, Vec<f64>) = counts.iter().map(moments).unzip();
    let list = |values: &[f64]| values.iter().map(|v| format!("{v:.4}")).collect::<Vec<_>>().join(", ");
    let order = if gray { "gray" } else { "rgb" };
    out.line(format_args!("preprocess {{ channels: {order}, mean: [{}], std: [{}] }}", list(&means), list(&stds)))?;
    if let (Some(path), Some(([height, width], sums))) = (&args.output, each) {
        // from a pixel's channels, one behind the other, to a channel's pixels
        let scale = 1.0 / (255.0 * read as f64);
        let plane = height * width;
        let values = (0..channels * plane).map(|i| (sums[i % plane * channels + i / plane] as f64 * scale) as f32).collect();
        let array = ArrayD::from_shape_vec(vec![channels, height, width], values).map_err(Failure::input)?;
        npy::write(path, &array.view()).map_err(Failure::input)?;
    }
    Ok(())
}

/// The mean and the deviation of bytes, divided by 255.
fn moments(counts: &[u64; 256]) -> (f64, f64) {
    let n = counts.iter().sum::<u64>().max(1) as f64;
    let sum = |f: &dyn Fn(f64) -> f64| counts.iter().enumerate().map(|(v, &k)| f(v as f64 / 255.0) * k as f64).sum::<f64>() / n;
    let mean = sum(&|v| v);
    (mean, sum(&|v| (v - mean) * (v - mean)).sqrt())
}
