//! `resnetc dataset-stats`

use std::path::PathBuf;

use super::args::{OnError, data_files};
use super::failure::{Done, Failure};
use super::output::{Out, writable};
use super::progress::progress;
use crate::data::{DataError, DatasetOptions, Split, open_dataset};
use crate::eval::{DatasetStats, StatsError, StatsOptions, dataset_stats};
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
    let bar = progress(data.len());
    let mut broken = 0usize;
    let options = StatsOptions { gray: args.gray, per_pixel: args.output.is_some() };
    let result = dataset_stats(&*data, options, |image: Result<(), DataError>| {
        match image {
            Err(error) if args.on_error == OnError::Fatal => return Err(error),
            Err(error) => {
                broken += 1;
                if broken <= NAMED {
                    bar.suspend(|| out.note(format_args!("warning: {error}")));
                }
            }
            Ok(()) => {}
        }
        bar.inc(1);
        Ok(())
    });
    bar.finish_and_clear();
    if broken > NAMED && matches!(result, Ok(_) | Err(StatsError::NoImages)) {
        out.note(format_args!("warning: and {} more broken files in `{}`", broken - NAMED, args.data));
    }
    let stats = result.map_err(|error| failure(error, &args.data))?;
    if broken > 0 {
        let (read, all) = (stats.images, data.len());
        out.note(format_args!("note: measured on {read} of {all} images, without {broken} that cannot be read"));
    }
    out.line(preprocess(&stats))?;
    if let (Some(path), Some(mean)) = (&args.output, stats.pixel_mean) {
        npy::write(path, &mean.view().into_dyn()).map_err(Failure::input)?;
    }
    Ok(())
}

/// The line for a source.
fn preprocess(stats: &DatasetStats) -> String {
    let list = |values: &[f64]| values.iter().map(|v| format!("{v:.4}")).collect::<Vec<_>>().join(", ");
    let channels = if stats.channels == Channels::Gray { "gray" } else { "rgb" };
    format!("preprocess {{ channels: {channels}, mean: [{}], std: [{}] }}", list(&stats.mean), list(&stats.std))
}

/// An error that names the dataset.
fn failure(error: StatsError, data: &str) -> Failure {
    match error {
        StatsError::Normalized => Failure::Input(format!("`{data}` holds normalized values, and no images")),
        StatsError::NoImages => Failure::Input(format!("none of the images of `{data}` can be read")),
        other => Failure::input(other),
    }
}
