//! `resnetc train`

mod open;
mod record;
mod watch;

use std::fs::{File, TryLockError};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::about::{self, About};
use super::args::{Format, Renames, Select, parse_threads, parse_weights, split};
use super::failure::{Done, Failure, STOPPED};
use super::open::is_stdin;
use super::output::Out;
use crate::driver::Weights;
use crate::elaborate::RecipeLabels;
use crate::ir::{Checked, Recipe};
use crate::train::{End, Run, RunDir, TrainError, checkpoint, log};
use open::{Parts, initial_params};
pub(super) use open::{check_exist, checked, datasets};
use record::absolute_data;
use watch::{Shown, Watch};

/// Trains a network with the recipe in its file.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  resnetc train models/cifar.resnet --network resnet20 --data cifar10/train --valid cifar10/test -o runs/resnet20\n  \
                  resnetc train net.resnet --data X.npy,Y.npy --set train.steps=20 --set train.augment=none\n  \
                  resnetc train net.resnet --set classes=3 --data photos --from resnet18.pth --except fc\n  \
                  resnetc train --resume runs/resnet20\n  \
                  resnetc train --resume runs/resnet20 --set train.epochs=8\n\nThe run directory contains train.jsonl, checkpoint.safetensors, report.html, the source, best.safetensors with \
                  the weights of the best validation, and at the end weights.safetensors. Ctrl-C writes a checkpoint and exits with code 130; a second Ctrl-C exits immediately."
)]
pub(in crate::internal::cli) struct Args {
    /// Source (.resnet) with a `train` block; FILE:NETWORK selects one of several networks
    #[arg(value_name = "FILE", required_unless_present = "resume")]
    file: Option<PathBuf>,
    #[command(flatten)]
    select: Select,
    /// Training data: an image folder or .tar, CIFAR binary files, IDX files, or X.npy,Y.npy
    #[arg(long, value_name = "DATA", required_unless_present = "resume")]
    data: Option<String>,
    /// Validation data [default: the split `val` of the training data, or else `test`, if there is one]
    #[arg(long, value_name = "DATA")]
    valid: Option<String>,
    /// Run directory [default: runs/NETWORK, or runs/NETWORK-2, …]
    #[arg(short, long, value_name = "RUN_DIR", conflicts_with = "resume")]
    output: Option<PathBuf>,
    /// Initial weights: a safetensors, PyTorch or NumPy file, or init[:SEED] for random ones [default: according to the recipe]
    #[arg(long, value_name = "PATH|init[:SEED]", value_parser = parse_weights, conflicts_with = "resume")]
    weights: Option<Weights>,
    /// Initialize from the weights in FILE, except the layers of --except: the same as `from` in the recipe
    #[arg(long, value_name = "FILE", conflicts_with_all = ["resume", "weights"])]
    from: Option<PathBuf>,
    /// Layers, stages and scopes that --from does not initialize, for example fc
    #[arg(long, value_name = "LABEL,...", value_delimiter = ',', requires = "from")]
    except: Vec<String>,
    #[command(flatten)]
    renames: Renames,
    /// Random seed: same as --set train.seed=N
    #[arg(long, value_name = "N", conflicts_with = "resume")]
    seed: Option<u64>,
    /// Print only warnings, errors and the final result
    #[arg(short, long)]
    quiet: bool,
    /// Output format; json prints the lines of train.jsonl as they are written, and one for the result
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Number of threads [default: all available CPUs; with --resume, as before]
    #[arg(long, value_name = "N", value_parser = parse_threads)]
    threads: Option<NonZeroU16>,
    /// Resume the run in this directory; the result is bit-identical to that of an uninterrupted run. With --set train.epochs=N, a
    /// finished run goes on
    #[arg(long, value_name = "RUN_DIR", conflicts_with_all = ["file", "network"])]
    resume: Option<PathBuf>,
}

/// Set by Ctrl-C.
static STOP: AtomicBool = AtomicBool::new(false);

pub(in crate::internal::cli) fn run(args: &Args, out: &mut Out) -> Done {
    match &args.resume {
        Some(dir) => resume(args, &RunDir::new(dir), out),
        None => begin(args, out),
    }
}

