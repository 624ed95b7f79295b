//! `resnetc verify`

use std::path::PathBuf;

use super::failure::{Done, Failure};
use super::output::Out;
use crate::formats::artifact;

/// Reads an artifact completely, and verifies every checksum.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  resnetc verify net.rnx")]
pub(super) struct Args {
    /// Artifact to verify
    #[arg(value_name = "NET.rnx")]
    file: PathBuf,
}

pub(super) fn run(args: &Args, out: &mut Out) -> Done {
    let found = artifact::verify(&args.file).map_err(Failure::input)?;
    let size = found.bytes as f64 / 1e6;
    let (file, network, tensors) = (args.file.display(), &found.network, found.tensors);
    let packs = if found.packs > 0 { format!(", {} packed weights", found.packs) } else { String::new() };
    out.line(format_args!("{file}: ok, network {network}, {tensors} tensors{packs}, {size:.1} MB"))
}
