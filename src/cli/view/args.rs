//! The options of `resnetc view`.

use std::num::NonZeroU16;
use std::path::PathBuf;

use super::super::args::{Renames, Select, parse_threads, parse_weights};
use crate::driver::Weights;

/// Writes an HTML page that shows a network: its graph by stages, with the shape, parameters, multiply-adds and source line of
/// each layer.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:\n  resnetc view models/resnet.resnet --network resnet50 -o resnet50.html\n  \
                  resnetc view net.rnx --profile --threads 2\n  resnetc view net.onnx\n  resnetc view net.resnet --watch\n\n\
The page is self-contained and makes no requests. With --watch it is served on 127.0.0.1 instead, and is updated when the source \
changes; errors in the source are shown on the page.")]
pub(in crate::internal::cli) struct Args {
    /// Source (.resnet), artifact (.rnx) written by `resnetc compile`, run directory written by `resnetc train`, or ONNX file;
    /// FILE:NETWORK selects one of several networks, and - reads a source from standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub select: Select,
    /// Page to write [default: NETWORK.html]
    #[arg(short, long, value_name = "PAGE.html", conflicts_with = "watch")]
    pub output: Option<PathBuf>,
    /// Measure a run, and show the time of each layer
    #[arg(long, conflicts_with = "watch")]
    pub profile: bool,
    /// With --profile: weights, a file or init[:SEED] for random ones [default: as named in the source, or else random]
    #[arg(long, value_name = "PATH|init[:SEED]", value_parser = parse_weights, requires = "profile")]
    pub weights: Option<Weights>,
    #[command(flatten)]
    pub renames: Renames,
    /// With --profile: number of threads [default: all available CPUs]
    #[arg(long, value_name = "N", requires = "profile", value_parser = parse_threads)]
    pub threads: Option<NonZeroU16>,
    /// With --profile: batch size [default: 1]
    #[arg(long, value_name = "N", requires = "profile", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub batch: Option<u32>,
    /// With --profile: number of measured runs [default: as many as fit into 3 seconds, but 8 to 200]
    #[arg(long, value_name = "N", requires = "profile", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub runs: Option<u32>,
    /// Serve the page on 127.0.0.1 and update it when the source changes; Ctrl-C stops the server
    #[arg(long)]
    pub watch: bool,
    /// With --watch: port of the server [default: any free port]
    #[arg(long, value_name = "PORT", requires = "watch")]
    pub port: Option<u16>,
}
