//! `resnetc train`

mod about;
mod open;
mod watch;

use std::fs::{File, TryLockError};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::args::{Select, parse_threads, parse_weights, split};
use super::output::{Done, Failure, Out, STOPPED};
use crate::driver::Weights;
use crate::ir::Recipe;
use crate::train::{End, Run, RunDir, TrainError, checkpoint, log};
use about::About;
use open::{Parts, beginning};
pub(super) use open::{checked, datasets};
use watch::Watch;

/// Trains a network by the recipe in its file.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  resnetc train models/cifar.resnet --network resnet20 --data cifar10/train --valid cifar10/test -o runs/resnet20\n  \
                  resnetc train net.resnet --data X.npy,Y.npy --set train.steps=20 --set train.augment=none\n  \
                  resnetc train --resume runs/resnet20\n\nThe run directory gets train.jsonl, checkpoint.safetensors, report.html, the source, and in the end \
                  weights.safetensors. Ctrl-C writes a checkpoint and leaves, with exit code 130; a second one leaves at once."
)]
pub(in crate::cli) struct Args {
    /// A source (.resnet) with a `train` block
    #[arg(value_name = "FILE", required_unless_present = "resume")]
    file: Option<PathBuf>,
    #[command(flatten)]
    select: Select,
    /// Training data: an image folder, CIFAR binary files, IDX files, or X.npy,Y.npy
    #[arg(long, value_name = "DATA", required_unless_present = "resume")]
    data: Option<String>,
    /// Validation data [default: the part `val` of the training data, or else `test`, where they have one]
    #[arg(long, value_name = "DATA")]
    valid: Option<String>,
    /// The run directory [default: runs/NETWORK, or runs/NETWORK-2, …]
    #[arg(short, long, value_name = "RUN_DIR", conflicts_with = "resume")]
    output: Option<PathBuf>,
    /// Weights to begin with: a safetensors, PyTorch or NumPy file, or init[:SEED] [default: what the recipe says]
    #[arg(long, value_name = "PATH|init[:SEED]", value_parser = parse_weights, conflicts_with = "resume")]
    weights: Option<Weights>,
    /// The seed of all that is drawn at random: short for --set train.seed=N
    #[arg(long, value_name = "N", conflicts_with = "resume")]
    seed: Option<u64>,
    /// Say only what ends the run, and warnings
    #[arg(short, long)]
    quiet: bool,
    /// Threads [default: as many as the process may use; when resuming, as many as before]
    #[arg(long, value_name = "N", value_parser = parse_threads)]
    threads: Option<NonZeroU16>,
    /// Go on with the run of this directory, to the same bits as if it had never stopped
    #[arg(long, value_name = "RUN_DIR", conflicts_with_all = ["file", "network", "set"])]
    resume: Option<PathBuf>,
}

/// Set by Ctrl-C.
static STOP: AtomicBool = AtomicBool::new(false);

pub(in crate::cli) fn run(args: &Args, out: &mut Out) -> Done {
    match &args.resume {
        Some(dir) => resume(args, &RunDir::new(dir), out),
        None => begin(args, out),
    }
}

