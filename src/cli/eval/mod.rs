//! `resnetc eval`

mod args;
mod confusion;
mod networks;
mod report;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::args::data_files;
use super::classes::note_classes;
use super::failure::{Done, Failure, STOPPED};
use super::output::{Out, writable};
use super::progress::progress;
use crate::data::{DatasetOptions, Part, Split, check_exists, open_part};
use crate::eval::{Evaluator, Progress};
use crate::formats::npy;
use crate::ir::Checked;
pub(super) use args::Args;
use args::failure;
use networks::Networks;

/// Set by Ctrl-C.
static STOP: AtomicBool = AtomicBool::new(false);

pub(super) fn run(args: &Args, out: &mut Out) -> Done {
    let options = args.options()?;
    let data_spec = data_of(args)?;
    check_exists(&data_spec).map_err(Failure::input)?;
    let written: Vec<&Path> = [&args.scores, &args.resume].into_iter().flatten().map(PathBuf::as_path).collect();
    let mut before = |_: &Checked, files: &[PathBuf], _: &mut Out| {
        writable(written.iter().copied(), &[files, &data_files(&data_spec)].concat())
    };
    let Networks { ensemble, args: opened, .. } = Networks::open(args, &options, &mut before, out)?;
    // each sample is read once
    let names = ensemble.class_names();
    let from = DatasetOptions { class_names: names, strict: false, classes: Some(ensemble.classes()), cache_bytes: 0 };
    let Part { dataset: data, place } = open_part(&data_spec, Split::Test, &from).map_err(Failure::input)?;
    note_classes(&*data, names, ensemble.classes(), out);
    let mut evaluator = Evaluator::new(ensemble, data, options).map_err(failure)?;
    if let Some(path) = &args.resume {
        resume(&mut evaluator, path, args, out)?;
    }
    let ended = evaluate(&mut evaluator);
    for (network, from) in evaluator.ensemble().members().iter().zip(&opened) {
        from.note_packs(network.session(), out);
    }
    note_broken(&evaluator, &data_spec, out);
    let is_stopped = ended?;
    if let Some(path) = &args.scores {
        npy::write(path, &evaluator.scores().view()).map_err(Failure::input)?;
    }
    report::report(args, &evaluator, &place, out)?;
    if is_stopped { Err(Failure::Stopped) } else { evaluator.check_finite().map_err(failure) }
}

/// The dataset: the one given, or that of the run, preferably its validation data.
fn data_of(args: &Args) -> Result<String, Failure> {
    let of_run = || args.model.resolved().map(|model| model.run.map(|run| run.valid.unwrap_or(run.data)));
    match &args.data {
        Some(data) => Ok(data.clone()),
        None => of_run()?.ok_or_else(|| Failure::Usage("--data is required, unless FILE is a run directory".into())),
    }
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

fn note_broken(evaluator: &Evaluator, data: &str, out: &Out) {
    for why in evaluator.broken_reasons() {
        out.note(format_args!("warning: {why}"));
    }
    let more = evaluator.broken().saturating_sub(evaluator.broken_reasons().len());
    if more > 0 {
        out.note(format_args!("warning: and {more} more broken files in `{data}`"));
    }
}
