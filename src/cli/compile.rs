//! `resnetc compile`

use std::path::PathBuf;

use clap::ValueEnum;

use super::args::{Format, Select, parse_weights};
use super::open;
use super::output::{Done, Failure, Out};
use crate::driver::{Frontend, Weights};
use crate::formats::artifact;
use crate::ir::Checked;
use crate::ir::dot::dot;
use crate::ir::dump::{DumpOptions, dump};
use crate::kernels::Isa;
use crate::{passes, plan, syntax};

/// Compiles a network.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  resnetc compile models/resnet.resnet --network resnet50 --emit graph\n  \
                  resnetc compile net.resnet --weights net.pth -o net.rnx\n  \
                  resnetc compile net.resnet --emit dot | dot -Tsvg > net.svg")]
pub(super) struct Args {
    /// The source file
    file: PathBuf,
    #[command(flatten)]
    select: Select,
    /// Weights: a safetensors or PyTorch file, or init[:SEED] [default: those that the file names]
    #[arg(long, value_name = "PATH|init[:SEED]", value_parser = parse_weights)]
    weights: Option<Weights>,
    /// Write an artifact: network, weights, labels, preprocessing
    #[arg(short, long, value_name = "OUT.rnx", conflicts_with = "emit")]
    output: Option<PathBuf>,
    /// Print a stage of the compilation on standard output
    #[arg(long, value_enum, value_name = "STAGE")]
    emit: Option<Emit>,
    /// Show repeated blocks once, with their count (graph, optimized)
    #[arg(long)]
    fold: bool,
    /// The batch that `--emit plan` plans for
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=65536))]
    batch: u32,
    /// Threads that `--emit plan` plans for [default: as many as the process may use]
    #[arg(long)]
    threads: Option<std::num::NonZeroU16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Emit {
    /// The syntax tree
    Ast,
    /// The graph as it was written
    Graph,
    /// The graph after the passes
    Optimized,
    /// The steps, their kernels and buffers
    Plan,
    /// Graphviz
    Dot,
}

pub(super) fn run(args: &Args, out: &mut Out) -> Done {
    let mut front = Frontend::open(&args.file).map_err(Failure::input)?;
    if args.emit == Some(Emit::Ast) {
        let Some((id, file)) = front.sources.files().next() else { return Ok(()) };
        let (tree, diags) = syntax::parse(id, &file.text);
        out.text(&syntax::dump(&tree, &file.text))?;
        out.diagnostics(&diags, &front.sources, Format::Text)?;
        return if diags.iter().any(|d| d.is_error()) { Err(Failure::Said) } else { Ok(()) };
    }
    let checked = open::check(&mut front, &args.select, out)?;
    let options = DumpOptions { fold: args.fold };
    match args.emit {
        Some(Emit::Graph) => out.text(&dump(&checked, options)),
        Some(Emit::Optimized) => out.text(&dump(&passes::inference(checked), options)),
        Some(Emit::Dot) => out.text(&dot(&checked)),
        Some(Emit::Plan) => {
            let threads =
                args.threads.map_or_else(|| crate::runtime::SessionOptions::default().threads, |n| usize::from(n.get()));
            let isa = Isa::chosen().map_err(Failure::input)?;
            let options = plan::PlanOptions::new(args.batch as usize, threads, isa);
            let plan = plan::plan(&passes::inference(checked), &options).map_err(Failure::input)?;
            out.text(&plan.to_string())
        }
        Some(Emit::Ast) | None => artifact(args, &checked, &front, out),
    }
}

/// Writes the artifact; without a weight file, the network alone is checked.
fn artifact(args: &Args, checked: &Checked, front: &Frontend, out: &mut Out) -> Done {
    let Some(path) = &args.output else {
        if args.weights.is_some() {
            open::bind(checked, front, args.weights.as_ref(), out)?;
            return out.line("the weights fit; name an artifact with -o to write it");
        }
        return out.line(format_args!(
            "{}: ok; nothing was written: name an artifact with -o, or --emit a stage",
            checked.network.name
        ));
    };
    let params = open::bind(checked, front, args.weights.as_ref(), out)?;
    artifact::write(path, checked, &params, &front.sources).map_err(Failure::input)?;
    let bytes = std::fs::metadata(path).map(|m| m.len()).unwrap_or(0);
    out.line(format_args!("wrote {}: network {}, {:.1} MB", path.display(), checked.network.name, bytes as f64 / 1e6))
}