fn begin(args: &Args, out: &mut Out) -> Done {
    let (Some(file), Some(data)) = (&args.file, &args.data) else {
        return Err(Failure::Usage("FILE and --data are required".into()));
    };
    let (file, mut select) = split(file, &args.select)?;
    if is_stdin(&file) {
        return Err(Failure::Usage("a run keeps a copy of its source: training needs a file, not standard input".into()));
    }
    let file = &file;
    select = select.renaming(&args.renames);
    select.set.extend(args.seed.map(|seed| ("train.seed".to_owned(), seed.to_string())));
    let (front, checked) = checked(file, &select, out)?;
    let of_recipe = checked.network.recipe.as_ref().and_then(|recipe| recipe.from.as_ref());
    let except = args.from.as_ref().map(|_| excepted(&checked, &args.except)).transpose()?;
    let mut about = About {
        file: about::plain(file),
        copy: PathBuf::new(),
        network: checked.network.name.clone(),
        set: select.set,
        data: absolute_data(data),
        valid: args.valid.as_deref().map(absolute_data),
        weights: match &args.weights {
            Some(Weights::File(path)) => Some(about::plain(path)),
            _ => None,
        },
        init: match args.weights {
            Some(Weights::Init(seed)) => Some(seed),
            _ => None,
        },
        from: args.from.as_deref().or(of_recipe.map(|from| &*from.path)).map(about::plain),
        except,
        rename: select.rename,
        classes: Vec::new(),
        threads: args.threads.map_or_else(available, |n| usize::from(n.get())),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let recipe = about.recipe(&checked)?;
    let dir = RunDir::new(match &args.output {
        Some(dir) => dir.clone(),
        None => unused(&about.network),
    });
    check_unused(&dir)?;
    check_exist(weights_file(&recipe, args.weights.as_ref()), [Some(&**data), args.valid.as_deref()].into_iter().flatten())?;
    let (train, valid) = datasets(&checked, data, args.valid.as_deref(), out)?;
    let params = initial_params(&checked, &front, &recipe, args.weights.as_ref(), out)?;
    let (classes, outputs) = (train.dataset.classes(), crate::train::classes(&checked));
    if checked.network.labels.is_empty() && Some(classes.len()) == outputs {
        about.classes = classes.to_vec();
    }
    let mut parts = Parts::new(&checked, &params, &recipe, train, valid, about.threads)?;
    let _lock = lock(&dir)?;
    about.write(&dir, &front)?;
    if !args.quiet {
        if args.output.is_none() {
            out.note(format_args!("writing to {}", dir.path().display()));
        }
        out.note(describe(&recipe, &parts));
    }
    drive(&mut parts, &recipe, &about, &dir, How { resume: None, quiet: args.quiet, format: args.format }, out)
}

fn resume(args: &Args, dir: &RunDir, out: &mut Out) -> Done {
    let mut about = About::read(dir)?;
    let changes = &args.select.set;
    if let Some((name, _)) = changes.iter().find(|(name, _)| !name.starts_with("train.")) {
        return Err(Failure::Usage(format!(
            "`{name}` cannot change when a run is resumed: --set changes its recipe only, for example train.epochs=8"
        )));
    }
    if !args.renames.rename.is_empty() {
        return Err(Failure::Usage("--rename is kept with a run: it cannot be given again when the run is resumed".into()));
    }
    about.set(changes);
    if let Some(data) = &args.data {
        about.data = absolute_data(data);
    }
    if let Some(valid) = &args.valid {
        about.valid = Some(absolute_data(valid));
    }
    if let Some(threads) = args.threads {
        if usize::from(threads.get()) != about.threads {
            out.note(format_args!(
                "note: the run was started with {} threads; with {threads}, results differ in the last bits",
                about.threads
            ));
        }
        about.threads = usize::from(threads.get());
    }
    let _lock = lock(dir)?;
    // a run that stopped before its first checkpoint starts from scratch
    let has_checkpoint = dir.checkpoint().exists();
    let state = has_checkpoint.then(|| checkpoint::state(&dir.checkpoint()).map_err(Failure::input)).transpose()?;
    let (front, checked) = about.checked(dir, out)?;
    check_exist(None, [Some(&*about.data), about.valid.as_deref()].into_iter().flatten())?;
    let (recipe, params) = match state {
        // the values come from the checkpoint
        Some(state) => {
            let recipe = if changes.is_empty() { state.recipe } else { about.recipe(&checked)? };
            let params = crate::train::init::initial_params(&checked, &recipe, None).map_err(Failure::input)?.params;
            (recipe, params)
        }
        None => {
            let recipe = about.recipe(&checked)?;
            let params = initial_params(&checked, &front, &recipe, about.weights().as_ref(), out)?;
            (recipe, params)
        }
    };
    let (train, valid) = datasets(&checked, &about.data, about.valid.as_deref(), out)?;
    let mut parts = Parts::new(&checked, &params, &recipe, train, valid, about.threads)?;
    let resume = match (has_checkpoint, changes.is_empty()) {
        (false, _) => None,
        (true, true) => Some(Resume::AsBefore),
        (true, false) => Some(Resume::Changed),
    };
    drive(&mut parts, &recipe, &about, dir, How { resume, quiet: args.quiet, format: args.format }, out)
}

/// How a run continues.
#[derive(Clone, Copy, PartialEq)]
enum Resume {
    /// With the recipe of the checkpoint.
    AsBefore,
    /// With another recipe.
    Changed,
}

/// How a run is driven.
#[derive(Clone, Copy)]
struct How {
    /// How it continues from the checkpoint; `None` if it begins.
    resume: Option<Resume>,
    /// Whether it shows no progress.
    quiet: bool,
    /// How it shows progress and the result.
    format: Format,
}

fn drive(parts: &mut Parts, recipe: &Recipe, about: &About, dir: &RunDir, how: How, out: &mut Out) -> Done {
    // if no handler can be set, Ctrl-C stops the process immediately, and the run resumes from the last checkpoint
    let _ = ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::SeqCst) {
            std::process::exit(STOPPED.into());
        }
    });
    let epoch = parts.train.samples().div_ceil(recipe.batch.saturating_mul(recipe.accumulate).max(1)) as u64;
    let steps = recipe.length.steps(epoch);
    if how.resume == Some(Resume::AsBefore) && checkpoint::state(&dir.checkpoint()).is_ok_and(|state| state.step >= steps) {
        out.note(format_args!("note: the run has ended after {steps} steps; with a larger --set train.epochs it goes on"));
    }
    let mut watch = Watch::new(steps, recipe.batch * recipe.accumulate, epoch, Shown { quiet: how.quiet, format: how.format });
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
    let mut observe = |event: crate::train::Event<'_>| watch.event(event, STOP.load(Ordering::SeqCst), out);
    let end = match how.resume {
        Some(Resume::AsBefore) => run.resume(None, &mut observe),
        Some(Resume::Changed) => {
            run.check_change(recipe).map_err(|error| failed(&error, dir))?;
            about.save(dir)?;
            run.resume(Some(recipe), &mut observe)
        }
        None => run.begin(recipe, &mut observe),
    };
    watch.finish();
    if how.format == Format::Json
        && let Ok(end) = &end
    {
        // the output may be closed; the exit code shows it too
        let _ = out.line(result_line(*end, dir));
    }
    match end {
        Ok(End::Finished) if how.format == Format::Json => Ok(()),
        Ok(End::Stopped) if how.format == Format::Json => Err(Failure::Stopped),
        Ok(End::Finished) => {
            out.line(format_args!("weights  {}", dir.weights().display()))?;
            best(dir, out)?;
            out.line(format_args!("report   {}", dir.report().display()))
        }
        Ok(End::Stopped) => {
            // the output may be closed; the exit code shows it too
            let _ = out.line(format_args!("stopped; continue with: resnetc train --resume {}", dir.path().display()));
            Err(Failure::Stopped)
        }
        Err(error) => Err(failed(&error, dir)),
    }
}

