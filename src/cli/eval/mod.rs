//! `resnetc eval`

mod confusion;
mod networks;
mod report;

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use clap::ValueEnum;

use super::args::{Format, Named, OnError, data_files, parse_named_weights};
use super::classes::note_classes;
use super::failure::{Done, Failure, STOPPED};
use super::open::ModelArgs;
use super::output::{Out, writable};
use super::progress::progress;
use crate::data::{Crop, DatasetOptions, Split, Views, open_dataset};
use crate::eval::{self, EvalError, EvalOptions, Evaluator, Progress};
use crate::formats::npy;
use networks::Networks;

/// The largest size of an image's shorter side.
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
    /// The corners and the center, also flipped horizontally.
    #[value(name = "10")]
    Ten,
}

/// What `--average` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Average {
    /// Softmax outputs, as in the papers
    #[default]
    Probabilities,
    /// Softmax inputs
    Logits,
}

/// Set by Ctrl-C.
static STOP: AtomicBool = AtomicBool::new(false);

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

    fn options(&self) -> Result<EvalOptions, Failure> {
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

pub(super) fn run(args: &Args, out: &mut Out) -> Done {
    let options = args.options()?;
    let Networks { ensemble, args: opened, files } = Networks::open(args, &options, out)?;
    let written = [&args.scores, &args.resume].into_iter().flatten().map(PathBuf::as_path);
    writable(written, &[&files[..], &data_files(&args.data)].concat())?;
    // each sample is read once
    let names = ensemble.class_names();
    let from = DatasetOptions { class_names: names, strict: false, classes: Some(ensemble.classes()), cache_bytes: 0 };
    let data = open_dataset(&args.data, Split::Test, &from).map_err(Failure::input)?;
    note_classes(&*data, names, ensemble.classes(), out);
    let mut evaluator = Evaluator::new(ensemble, data, options).map_err(failure)?;
    if let Some(path) = &args.resume {
        resume(&mut evaluator, path, args, out)?;
    }
    let ended = evaluate(&mut evaluator);
    for (network, from) in evaluator.ensemble().members().iter().zip(&opened) {
        from.note_packs(network.session(), out);
    }
    note_broken(&evaluator, args, out);
    let is_stopped = ended?;
    if let Some(path) = &args.scores {
        npy::write(path, &evaluator.scores().view()).map_err(Failure::input)?;
    }
    report::report(args, &evaluator, out)?;
    if is_stopped { Err(Failure::Stopped) } else { evaluator.check_finite().map_err(failure) }
}

/// Continues from the state in a file. From then on Ctrl-C ends the run after the next images.
fn resume(evaluator: &mut Evaluator, path: &Path, args: &Args, out: &Out) -> Done {
    let also = [("planning", format!("{:?}", args.model.planning))];
    let resumed = evaluator.resume(path, &also).map_err(failure)?;
    if let Some(before) = resumed.other_threads {
        let threads = resumed.threads;
        out.note(format_args!(
            "note: the run was started with {before} threads; with {threads} its results differ in the last bits"
        ));
    }
    if resumed.is_finished {
        let file = path.display();
        out.note(format_args!("note: `{file}` holds a finished run, whose results these are; delete the file to start again"));
    }
    // without a handler Ctrl-C ends the process at once, and a run continues from the last state that was written
    let _ = ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::SeqCst) {
            std::process::exit(STOPPED.into());
        }
    });
    Ok(())
}

/// Runs, with a bar; returns whether Ctrl-C ended it.
fn evaluate(evaluator: &mut Evaluator) -> Result<bool, Failure> {
    let (start, end) = (evaluator.start(), evaluator.end());
    if start >= end {
        return Ok(false);
    }
    let bar = progress(end);
    bar.set_position(start as u64);
    bar.reset_eta();
    let ended = evaluator.run(|Progress { done, measures, .. }| {
        bar.set_position(done as u64);
        if let Some(measures) = measures {
            let bad = if measures.not_finite > 0 { format!(", {} not finite", measures.not_finite) } else { String::new() };
            bar.set_message(format!("top-1 error {:.2} %{bad}", 100.0 - measures.top1));
        }
        if STOP.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    bar.finish_and_clear();
    ended.map_err(failure)
}

fn note_broken(evaluator: &Evaluator, args: &Args, out: &Out) {
    for why in evaluator.broken_reasons() {
        out.note(format_args!("warning: {why}"));
    }
    let more = evaluator.broken().saturating_sub(evaluator.broken_reasons().len());
    if more > 0 {
        out.note(format_args!("warning: and {more} more broken files in `{}`", args.data));
    }
}

/// An error in terms of the options.
fn failure(error: EvalError) -> Failure {
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