fn begin(args: &Args, out: &mut Out) -> Done {
    let (Some(file), Some(data)) = (&args.file, &args.data) else {
        return Err(Failure::Usage("a file and --data are needed".into()));
    };
    let (file, mut select) = split(file, &args.select)?;
    let file = &file;
    select.set.extend(args.seed.map(|seed| ("train.seed".to_owned(), seed.to_string())));
    let (front, checked) = checked(file, &select, out)?;
    let mut about = About {
        file: about::plain(file),
        copy: PathBuf::new(),
        network: checked.network.name.clone(),
        set: select.set,
        data: about::absolute_data(data),
        valid: args.valid.as_deref().map(about::absolute_data),
        weights: match &args.weights {
            Some(Weights::File(path)) => Some(about::plain(path)),
            _ => None,
        },
        init: match args.weights {
            Some(Weights::Init(seed)) => Some(seed),
            _ => None,
        },
        from: checked.network.recipe.as_ref().and_then(|r| r.from.as_ref()).map(|from| about::plain(&from.path)),
        threads: args.threads.map_or_else(available, |n| usize::from(n.get())),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let recipe = about.recipe(&checked)?;
    let dir = RunDir::new(match &args.output {
        Some(dir) => dir.clone(),
        None => unused(&about.network),
    });
    hold_free(&dir)?;
    let params = beginning(&checked, &front, &recipe, args.weights.as_ref(), out)?;
    let (train, valid) = datasets(&checked, data, args.valid.as_deref(), out)?;
    let mut parts = Parts::new(&checked, &params, &recipe, train, valid, about.threads)?;
    let _lock = hold(&dir)?;
    about.write(&dir, &front)?;
    if !args.quiet {
        if args.output.is_none() {
            out.note(format_args!("writing to {}", dir.path().display()));
        }
        out.note(describe(&recipe, &parts));
    }
    drive(&mut parts, &recipe, &about, &dir, How { resumed: false, quiet: args.quiet }, out)
}

fn resume(args: &Args, dir: &RunDir, out: &mut Out) -> Done {
    let mut about = About::read(dir)?;
    if let Some(data) = &args.data {
        about.data = about::absolute_data(data);
    }
    if let Some(valid) = &args.valid {
        about.valid = Some(about::absolute_data(valid));
    }
    if let Some(threads) = args.threads {
        if usize::from(threads.get()) != about.threads {
            out.note(format_args!(
                "note: the run was begun with {} threads; with {threads} its results differ in the last bits",
                about.threads
            ));
        }
        about.threads = usize::from(threads.get());
    }
    let _lock = hold(dir)?;
    // a run that ended before its first checkpoint begins again
    let begun = dir.checkpoint().exists();
    let state = begun.then(|| checkpoint::state(&dir.checkpoint()).map_err(Failure::input)).transpose()?;
    let (front, checked) = about.checked(dir, out)?;
    let (recipe, params) = match state {
        // the values come from the checkpoint
        Some(state) => {
            let params = crate::train::init::initial_params(&checked, &state.recipe, None).map_err(Failure::input)?.params;
            (state.recipe, params)
        }
        None => {
            let recipe = about.recipe(&checked)?;
            let params = beginning(&checked, &front, &recipe, about.weights().as_ref(), out)?;
            (recipe, params)
        }
    };
    let (train, valid) = datasets(&checked, &about.data, about.valid.as_deref(), out)?;
    let mut parts = Parts::new(&checked, &params, &recipe, train, valid, about.threads)?;
    drive(&mut parts, &recipe, &about, dir, How { resumed: begun, quiet: args.quiet }, out)
}

/// How a run is driven.
#[derive(Clone, Copy)]
struct How {
    /// From the checkpoint on.
    resumed: bool,
    /// Without a word on its way.
    quiet: bool,
}

fn drive(parts: &mut Parts, recipe: &Recipe, about: &About, dir: &RunDir, how: How, out: &mut Out) -> Done {
    // without a handler Ctrl-C ends the process at once, and the last checkpoint is the one to go on from
    let _ = ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::SeqCst) {
            std::process::exit(STOPPED.into());
        }
    });
    let epoch = parts.train.samples().div_ceil(recipe.batch.saturating_mul(recipe.accumulate).max(1)) as u64;
    let mut watch = Watch::new(recipe.length.steps(epoch), recipe.batch * recipe.accumulate, epoch, how.quiet);
    let run = Run {
        engine: &mut parts.engine,
        train: &mut *parts.train,
        valid: match &mut parts.valid {
            Some(feed) => Some(&mut **feed),
            None => None,
        },
        network: &about.network,
        classes: parts.classes,
        dir,
        threads: about.threads,
    };
    let mut observe = |event: crate::train::Event<'_>| watch.event(event, STOP.load(Ordering::SeqCst));
    let end = if how.resumed { run.resume(&mut observe) } else { run.begin(recipe, &mut observe) };
    watch.finish();
    match end {
        Ok(End::Finished) => {
            out.line(format_args!("weights  {}", dir.weights().display()))?;
            out.line(format_args!("report   {}", dir.report().display()))
        }
        Ok(End::Stopped) => {
            // the exit code says so too, where nobody reads it
            let _ = out.line(format_args!("stopped; go on with: resnetc train --resume {}", dir.path().display()));
            Err(Failure::Stopped)
        }
        Err(error) => Err(failed(&error, dir)),
    }
}

