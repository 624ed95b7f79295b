//! The options of `resnetc eval`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::ValueEnum;

use super::super::args::{Format, Named, OnError, parse_named_weights};
use super::super::failure::Failure;
use super::super::open::ModelArgs;
use crate::data::{Crop, Views};
use crate::eval::{self, EvalError, EvalOptions};

/// The largest size of an image's shorter side.
const MAX_SCALE: i64 = 4096;

/// Evaluates accuracy on a labeled dataset, with the protocols of the papers.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  resnetc eval models/cifar.resnet:resnet20 --weights resnet20.safetensors --data cifar10/test\n  \
                  resnetc eval models/resnet.resnet:resnet50 --weights resnet50.pth --data imagenet/val --crops 10\n  \
                  resnetc eval runs/resnet20\n  \
                  resnetc eval net.rnx --data imagenet/val --scales 224,256,384,480,640 --flip --resume state.json\n  \
                  resnetc eval a.rnx --ensemble b.rnx models/cifar.resnet:resnet32=resnet32.safetensors --data cifar10/test --worst 20\n\n\
                  A dataset is a folder or .tar with one folder of images per class, CIFAR binary files, IDX files (also as .gz), or a pair of \
                  arrays. If it has several splits, the test split is used. Class names are matched with the network's labels. For a network \
                  with 1000 classes, folders named by ImageNet synset (n01440764) are mapped to its classes. Otherwise, classes are the folders \
                  in sorted order.\n\n\
                  Images that cannot be read are reported, counted, and excluded from the results, unless --on-error is fatal."
)]
pub(in crate::internal::cli) struct Args {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Dataset: an image folder or .tar, CIFAR binary files, IDX files, or X.npy,Y.npy [default: the validation data of a run directory]
    #[arg(long, value_name = "DATA")]
    pub data: Option<String>,
    /// More networks, whose probabilities are averaged with those of the first
    #[arg(long, value_name = "FILE[:NETWORK][=WEIGHTS]", num_args = 1.., value_parser = parse_named_weights)]
    pub ensemble: Vec<Named>,
    /// Crops to average: the center crop; or the four corners and the center, and their horizontal flips [default: as in `preprocess`]
    #[arg(long, value_enum, value_name = "1|10", hide_possible_values = true)]
    pub crops: Option<Crops>,
    /// Scales to average, as sizes of the shorter side: the network runs on the whole image or, with --crops, on crops
    #[arg(long, value_name = "SIZE,...", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=MAX_SCALE))]
    pub scales: Vec<u32>,
    /// Also average over the horizontally flipped image
    #[arg(long)]
    pub flip: bool,
    /// What to average over crops, scales and flips
    #[arg(long, value_enum, default_value_t)]
    pub average: Average,
    /// Batch size; smaller for images larger than the network's input
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub batch: u32,
    /// List the N images whose correct class has the lowest probability
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub worst: u32,
    /// What to do with images that cannot be read
    #[arg(long, value_enum, default_value_t)]
    pub on_error: OnError,
    /// Save the state to FILE, and continue from it if it exists; the result is the same as without interruptions
    #[arg(long, value_name = "FILE", conflicts_with = "scores")]
    pub resume: Option<PathBuf>,
    /// Stop after the first N images in the dataset's order, or N more with --resume, rounded up to whole batches
    #[arg(long, value_name = "N")]
    pub limit: Option<NonZeroUsize>,
    /// Write the probabilities of all images (images x classes, in the dataset's order); NaN for images that cannot be read
    #[arg(long, value_name = "OUT.npy")]
    pub scores: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// What `--crops` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::internal::cli) enum Crops {
    /// The center.
    #[value(name = "1")]
    One,
    /// The corners and the center, also flipped horizontally.
    #[value(name = "10")]
    Ten,
}

/// What `--average` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(in crate::internal::cli) enum Average {
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
                return Err(Failure::Usage("the ten crops are flipped already: --flip adds nothing to them".into()));
            }
            Some(Crops::Ten) => Crop::Ten,
            None if !self.scales.is_empty() => Crop::Whole,
            Some(Crops::One) | None => Crop::Center,
        };
        Ok(Views { scales: self.scales.iter().map(|&s| s as usize).collect(), crop, flip: self.flip })
    }

    pub fn options(&self) -> Result<EvalOptions, Failure> {
        Ok(EvalOptions {
            views: self.views()?,
            average: match self.average {
                Average::Probabilities => eval::Average::Probabilities,
                Average::Logits => eval::Average::Logits,
            },
            batch: self.batch as usize,
            worst: self.worst as usize,
            fail_on_broken: self.on_error == OnError::Fatal,
            limit: self.limit.map(NonZeroUsize::get),
            keep_scores: self.scores.is_some(),
        })
    }
}

/// An error in terms of the options.
pub(super) fn failure(error: EvalError) -> Failure {
    match error {
        EvalError::SameCrops { network } => Failure::Usage(format!(
            "`{network}` takes images as large as its input, where ten crops are the same: give a larger size of the shorter side \
             with --scales"
        )),
        EvalError::Normalized { name } => {
            Failure::Usage(format!("--crops, --scales and --flip need images, and `{name}` holds normalized values"))
        }
        EvalError::WholeImages { .. } => Failure::Input(format!("{error}; --scales with --crops uses crops")),
        other => Failure::input(other),
    }
}