/// The result as a line of JSON.
fn result_line(end: End, dir: &RunDir) -> serde_json::Value {
    let state = checkpoint::state(&dir.checkpoint()).ok();
    let best = state.as_ref().and_then(|state| state.best.as_ref());
    let path = |path: PathBuf| path.display().to_string();
    let is_finished = matches!(end, End::Finished);
    json!({
        "event": if is_finished { "end" } else { "stopped" },
        "run": path(dir.path().to_path_buf()),
        "step": state.as_ref().map(|state| state.step),
        "checkpoint": path(dir.checkpoint()),
        "weights": is_finished.then(|| path(dir.weights())),
        "report": is_finished.then(|| path(dir.report())),
        "best": best.map(|best| json!({ "weights": path(dir.best()), "step": best.step, "error": best.error })),
    })
}

/// Names the weights of the best validation, if that is not the last one.
fn best(dir: &RunDir, out: &mut Out) -> Done {
    let Ok(state) = checkpoint::state(&dir.checkpoint()) else { return Ok(()) };
    match state.best.filter(|best| best.step != state.step) {
        Some(best) => {
            let (path, error, step) = (dir.best(), 100.0 * best.error, best.step);
            out.line(format_args!("best     {} (step {step}: validation error {error:.2} %)", path.display()))
        }
        None => Ok(()),
    }
}

