//! `resnetc view`: a network as a page to look at.

mod load;
mod watch;

use std::num::NonZeroU16;
use std::path::PathBuf;

use super::args::{Planning, Select, parse_threads, parse_weights, split};
use super::measure::MeasureArgs;
use super::open::ModelArgs;
use super::output::{Done, Failure, Out, save, writable};
use super::profile;
use crate::driver::Weights;
use crate::view::{Content, Live, ViewModel, page};

/// Writes one page of HTML that shows a network: its graph by stages, with the shape, the parameters, the multiply-adds and the
/// source line of each layer.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:\n  resnetc view models/resnet.resnet --network resnet50 -o resnet50.html\n  \
                  resnetc view net.rnx --profile --threads 2\n  resnetc view net.onnx\n  resnetc view net.resnet --watch\n\n\
The page needs no network and fetches nothing. With --watch it is served on 127.0.0.1 instead, and follows the source as it changes;\n\
what is wrong with the source is shown in the page.")]
pub(super) struct Args {
    /// A source (.resnet), an artifact (.rnx) that `resnetc compile` wrote, or an ONNX file
    #[arg(value_name = "FILE|OUT.rnx|NET.onnx")]
    file: PathBuf,
    #[command(flatten)]
    select: Select,
    /// Where to write the page [default: the network's name and `.html`, in the working directory]
    #[arg(short, long, value_name = "PAGE.html", conflicts_with = "watch")]
    output: Option<PathBuf>,
    /// Measure a run, and show where its time goes
    #[arg(long, conflicts_with = "watch")]
    profile: bool,
    /// With --profile: weights, a file or init[:SEED] [default: those that the source names, else random ones]
    #[arg(long, value_name = "PATH|init[:SEED]", value_parser = parse_weights, requires = "profile")]
    weights: Option<Weights>,
    /// With --profile: threads [default: as many as the process may use]
    #[arg(long, value_name = "N", requires = "profile", value_parser = parse_threads)]
    threads: Option<NonZeroU16>,
    /// With --profile: images in a run [default: 1]
    #[arg(long, value_name = "N", requires = "profile", value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch: Option<u32>,
    /// With --profile: runs that are measured [default: as many as fit 3 seconds, at least 8 and at most 200]
    #[arg(long, value_name = "N", requires = "profile", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    runs: Option<u32>,
    /// Serve the page on 127.0.0.1, and show the source as it is now whenever it changes; Ctrl-C ends it
    #[arg(long)]
    watch: bool,
    /// With --watch: the port [default: a free one]
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
            "--profile measures sources and artifacts: `resnetc import` makes a source of an ONNX file".into(),
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
    Ok(model.with_profile(report.made(), report.median_ms(), report.steps()))
}
