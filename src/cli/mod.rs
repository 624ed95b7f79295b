//! The command line: one file a subcommand. Only this folder prints, reads arguments or exits.
//!
//! What it prints goes through [`output::Out`], or `write!` whose error is looked at: `println!` and its like panic where a pipe is closed.

mod args;
mod bench;
mod calibrate;
mod check;
mod classes;
mod compare;
mod compile;
mod convert;
mod dataset_stats;
mod eval;
mod explain;
mod export;
mod import;
mod measure;
mod new;
mod open;
mod output;
mod profile;
mod progress;
mod run;
mod summary;
mod table;
mod train;
mod verify;
mod view;

use std::io::Write as _;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::elaborate::foreign;
use output::{Failure, Out};

/// A declarative model-definition compiler for residual networks.
#[derive(Debug, Parser)]
#[command(name = "resnetc", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: args::Global,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check networks: syntax, names, dimensions, design rules, expectations
    Check(check::Args),
    /// Show a row a layer; of several networks, the totals side by side
    Summary(summary::Args),
    /// Compile a network, to an artifact or to a text on standard output
    Compile(compile::Args),
    /// Compare an artifact's checksums
    Verify(verify::Args),
    /// Classify images, or run raw tensors
    Run(run::Args),
    /// Measure accuracy over labeled images: crops, scales, ensembles
    Eval(eval::Args),
    DatasetStats(dataset_stats::Args),
    /// Train a network by the recipe in its file
    Train(train::Args),
    /// Draw the curves of several runs into one page
    Compare(compare::Args),
    /// Replace running statistics by true averages over training data
    CalibrateBn(calibrate::Args),
    /// Measure latency
    Bench(bench::Args),
    /// Measure each step against the machine's peak
    Profile(profile::Args),
    /// Show a network as a page: its graph, what its layers cost, the source beside it
    View(view::Args),
    /// Write weights of any known format as safetensors
    Convert(convert::Args),
    /// Write a network for other tools: ONNX, PyTorch
    Export(export::Args),
    Import(import::Args),
    /// Write a commented starter file
    New(new::Args),
    /// Explain an error code
    Explain(explain::Args),
}

/// Whether the command line takes these arguments, the command's name first: nothing is read or run. For the test of the
/// documentation's commands.
///
/// # Errors
/// What it says of them.
#[doc(hidden)]
pub fn parses<'a>(args: impl IntoIterator<Item = &'a str>) -> Result<(), String> {
    Cli::try_parse_from(args).map(drop).map_err(|error| error.to_string())
}

/// A former word of the command line in an error of it, and today's.
fn former_word(error: &clap::Error) -> Option<(String, &'static str)> {
    [ContextKind::InvalidSubcommand, ContextKind::InvalidArg].into_iter().find_map(|kind| match error.get(kind) {
        Some(ContextValue::String(word)) => {
            let word = word.split([' ', '=']).next().unwrap_or(word).to_owned();
            match foreign::find("command line", &word)? {
                foreign::Answer::Ours(own) => Some((word, own)),
                foreign::Answer::Nothing(_) => None,
            }
        }
        _ => None,
    })
}

/// Runs the command named by the process's arguments, and returns its exit code: 0 fine, 1 the input is wrong, 2 usage,
/// 130 stopped by Ctrl-C.
pub fn main() -> ExitCode {
    let matches = match Cli::command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            let code = if error.use_stderr() { 2 } else { 0 };
            if let Some((word, own)) = former_word(&error) {
                let _ = writeln!(std::io::stderr(), "error: `{word}` is written `{own}` here\n\n  tip: write `{own}`");
                return ExitCode::from(code);
            }
            // nothing is left to say where even this cannot be written
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(2);
        }
    };
    let mut out = Out::new(&cli.global);
    let result = match &cli.command {
        Command::Check(args) => check::run(args, &mut out),
        Command::Summary(args) => summary::run(args, &mut out),
        Command::Compile(args) => compile::run(args, &mut out),
        Command::Verify(args) => verify::run(args, &mut out),
        Command::Run(args) => run::run(args, &mut out),
        Command::Eval(args) => eval::run(args, &mut out),
        Command::DatasetStats(args) => dataset_stats::run(args, &mut out),
        Command::Train(args) => train::run(args, &mut out),
        Command::Compare(args) => compare::run(args, &mut out),
        Command::CalibrateBn(args) => calibrate::run(args, &mut out),
        Command::Bench(args) => bench::run(args, &mut out),
        Command::Profile(args) => profile::run(args, &mut out),
        Command::View(args) => view::run(args, &mut out),
        Command::Convert(args) => convert::run(args, &mut out),
        Command::Export(args) => export::run(args, &mut out),
        Command::Import(args) => import::run(args, &mut out),
        Command::New(args) => new::run(args, &mut out),
        Command::Explain(args) => explain::run(args, &mut out),
    };
    match result.and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // a reader that went away (`| head`) has what it wanted
            if let Failure::Pipe = failure {
                return ExitCode::SUCCESS;
            }
            let _ = out.flush();
            failure.report(&out)
        }
    }
}
