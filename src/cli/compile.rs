//! `resnetc compile`

use std::path::PathBuf;

use clap::ValueEnum;

use super::args::{Format, Planning, PrecisionArgs, Renames, Select, parse_threads, parse_weights};
use super::failure::{Done, Failure};
use super::measure;
use super::open::{self, Place};
use super::output::{Out, writable};
use crate::driver::{Frontend, Weights};
use crate::formats::artifact;
use crate::ir::dot::dot;
use crate::ir::dump::{DumpOptions, dump};
use crate::ir::summary::precisions;
use crate::ir::{Canonical, Checked};
use crate::kernels::Isa;
use crate::plan::{PlanError, PlanOptions, Settings};
use crate::runtime::{Model, PackedWeights, RunError, SessionOptions};
use crate::{passes, plan, syntax};

/// Height and width that weights are packed for if the network leaves them free and has no crop.
const FREE_SIZE: usize = 224;

/// Compiles a network.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  resnetc compile models/resnet.resnet --network resnet50 --emit graph\n  \
                  resnetc compile net.resnet --weights net.pth -o net.rnx\n  \
                  resnetc compile runs/resnet20 -o resnet20.rnx\n  \
                  resnetc compile net.resnet --emit dot | dot -Tsvg > net.svg")]
pub(super) struct Args {
    /// Source (.resnet), or run directory written by `resnetc train`; FILE:NETWORK selects one of several networks, and - reads a
    /// source from standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    select: Select,
    /// Weights: a safetensors, PyTorch or NumPy file, or init[:SEED] for random ones [default: as named in the file]
    #[arg(long, value_name = "PATH|init[:SEED]", value_parser = parse_weights)]
    weights: Option<Weights>,
    #[command(flatten)]
    renames: Renames,
    /// Write an artifact with the network, its weights, labels and preprocessing
    #[arg(short, long, value_name = "OUT.rnx", conflicts_with = "emit")]
    output: Option<PathBuf>,
    /// Print a stage of the compilation to standard output
    #[arg(long, value_enum, value_name = "STAGE")]
    emit: Option<Emit>,
    #[command(flatten)]
    precision: PrecisionArgs,
    #[command(flatten)]
    planning: Planning,
    /// Choose the strategy of each convolution by measurements on this machine, for --batch and --threads
    #[arg(long, requires = "output")]
    tune: bool,
    /// Print repeated blocks once, with their count (graph, optimized)
    #[arg(long)]
    fold: bool,
    /// Leave packed weights out of the artifact: the file is smaller, but weights are packed at each start
    #[arg(long, alias = "no-packs", requires = "output")]
    no_packed_weights: bool,
    /// Batch size of the plan and of the artifact's packed weights
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=65536))]
    batch: u32,
    /// Number of threads of the plan and of the artifact's packed weights [default: all available CPUs]
    #[arg(long, value_name = "N", value_parser = parse_threads)]
    threads: Option<std::num::NonZeroU16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Emit {
    /// The syntax tree
    Ast,
    /// The graph as written
    Graph,
    /// The graph after the optimization passes
    Optimized,
    /// The execution plan: steps, kernels, buffers
    Plan,
    /// The graph in Graphviz's format
    Dot,
}

pub(super) fn run(args: &Args, out: &mut Out) -> Done {
    let place = Place::of(&args.file, &args.select.renaming(&args.renames), args.weights.as_ref())?;
    let mut front = open::source(&place.file)?;
    if args.emit == Some(Emit::Ast) {
        let Some((id, file)) = front.sources.files().next() else { return Ok(()) };
        let (tree, diags) = syntax::parse(id, &file.text);
        out.text(&syntax::dump(&tree, &file.text))?;
        out.diagnostics(&diags, &front.sources, Format::Text)?;
        return if diags.iter().any(|d| d.is_error()) { Err(Failure::Said) } else { Ok(()) };
    }
    let mut checked = place.check(&mut front, out)?;
    args.precision.apply(&mut checked);
    let read = front.files(&checked, place.weights.as_ref().unwrap_or(&Weights::Named));
    writable(args.output.as_deref(), &read)?;
    let options = DumpOptions { fold: args.fold };
    match args.emit {
        Some(Emit::Graph) => out.text(&dump(&checked, options)),
        Some(Emit::Optimized) => out.text(&dump(&passes::fold(checked), options)),
        Some(Emit::Dot) => out.text(&dot(&checked)),
        Some(Emit::Plan) => {
            let isa = Isa::chosen().map_err(Failure::input)?;
            let options = PlanOptions::new(args.batch as usize, threads(args), isa);
            let settings = args.planning.apply(&Settings::default());
            let plan = plan::plan(&passes::inference(Canonical::from(checked)), &options, &settings).map_err(Failure::input)?;
            out.text(&plan.to_string())
        }
        Some(Emit::Ast) | None => artifact(args, &place, &checked, &front, out),
    }
}

