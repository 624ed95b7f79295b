//! The command line, with one file per subcommand. Only this folder prints, reads arguments or exits.
//!
//! Output goes through `output::Out`, or `write!` with its error handled: `println!` panics when the pipe is closed.

mod about;
mod args;
mod bench;
mod calibrate;
mod check;
mod classes;
mod compare;
mod compile;
mod completions;
mod convert;
mod dataset_stats;
mod eval;
mod explain;
mod export;
mod failure;
mod import;
mod language;
mod man;
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
mod training_step;
mod verify;
mod view;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::base::render;
use crate::elaborate::foreign;
use failure::Failure;
use output::Out;

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
    /// Check the syntax, names, shapes, design rules and expectations of networks
    Check(check::Args),
    /// Show the layers of a network, or compare the totals of several
    Summary(summary::Args),
    /// Compile a network to an artifact, or print a stage of the compilation
    Compile(compile::Args),
    /// Verify the checksums of an artifact
    Verify(verify::Args),
    /// Classify images, or run a network on raw tensors
    Run(run::Args),
    /// Evaluate accuracy on labeled images, with multiple crops, scales or an ensemble
    Eval(eval::Args),
    /// Compute the mean and standard deviation of a dataset, for `preprocess`
    DatasetStats(dataset_stats::Args),
    /// Train a network with the recipe in its file
    Train(train::Args),
    /// Plot the training curves of several runs on one page
    Compare(compare::Args),
    /// Recompute batch norm statistics as exact averages over training data
    CalibrateBn(calibrate::Args),
    /// Measure latency and throughput
    Bench(bench::Args),
    /// Measure the time of each step, relative to the machine's peak
    Profile(profile::Args),
    /// Write an HTML page with the graph, the cost of each layer and the source
    View(view::Args),
    /// Convert weights of any supported format to safetensors
    Convert(convert::Args),
    /// Export a network to ONNX or PyTorch
    Export(export::Args),
    /// Import an ONNX file, or a network of Caffe or Darknet, as readable source and a weight file
    Import(import::Args),
    /// Create a commented starter file
    New(new::Args),
    /// Explain an error code, an operator, or another word of the language
    Explain(explain::Args),
    /// Print a script that completes commands and options in a shell
    Completions(completions::Args),
    /// Write a manual page for each command
    Man(man::Args),
}

/// Parses arguments, starting with the command's name, without reading or running anything. For tests of the commands in the
/// documentation.
///
/// # Errors
/// clap's message.
#[doc(hidden)]
pub fn parses<'a>(args: impl IntoIterator<Item = &'a str>) -> Result<(), String> {
    Cli::try_parse_from(args).map(drop).map_err(|error| error.to_string())
}

/// The former name of an option or command in a parse error, and its current name.
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

/// The process's arguments. `-:NETWORK`, a network of standard input, would be read as an option: it gets another name.
fn arguments() -> Vec<OsString> {
    let named = |text: &str| text.strip_prefix("-:").map(|network| OsString::from(format!("{}:{network}", open::STDIN[1])));
    std::env::args_os().map(|arg| arg.to_str().and_then(named).unwrap_or(arg)).collect()
}

/// Whether the arguments, which may not be valid, ask for messages in JSON.
fn asks_for_json(args: &[OsString]) -> bool {
    let pair = args.windows(2).any(|pair| pair[0] == "--format" && pair[1] == "json");
    pair || args.iter().any(|arg| arg == "--format=json")
}

/// A usage error as a line of JSON. Its message is what the text begins with; the rest are tips and the usage.
fn usage_line(text: &str) -> String {
    let text = text.trim_end();
    let whole = text.strip_prefix("error: ").unwrap_or(text);
    let message: Vec<&str> = whole.split("\n\n").next().unwrap_or(whole).lines().map(str::trim).collect();
    render::json_message("error", &message.join(" "), text)
}

/// Runs the command given by the process's arguments, and returns its exit code: 0 success, 1 invalid input, 2 usage error,
/// 130 stopped by Ctrl-C.
pub fn main() -> ExitCode {
    let given = arguments();
    let json = asks_for_json(&given);
    let matches = match Cli::command().try_get_matches_from(given) {
        Ok(matches) => matches,
        Err(error) => {
            let code = if error.use_stderr() { 2 } else { 0 };
            if let Some((word, own)) = former_word(&error) {
                let text = format!("error: `{word}` is written `{own}` here\n\n  tip: write `{own}`");
                let _ = match json {
                    true => writeln!(std::io::stderr(), "{}", usage_line(&text)),
                    false => writeln!(std::io::stderr(), "{text}"),
                };
                return ExitCode::from(code);
            }
            // standard error is closed: nothing can be reported
            let _ = match json && code == 2 {
                true => writeln!(std::io::stderr(), "{}", usage_line(&error.to_string())),
                false => error.print(),
            };
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
    let format = matches.subcommand().and_then(|(_, given)| given.try_get_one::<args::Format>("format").ok().flatten());
    let mut out = Out::new(&cli.global, format.copied().unwrap_or_default());
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
        Command::Completions(args) => completions::run(args, Cli::command(), &mut out),
        Command::Man(args) => man::run(args, Cli::command(), &mut out),
    };
    match result.and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // the reader closed the pipe (`| head`): not an error
            if let Failure::Pipe = failure {
                return ExitCode::SUCCESS;
            }
            let _ = out.flush();
            out.failure(failure)
        }
    }
}
