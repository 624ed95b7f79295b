//! `resnetc compile`

use std::path::PathBuf;

use clap::ValueEnum;

use super::args::{Format, Select};
use super::output::{Done, Failure, Out};
use crate::driver::Frontend;
use crate::ir::dot::dot;
use crate::ir::dump::{DumpOptions, dump};
use crate::{passes, plan, syntax};

/// Compiles a network.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  resnetc compile models/resnet.resnet --network resnet50 --emit graph\n  \
                  resnetc compile net.resnet --emit dot | dot -Tsvg > net.svg")]
pub(super) struct Args {
    /// The source file
    file: PathBuf,
    #[command(flatten)]
    select: Select,
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
        out.line(format_args!("{tree:?}"))?; // replaced by the tree's own dump when the parser lands
        out.diagnostics(&diags, &front.sources, Format::Text)?;
        return if diags.iter().any(|d| d.is_error()) { Err(Failure::Said) } else { Ok(()) };
    }
    let name = front.select(args.select.network.as_deref()).map_err(Failure::input)?;
    let checked = front.check(&name, &args.select.set);
    let diags = std::mem::take(&mut front.diagnostics);
    out.diagnostics(&diags, &front.sources, Format::Text)?;
    let Some(checked) = checked else { return Err(Failure::Said) };
    let options = DumpOptions { fold: args.fold };
    match args.emit {
        Some(Emit::Graph) => out.text(&dump(&checked, options)),
        Some(Emit::Optimized) => out.text(&dump(&passes::inference(checked), options)),
        Some(Emit::Dot) => out.text(&dot(&checked)),
        Some(Emit::Plan) => {
            let threads =
                args.threads.map_or_else(|| crate::runtime::SessionOptions::default().threads, |n| usize::from(n.get()));
            let options = plan::PlanOptions { batch: args.batch as usize, threads };
            let plan = plan::plan(&passes::inference(checked), &options).map_err(Failure::input)?;
            out.text(&plan.to_string())
        }
        Some(Emit::Ast) | None => Ok(()),
    }
}