/// Writes the artifact. Without `-o`, only checks the network and, if given, the weights.
fn artifact(args: &Args, place: &Place, checked: &Checked, front: &Frontend, out: &mut Out) -> Done {
    let Some(path) = &args.output else {
        if args.weights.is_some() {
            open::bind(checked, front, place.weights.as_ref(), out)?;
            return out.line("the weights fit; write an artifact with -o");
        }
        return out.line(format_args!(
            "{}: ok; nothing was written: write an artifact with -o, or print a stage with --emit",
            checked.network.name
        ));
    };
    let params = open::bind(checked, front, place.weights.as_ref(), out)?;
    let model = Model::new(checked.clone(), params.clone()).map_err(Failure::input)?;
    let mut model = model.with_settings(args.planning.apply(&Settings::default()));
    if args.tune {
        model = tuned(args, model)?;
    }
    let packs = if args.no_packed_weights { None } else { packs(args, &model)? };
    let settings = Some(model.settings()).filter(|&settings| *settings != Settings::default());
    let contents =
        artifact::Contents { packs: packs.as_ref(), settings, ..artifact::Contents::new(checked, &params, &front.sources) };
    let written = artifact::write(path, &contents).map_err(Failure::input)?;
    let mb = |bytes: u64| bytes as f64 / 1e6;
    let packed = match &packs {
        Some(packs) => format!(", packed for {} {:.1} MB", packs.isa(), mb(written.packs)),
        None => String::new(),
    };
    let (name, raw, file) = (&checked.network.name, mb(written.params), mb(written.file));
    let precision = if checked.network.precision.is_f32() { String::new() } else { format!(", layers: {}", precisions(checked)) };
    out.line(format_args!("wrote {}: network {name}, {file:.1} MB: weights {raw:.1} MB{packed}{precision}", path.display()))
}

/// The weights packed for this machine's plan; `None` if the network cannot be planned at the chosen size.
fn packs(args: &Args, model: &Model) -> Result<Option<PackedWeights>, Failure> {
    let checked = model.optimized();
    let isa = Isa::chosen().map_err(Failure::input)?;
    let options = PlanOptions::new(args.batch as usize, threads(args), isa);
    let plan = match model.plan(&options, [None; 2]) {
        Err(RunError::Plan(PlanError::FreeShape { .. })) => {
            // most weight layouts do not depend on the size
            let crop = checked.network.preprocess.as_ref().and_then(|p| p.crop).unwrap_or([FREE_SIZE; 2]);
            match model.plan(&options, crop.map(Some)) {
                Ok(plan) => plan,
                Err(_) => return Ok(None),
            }
        }
        plan => plan.map_err(Failure::input)?,
    };
    model.pack(&plan).map(Some).map_err(Failure::input)
}

/// The model with the fastest strategy of each convolution, as measured on this machine.
fn tuned(args: &Args, model: Model) -> Result<Model, Failure> {
    let options = SessionOptions { threads: threads(args), ..SessionOptions::default() };
    let settings = measure::tuned(&model, args.batch, options)?;
    Ok(model.with_settings(settings))
}

fn threads(args: &Args) -> usize {
    args.threads.map_or_else(|| SessionOptions::default().threads, |n| usize::from(n.get()))
}
