//! `resnetc eval`

#[path = "../../eval/confusion.rs"]
mod confusion;
#[path = "../../eval/evaluator.rs"]
mod judge;
#[path = "../../eval/ensemble.rs"]
mod members;
mod report;
#[path = "../../eval/measures.rs"]
mod score;
#[path = "../../eval/state.rs"]
mod state;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::ValueEnum;

use super::args::{Format, Named, OnError, data_files, parse_named_weights};
use super::classes::note_classes;
use super::open::ModelArgs;
use super::output::{Done, Failure, Out, writable};
use crate::data::{Cut, DatasetOptions, Split, Views, open_dataset};
use crate::formats::npy;
use judge::{Evaluator, Work};
use members::Members;

/// The largest size that an image's shorter side is given.
const MAX_SCALE: i64 = 4096;

/// Measures accuracy over a labeled dataset, as the paper does.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  resnetc eval models/cifar.resnet:resnet20 --weights resnet20.safetensors --data cifar10/test\n  \
                  resnetc eval models/resnet.resnet:resnet50 --weights resnet50.pth --data imagenet/val --crops 10\n  \
                  resnetc eval net.rnx --data imagenet/val --scales 224,256,384,480,640 --flip --resume state.json\n  \
                  resnetc eval a.rnx --ensemble b.rnx models/cifar.resnet:resnet32=resnet32.safetensors --data cifar10/test --worst 20\n\n\
                  A dataset is a folder or .tar with a folder of images for each class, CIFAR's binary files, IDX files (.gz too), or a pair of \
                  arrays; of one with parts, the test part is taken. Names of classes are matched with the network's labels; for a network of \
                  1000 classes, folders called as ImageNet's synsets (n01440764) are its classes; else folders are counted in sorted order.\n\n\
                  An image that cannot be read is named and counted, and left out of the measures, unless --on-error fatal is given."
)]
pub(super) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// An image folder or .tar, CIFAR binary files, IDX files, or X.npy,Y.npy
    #[arg(long, value_name = "DATA")]
    data: String,
    /// Further networks, whose probabilities are averaged with the first one's
    #[arg(long, value_name = "FILE[:NETWORK][=WEIGHTS]", num_args = 1.., value_parser = parse_named_weights)]
    ensemble: Vec<Named>,
    /// Crops whose scores are averaged: the center; or the corners and the center, and their mirror images [default: as `preprocess` says]
    #[arg(long, value_enum, value_name = "1|10", hide_possible_values = true)]
    crops: Option<Crops>,
    /// Sizes of the shorter side: the network runs over the whole image at each (with --crops, over crops), and scores are averaged
    #[arg(long, value_name = "SIZE,...", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=MAX_SCALE))]
    scales: Vec<u32>,
    /// Show the mirrored image too
    #[arg(long)]
    flip: bool,
    /// What is averaged over views: probabilities, as in the papers, or the scores before the softmax
    #[arg(long, value_enum, default_value_t)]
    average: Average,
    /// Images in a run; of images larger than the network's input fewer
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch: u32,
    /// List the N images whose class was given the least probability
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    worst: u32,
    /// What becomes of images that cannot be read: they are counted and left out, or end the run
    #[arg(long, value_enum, default_value_t)]
    on_error: OnError,
    /// Keep the state in FILE, and go on from it where there is one: interrupted, by Ctrl-C too, the results are the same
    #[arg(long, value_name = "FILE", conflicts_with = "scores")]
    resume: Option<PathBuf>,
    /// Stop after N images; with --resume after N more, rounded up to whole runs
    #[arg(long, value_name = "N")]
    limit: Option<NonZeroUsize>,
    /// Write each image's probabilities: images x classes, in the dataset's order; of one that cannot be read NaN
    #[arg(long, value_name = "OUT.npy")]
    scores: Option<PathBuf>,
    /// How to answer
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
    /// The outputs of the softmax.
    #[default]
    Probabilities,
    /// What goes into it.
    Logits,
}

impl Args {
    fn views(&self) -> Result<Views, Failure> {
        let cut = match self.crops {
            Some(Crops::Ten) if self.flip => {
                return Err(Failure::Usage("the ten crops are mirrored already: --flip adds nothing to them".into()));
            }
            Some(Crops::Ten) => Cut::Ten,
            None if !self.scales.is_empty() => Cut::Whole,
            Some(Crops::One) | None => Cut::Center,
        };
        Ok(Views { scales: self.scales.iter().map(|&s| s as usize).collect(), cut, mirrored: self.flip })
    }
}

pub(super) fn run(args: &Args, out: &mut Out) -> Done {
    let views = args.views()?;
    let members = Members::open(args, &views, out)?;
    let written = [&args.scores, &args.resume].into_iter().flatten().map(PathBuf::as_path);
    writable(written, &[members.read(), &data_files(&args.data)].concat())?;
    // each sample is read once
    let options = DatasetOptions { labels: members.labels(), strict: false, classes: Some(members.classes()), keep: 0 };
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
