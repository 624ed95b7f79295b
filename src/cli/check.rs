//! `resnetc check`

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::args::{Format, Renames, Select};
use super::failure::{Done, Failure};
use super::open::Place;
use super::output::{Out, json_line};
use crate::base::diagnostic::Diagnostic;
use crate::check::sizes;
use crate::driver::{CompileError, Frontend, Weights};
use crate::ir::Checked;
use crate::ir::summary::{Totals, thousands};

/// Checks the networks of each file with their parameters' defaults, or only the one given.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  resnetc check models/*.resnet\n  resnetc check net.resnet --network net --set classes=10\n  \
                  resnetc check models/resnet.resnet:resnet50 --weights resnet50.pth\n  \
                  resnetc check net.resnet --format json"
)]
pub(super) struct Args {
    /// Files to check, or run directories; - reads standard input
    #[arg(required = true, value_name = "FILE[:NETWORK]")]
    files: Vec<PathBuf>,
    /// Also check that these weights fit: a safetensors, PyTorch or NumPy file
    #[arg(long, value_name = "PATH")]
    weights: Option<PathBuf>,
    #[command(flatten)]
    renames: Renames,
    #[command(flatten)]
    select: Select,
    /// Output format; json prints one line per diagnostic, in rustc's format, and one per network that is right
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// A network that is right.
#[derive(Serialize)]
struct Json<'a> {
    #[serde(rename = "$message_type")]
    kind: &'static str,
    file: String,
    network: &'a str,
    #[serde(flatten)]
    totals: Totals,
    /// The input sizes for which it is right; `None` if its input has one size.
    sizes: Option<String>,
    weights: Option<String>,
}

pub(super) fn run(args: &Args, out: &mut Out) -> Done {
    let (mut failed, mut networks, mut defined) = (0, 0, 0);
    if args.weights.is_none() && !args.renames.rename.is_empty() {
        return Err(Failure::Usage("--rename is about tensors of a weight file: give it with --weights".into()));
    }
    for path in &args.files {
        let Place { file, select, .. } = Place::of(path, &args.select, None)?;
        let mut front = match super::open::source(&file) {
            Ok(front) => front,
            Err(Failure::Input(error)) => {
                failed += 1;
                say(&format!("error: {error}"), args.format, out)?;
                continue;
            }
            Err(other) => return Err(other),
        };
        front.renames.clone_from(&args.renames.rename);
        defined += front.networks().len();
        let names: Vec<String> = match &select.network {
            Some(name) => vec![front.select(Some(name)).map_err(Failure::input)?],
            // all networks of a file seldom have the same weights
            None if args.weights.is_some() => vec![front.select(None).map_err(Failure::input)?],
            // a network without defaults is checked too if --set gives all of its parameters
            None => {
                let given = |p: &String| select.set.iter().any(|(name, _)| name == p);
                front.networks().into_iter().filter(|n| n.open.iter().all(given)).map(|n| n.name).collect()
            }
        };
        let (mut lines, mut of_weights, mut notes) = (Vec::new(), Vec::new(), Vec::new());
        for name in &names {
            networks += 1;
            let Some(checked) = front.check(name, &select.set) else { continue };
            let totals = Totals::of(&checked);
            let sizes = sizes(&checked);
            let macs = totals.macs.map_or(String::new(), |n| format!(", {} multiply-adds", thousands(n)));
            let sizes = (!sizes.axes.is_empty()).then(|| sizes.to_string());
            let mut fits = true;
            if let Some(path) = &args.weights {
                match read_weights(&front, &checked, path)? {
                    Ok(found) => notes.extend(found),
                    Err(unfit) => {
                        fits = false;
                        of_weights.extend(unfit);
                    }
                }
            }
            match args.format {
                Format::Text => {
                    let (layers, params) = (totals.layers, thousands(totals.params));
                    let size = sizes.map_or(String::new(), |sizes| format!(", {sizes}"));
                    lines.push(format!("  {name}: {layers} layers, {params} parameters{macs}{size}"));
                }
                Format::Json if fits => {
                    let weights = args.weights.as_ref().map(|path| path.display().to_string());
                    let file = path.display().to_string();
                    let json = Json { kind: "network", file, network: name, totals, sizes, weights };
                    lines.push(serde_json::to_string(&json).map_err(Failure::input)?);
                }
                Format::Json => {}
            }
        }
        front.diagnostics.extend(of_weights);
        failed += usize::from(front.has_errors());
        let diags = std::mem::take(&mut front.diagnostics);
        out.diagnostics(&diags, &front.sources, args.format)?;
        for note in notes {
            say(&format!("note: {note}"), args.format, out)?;
        }
        if args.format == Format::Text {
            let word = if diags.iter().any(|d| d.is_error()) { "failed" } else { "ok" };
            out.line(format_args!("{}: {word}", path.display()))?;
        }
        for line in lines {
            out.line(line)?;
        }
    }
    if failed > 0 {
        if args.format == Format::Text && args.files.len() > 1 {
            return Err(Failure::Input(format!("{failed} of {} files failed", args.files.len())));
        }
        return Err(Failure::Said);
    }
    match (networks, defined) {
        (0, 0) => say("note: no network was checked: the files define none", args.format, out),
        (0, _) => {
            say("note: no network was checked: all have parameters without defaults (set them with --set)", args.format, out)
        }
        _ => Ok(()),
    }
}

/// Says something on standard error or, in JSON, as a line of the result.
fn say(text: &str, format: Format, out: &mut Out) -> Done {
    match format {
        Format::Text => {
            out.flush()?;
            out.note(text);
            Ok(())
        }
        Format::Json => out.line(json_line(text)),
    }
}

/// The notes on how weights were read, as `run` says them, or why they do not fit a network.
fn read_weights(front: &Frontend, checked: &Checked, weights: &Path) -> Result<Result<Vec<String>, Vec<Diagnostic>>, Failure> {
    match front.params_noting(checked, &Weights::File(weights.to_path_buf())) {
        Ok(bound) => Ok(Ok(bound.notes)),
        Err(CompileError::Source { diagnostics, .. }) => Ok(Err(diagnostics)),
        Err(other) => Err(Failure::input(other)),
    }
}
