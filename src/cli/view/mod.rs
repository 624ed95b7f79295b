//! `resnetc view`: an HTML page that shows a network.

mod load;
mod watch;

use std::num::NonZeroU16;
use std::path::PathBuf;

use super::args::{Planning, Select, parse_threads, parse_weights, split};
use super::failure::{Done, Failure};
use super::measure::MeasureArgs;
use super::open::ModelArgs;
use super::output::{Out, save, writable};
use super::profile;
use crate::driver::Weights;
use crate::view::{Content, Live, ViewModel, page};

/// Writes an HTML page that shows a network: its graph by stages, with the shape, parameters, multiply-adds and source line of
/// each layer.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:\n  resnetc view models/resnet.resnet --network resnet50 -o resnet50.html\n  \
                  resnetc view net.rnx --profile --threads 2\n  resnetc view net.onnx\n  resnetc view net.resnet --watch\n\n\
The page is self-contained and makes no requests. With --watch it is served on 127.0.0.1 instead, and is updated when the source \
changes; errors in the source are shown on the page.")]
pub(super) struct Args {
    /// Source (.resnet), artifact (.rnx) written by `resnetc compile`, or ONNX file; FILE:NETWORK selects one of several networks
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    select: Select,
    /// Page to write [default: NETWORK.html]
    #[arg(short, long, value_name = "PAGE.html", conflicts_with = "watch")]
    output: Option<PathBuf>,
    /// Measure a run, and show the time of each layer
    #[arg(long, conflicts_with = "watch")]
    profile: bool,
    /// With --profile: weights, a file or init[:SEED] for random ones [default: as named in the source, or else random]
    #[arg(long, value_name = "PATH|init[:SEED]", value_parser = parse_weights, requires = "profile")]
    weights: Option<Weights>,
    /// With --profile: number of threads [default: all available CPUs]
    #[arg(long, value_name = "N", requires = "profile", value_parser = parse_threads)]
    threads: Option<NonZeroU16>,
    /// With --profile: batch size [default: 1]
    #[arg(long, value_name = "N", requires = "profile", value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch: Option<u32>,
    /// With --profile: number of measured runs [default: as many as fit into 3 seconds, but 8 to 200]
    #[arg(long, value_name = "N", requires = "profile", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    runs: Option<u32>,
    /// Serve the page on 127.0.0.1 and update it when the source changes; Ctrl-C stops the server
    #[arg(long)]
    watch: bool,
    /// With --watch: port of the server [default: any free port]
    #[arg(long, value_name = "PORT", requires = "watch")]
    port: Option<u16>,
}

pub(super) fn run(args: &Args, out: &mut Out) -> Done {
    let (file, select) = split(&args.file, &args.select)?;
    let args = &Args { file, select, ..args.clone() };
    if args.watch {
        return watch::run(args, out);
    }
    if args.profile && load::kind(&args.file, &args.select)? == load::Kind::Onnx {
        return Err(Failure::Usage(
            "--profile needs a source or an artifact: convert the ONNX file to a source with `resnetc import`".into(),
        ));
    }
    let (mut model, mut read) = load::model(&args.file, &args.select, out)?;
    let path = args.output.clone().unwrap_or_else(|| PathBuf::from(format!("{}.html", model.name)));
    if let Some(Weights::File(weights)) = &args.weights {
        read.push(weights.clone());
    }
    writable([&*path], &read)?;
    if args.profile {
        model = with_profile(model, args, out)?;
    }
    let (name, operators) = (model.name.clone(), model.nodes.len());
    let html = page(&Content::Network(Box::new(model)), Live::No).map_err(Failure::input)?;
    save(&path, html.as_bytes())?;
    out.line(format_args!("wrote {}: network {name}, {operators} operators, {} kB", path.display(), html.len().div_ceil(1000)))
}

/// Measures a run as `resnetc profile` does.
fn with_profile(model: ViewModel, args: &Args, out: &mut Out) -> Result<ViewModel, Failure> {
    let from = ModelArgs {
        file: args.file.clone(),
        select: args.select.clone(),
        weights: args.weights.clone(),
        threads: args.threads,
        planning: Planning::default(),
    };
    let how = MeasureArgs { model: from, batch: args.batch.unwrap_or(1), runs: args.runs, tune: false };
    let report = profile::measure(&how, out)?;
    Ok(model.with_profile(report.conditions(), report.median_ms(), report.steps()))
}
