//! `resnetc export`

mod onnx;
mod torch;

use super::failure::Done;
use super::output::Out;

/// Exports a network to other tools.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    format: Format,
}

#[derive(Debug, clap::Subcommand)]
enum Format {
    /// Write an ONNX file
    Onnx(onnx::Args),
    /// Write PyTorch source, and optionally a training script
    Torch(torch::Args),
}

pub(super) fn run(args: &Args, out: &mut Out) -> Done {
    match &args.format {
        Format::Onnx(args) => onnx::run(args, out),
        Format::Torch(args) => torch::run(args, out),
    }
}
