//! `resnetc compare`

use std::path::{Path, PathBuf};

use super::failure::{Done, Failure};
use super::output::{Out, writable};
use crate::train::report::{self, Curves};
use crate::train::{RunDir, log};

/// Plots the curves of several runs on one page.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  resnetc compare runs/plain20 runs/plain56 runs/resnet20 runs/resnet56 -o degradation.html")]
pub(super) struct Args {
    /// Run directories written by `resnetc train`, or their train.jsonl
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    /// File to write: an HTML page, or only the plot as SVG
    #[arg(short, long, value_name = "OUT.html|OUT.svg")]
    output: PathBuf,
}

pub(super) fn run(args: &Args, out: &mut Out) -> Done {
    let mut curves = Vec::new();
    let logs: Vec<PathBuf> =
        args.runs.iter().map(|run| if run.is_dir() { RunDir::new(run).log() } else { run.clone() }).collect();
    writable([&*args.output], &logs)?;
    for (run, path) in args.runs.iter().zip(&logs) {
        let lines = log::read(path).map_err(Failure::input)?;
        curves.push(Curves::of(&name(run), &lines));
    }
    report::write(&args.output, &curves).map_err(Failure::input)?;
    for run in &curves {
        out.line(run.summary())?;
    }
    out.line(format_args!("wrote {}", args.output.display()))
}

/// The name of a run: that of its folder, or that of the log if it is not `train.jsonl`.
fn name(run: &Path) -> String {
    if let Some(stem) = run.file_stem().filter(|&stem| !run.is_dir() && stem != "train") {
        return stem.to_string_lossy().into_owned();
    }
    let folder = if run.is_dir() { run } else { run.parent().unwrap_or(run) };
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    folder.file_name().map_or_else(|| run.display().to_string(), |n| n.to_string_lossy().into_owned())
}