/// What went wrong, and that the run is not lost.
fn failed(error: &TrainError, dir: &RunDir) -> Failure {
    let left = match checkpoint::state(&dir.checkpoint()) {
        Ok(state) if state.step > 0 => {
            format!("\nthe checkpoint of step {} is whole: {}", state.step, dir.checkpoint().display())
        }
        _ => String::new(),
    };
    Failure::Input(format!("{error}{left}"))
}

/// Holds that a run can be written to a folder: what lies there is a run's that made no step, or nothing.
fn hold_free(dir: &RunDir) -> Result<(), Failure> {
    let name = dir.path().display();
    let path = dir.checkpoint();
    let steps = log::read(&dir.log()).is_ok_and(|lines| lines.iter().any(|line| matches!(line, log::Line::Step { .. })));
    if steps || (path.exists() && !checkpoint::state(&path).is_ok_and(|state| state.step == 0)) {
        return Err(Failure::Input(format!("`{name}` holds a run: go on with --resume {name}, or give another with -o")));
    }
    let is_empty = std::fs::read_dir(dir.path()).map_or(true, |mut entries| entries.next().is_none());
    if is_empty || dir.about().exists() {
        return Ok(());
    }
    Err(Failure::Input(format!("`{name}` is a folder with files of its own: a run writes to a new one")))
}

/// Makes the folder of a run this process's own, as long as what is given back lives: two that write to one would wreck it.
fn hold(dir: &RunDir) -> Result<File, Failure> {
    let path = dir.lock();
    let failed = |error: std::io::Error| Failure::Input(format!("cannot write `{}`: {error}", path.display()));
    std::fs::create_dir_all(dir.path()).map_err(failed)?;
    let file = File::create(&path).map_err(failed)?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            Err(Failure::Input(format!("`{}` is being written by another run of resnetc", dir.path().display())))
        }
        // where a file system has no locks there is none to hold
        Err(TryLockError::Error(_)) | Ok(()) => Ok(file),
    }
}

fn available() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A folder that does not exist yet: `runs/resnet20`, `runs/resnet20-2`, …
fn unused(network: &str) -> PathBuf {
    let first = Path::new("runs").join(network);
    let more = (2..10_000).map(|i| Path::new("runs").join(format!("{network}-{i}")));
    std::iter::once(first.clone()).chain(more).find(|path| !path.exists()).unwrap_or(first)
}

/// What is about to happen.
fn describe(recipe: &Recipe, parts: &Parts) -> String {
    let changes = recipe.augment.iter().map(crate::ir::Augment::name).collect::<Vec<_>>().join(", ");
    format!(
        "{} samples, {} to validate on; batch {}{}, rate {}, momentum {}, decay {}{}",
        parts.train.samples(),
        parts.valid.as_ref().map_or(0, |v| v.samples()),
        recipe.batch,
        if recipe.accumulate > 1 { format!(" x {}", recipe.accumulate) } else { String::new() },
        recipe.optimizer.lr,
        recipe.optimizer.momentum,
        recipe.optimizer.weight_decay,
        if changes.is_empty() { String::new() } else { format!("; {changes}") }
    )
}
