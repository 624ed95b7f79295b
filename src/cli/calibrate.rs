//! `resnetc calibrate-bn`

use std::num::NonZeroU16;
use std::path::PathBuf;

use super::args::{Renames, Select, data_files, parse_threads, parse_weights};
use super::failure::{Done, Failure};
use super::open::{self, Place};
use super::output::{Out, writable};
use super::progress::progress;
use super::train::{check_exist, checked, datasets};
use crate::driver::Weights;
use crate::ir::{Recipe, Schedule};
use crate::train::{self, calibrate, checkpoint};

/// Recomputes batch norm statistics as exact averages over training data.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  resnetc calibrate-bn models/cifar.resnet --network resnet20 --weights w.safetensors --data cifar10/train -o w2.safetensors\n  \
                  resnetc calibrate-bn runs/resnet20 -o w2.safetensors\n\n\
                  The authors of the paper did this for their published models. The images are not augmented."
)]
pub(super) struct Args {
    /// Source (.resnet), or run directory written by `resnetc train`; FILE:NETWORK selects one of several networks, and - reads a
    /// source from standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    select: Select,
    /// Weights: a safetensors, PyTorch or NumPy file, or init[:SEED] for random ones [default: as named in the file, or those of the
    /// run]
    #[arg(long, value_name = "PATH|init[:SEED]", value_parser = parse_weights)]
    weights: Option<Weights>,
    #[command(flatten)]
    renames: Renames,
    /// Training data: an image folder, CIFAR binary files, IDX files, or X.npy,Y.npy [default: that of the run]
    #[arg(long, value_name = "DATA")]
    data: Option<String>,
    /// File to write: the weights with the new statistics
    #[arg(short, long, value_name = "W2.safetensors")]
    output: PathBuf,
    /// Batch size
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u32).range(2..=4096))]
    batch: u32,
    /// Maximum number of batches [default: all data]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    batches: Option<u64>,
    /// Number of threads [default: all available CPUs]
    #[arg(long, value_name = "N", value_parser = parse_threads)]
    threads: Option<NonZeroU16>,
}

pub(super) fn run(args: &Args, out: &mut Out) -> Done {
    let place = Place::of(&args.file, &args.select.renaming(&args.renames), args.weights.as_ref())?;
    let of_run = || place.run.as_ref().map(|run| run.data.clone());
    let Some(spec) = args.data.clone().or_else(of_run) else {
        return Err(Failure::Usage("--data is required, unless FILE is a run directory".into()));
    };
    let (front, mut checked) = checked(&place.file, &place.select, out)?;
    place.name_classes(&mut checked);
    let weights = place.weights.as_ref();
    let read = front.files(&checked, weights.unwrap_or(&Weights::Named));
    writable([&*args.output], &[read, data_files(&spec)].concat())?;
    let named = checked.network.weights.as_ref().map(|(path, _)| path.as_path());
    let file = match weights {
        Some(Weights::File(path)) => Some(path.as_path()),
        Some(Weights::Init(_)) => None,
        Some(Weights::Named) | None => named,
    };
    check_exist(file, [&*spec])?;
    let (data, _) = datasets(&checked, &spec, None, out)?;
    let params = open::bind(&checked, &front, weights, out)?;
    let threads =
        args.threads.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), |n| usize::from(n.get()));
    // statistics of images and network as in inference, with all blocks; nothing is frozen, so that every batch norm sees its batch
    let recipe = Recipe {
        batch: args.batch as usize,
        augment: Vec::new(),
        freeze: Vec::new(),
        schedule: Schedule::Constant,
        stochastic_depth: 0.0,
        ..checked.network.recipe.clone().unwrap_or_default()
    };
    let mut feed = train::feed(data.dataset, &checked, &recipe, threads, true).map_err(Failure::input)?;
    let mut engine = train::calibration_engine(&checked, &params, &recipe, threads).map_err(Failure::input)?;
    let batches = args.batches.unwrap_or(u64::MAX);
    let wanted = usize::try_from(batches).unwrap_or(usize::MAX).saturating_mul(args.batch as usize);
    let bar = progress(feed.samples().min(wanted));
    let result = calibrate::calibrate(&checked, &mut engine, &mut *feed, batches, &mut |n| bar.inc(n as u64));
    bar.finish_and_clear();
    let count = result.map_err(Failure::input)?;
    checkpoint::write_weights(&args.output, &mut engine).map_err(Failure::input)?;
    out.line(format_args!("{count} batches of {}; wrote {}", args.batch, args.output.display()))
}