/// The full names of the layers of `--except`.
fn excepted(checked: &Checked, labels: &[String]) -> Result<Vec<String>, Failure> {
    let layers = RecipeLabels::new(checked.graph());
    let mut names = Vec::new();
    for label in labels {
        names.extend(layers.of(label).map_err(|unknown| {
            let hint = unknown.near.as_ref().map_or(String::new(), |near| format!("; did you mean `{near}`?"));
            let list = unknown.list().map_or(String::new(), |list| format!("\nnote: {list}"));
            Failure::Input(format!("--except: the network has no layer or stage `{label}`{hint}{list}"))
        })?);
    }
    Ok(names)
}

/// The error, and the checkpoint from which the run can be resumed.
fn failed(error: &TrainError, dir: &RunDir) -> Failure {
    let left = match checkpoint::state(&dir.checkpoint()) {
        Ok(state) if state.step > 0 => {
            format!("\nthe checkpoint of step {} is intact: {}", state.step, dir.checkpoint().display())
        }
        _ => String::new(),
    };
    Failure::Input(format!("{error}{left}"))
}

/// Checks that a run can be written to a folder: it is empty, or contains a run without any steps.
fn check_unused(dir: &RunDir) -> Result<(), Failure> {
    let name = dir.path().display();
    let path = dir.checkpoint();
    let steps = log::read(&dir.log()).is_ok_and(|lines| lines.iter().any(|line| matches!(line, log::Line::Step { .. })));
    if steps || (path.exists() && !checkpoint::state(&path).is_ok_and(|state| state.step == 0)) {
        return Err(Failure::Input(format!(
            "`{name}` already contains a run: continue it with --resume {name}, or give another directory with -o"
        )));
    }
    let is_empty = std::fs::read_dir(dir.path()).map_or(true, |mut entries| entries.next().is_none());
    if is_empty || dir.about().exists() {
        return Ok(());
    }
    Err(Failure::Input(format!("`{name}` contains other files: give a new or empty directory with -o")))
}

/// Locks the folder of a run until the file is dropped, so that two processes cannot write to it.
fn lock(dir: &RunDir) -> Result<File, Failure> {
    let path = dir.lock();
    let failed = |error: std::io::Error| Failure::Input(format!("cannot write `{}`: {error}", path.display()));
    std::fs::create_dir_all(dir.path()).map_err(failed)?;
    let file = File::create(&path).map_err(failed)?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            Err(Failure::Input(format!("`{}` is in use by another resnetc process", dir.path().display())))
        }
        // the file system may not support locks
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

/// The file that the initial parameters come from.
fn weights_file<'a>(recipe: &'a Recipe, given: Option<&'a Weights>) -> Option<&'a Path> {
    match given {
        Some(Weights::File(path)) => Some(path),
        _ => recipe.from.as_ref().map(|from| &*from.path),
    }
}

/// A summary of the run.
fn describe(recipe: &Recipe, parts: &Parts) -> String {
    let changes = recipe.augment.iter().map(crate::ir::Augment::name).collect::<Vec<_>>().join(", ");
    format!(
        "{} training samples, {} validation samples{}; batch {}{}, lr {}, momentum {}, weight decay {}{}{}",
        parts.train.samples(),
        parts.valid.as_ref().map_or(0, |v| v.samples()),
        parts.valid_place.as_ref().map_or(String::new(), |place| format!(" in {place}")),
        recipe.batch,
        if recipe.accumulate > 1 { format!(" x {}", recipe.accumulate) } else { String::new() },
        recipe.optimizer.lr,
        recipe.optimizer.momentum,
        recipe.optimizer.weight_decay,
        if changes.is_empty() { String::new() } else { format!("; {changes}") },
        match (&recipe.freeze[..], recipe.freeze_running_stats) {
            ([], _) => String::new(),
            (frozen, keeps) => {
                let stats = if keeps { ", and running statistics" } else { "" };
                format!("; frozen: {}{stats}", frozen.join(", "))
            }
        }
    )
}
