//! `resnetc eval`

mod confusion;
mod judge;
mod members;
mod report;
mod score;
mod state;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::ValueEnum;

use super::args::{Format, Named, OnError, data_files, parse_named_weights};
use super::classes::note_classes;
use super::open::ModelArgs;
use super::output::{Done, Failure, Out, writable};
use crate::data::{Crop, DatasetOptions, Split, Views, open_dataset};
use crate::formats::npy;
use judge::{Evaluator, Work};
use members::Members;

/// The largest size that an image's shorter side is given.
const MAX_SCALE: i64 = 4096;

/// Evaluates accuracy on a labeled dataset, with the protocols of the papers.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  resnetc eval models/cifar.resnet:resnet20 --weights resnet20.safetensors --data cifar10/test\n  \
                  resnetc eval models/resnet.resnet:resnet50 --weights resnet50.pth --data imagenet/val --crops 10\n  \
                  resnetc eval net.rnx --data imagenet/val --scales 224,256,384,480,640 --flip --resume state.json\n  \
                  resnetc eval a.rnx --ensemble b.rnx models/cifar.resnet:resnet32=resnet32.safetensors --data cifar10/test --worst 20\n\n\
                  A dataset is a folder or .tar with one folder of images per class, CIFAR binary files, IDX files (also as .gz), or a pair of \
                  arrays. If it has several splits, the test split is used. Class names are matched with the network's labels. For a network \
                  with 1000 classes, folders named by ImageNet synset (n01440764) are mapped to its classes. Otherwise, classes are the folders \
                  in sorted order.\n\n\
                  Images that cannot be read are reported, counted, and excluded from the results, unless --on-error is fatal."
)]
pub(super) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Dataset: an image folder or .tar, CIFAR binary files, IDX files, or X.npy,Y.npy
    #[arg(long, value_name = "DATA")]
    data: String,
    /// More networks, whose probabilities are averaged with those of the first
    #[arg(long, value_name = "FILE[:NETWORK][=WEIGHTS]", num_args = 1.., value_parser = parse_named_weights)]
    ensemble: Vec<Named>,
    /// Crops to average: the center crop; or the four corners and the center, and their horizontal flips [default: as in `preprocess`]
    #[arg(long, value_enum, value_name = "1|10", hide_possible_values = true)]
    crops: Option<Crops>,
    /// Scales to average, as sizes of the shorter side: the network runs on the whole image or, with --crops, on crops
    #[arg(long, value_name = "SIZE,...", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=MAX_SCALE))]
    scales: Vec<u32>,
    /// Also average over the horizontally flipped image
    #[arg(long)]
    flip: bool,
    /// What to average over crops, scales and flips
    #[arg(long, value_enum, default_value_t)]
    average: Average,
    /// Batch size; smaller for images larger than the network's input
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch: u32,
    /// List the N images whose correct class has the lowest probability
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    worst: u32,
    /// What to do with images that cannot be read
    #[arg(long, value_enum, default_value_t)]
    on_error: OnError,
    /// Save the state to FILE, and continue from it if it exists; the result is the same as without interruptions
    #[arg(long, value_name = "FILE", conflicts_with = "scores")]
    resume: Option<PathBuf>,
    /// Stop after N images, or N more with --resume, rounded up to whole batches
    #[arg(long, value_name = "N")]
    limit: Option<NonZeroUsize>,
    /// Write the probabilities of all images (images x classes, in the dataset's order); NaN for images that cannot be read
    #[arg(long, value_name = "OUT.npy")]
    scores: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What `--crops` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Crops {
    /// The center.
    #[value(name = "1")]
    One,
    /// The corners and the center, and their mirror images.
    #[value(name = "10")]
    Ten,
}

/// What is averaged over the views of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Average {
    /// Softmax outputs, as in the papers
    #[default]
    Probabilities,
    /// Softmax inputs
    Logits,
}

impl Args {
    fn views(&self) -> Result<Views, Failure> {
        let crop = match self.crops {
            Some(Crops::Ten) if self.flip => {
                return Err(Failure::Usage("the ten crops are mirrored already: --flip adds nothing to them".into()));
            }
            Some(Crops::Ten) => Crop::Ten,
            None if !self.scales.is_empty() => Crop::Whole,
            Some(Crops::One) | None => Crop::Center,
        };
        Ok(Views { scales: self.scales.iter().map(|&s| s as usize).collect(), crop, flip: self.flip })
    }
}

pub(super) fn run(args: &Args, out: &mut Out) -> Done {
    let views = args.views()?;
    let members = Members::open(args, &views, out)?;
    let written = [&args.scores, &args.resume].into_iter().flatten().map(PathBuf::as_path);
    writable(written, &[members.read(), &data_files(&args.data)].concat())?;
    // each sample is read once
    let options =
        DatasetOptions { class_names: members.labels(), strict: false, classes: Some(members.classes()), cache_bytes: 0 };
    let data = open_dataset(&args.data, Split::Test, &options).map_err(Failure::input)?;
    note_classes(&*data, members.labels(), members.classes(), out);
    members.hold(&*data, &views)?;
    let state = args.resume.as_deref().map(|path| state::begin(path, args, &members, &*data, &views, out)).transpose()?;
    let work = Work {
        data: &*data,
        views: &views,
        average: args.average,
        batch: args.batch as usize,
        worst: args.worst as usize,
        fatal: args.on_error == OnError::Fatal,
        limit: args.limit.map(NonZeroUsize::get),
        keep: args.scores.is_some(),
    };
    let mut judge = Evaluator::new(work, members, state);
    let ended = judge.run();
    judge.note(args, out);
    let stopped = ended?;
    if let Some(path) = &args.scores {
        npy::write(path, &judge.scores().view()).map_err(Failure::input)?;
    }
    report::report(args, &judge, out)?;
    if stopped { Err(Failure::Stopped) } else { judge.hold_finite() }
}
