//! `resnetc export onnx`

use std::path::PathBuf;

use super::super::args::{Renames, Select, parse_weights};
use super::super::failure::{Done, Failure};
use super::super::open::{self, Place};
use super::super::output::{Out, writable};
use crate::driver::Weights;
use crate::formats::artifact;
use crate::formats::onnx::{ExportOptions, FIRST_OPSET, LAST_OPSET, Source, write};

/// Writes an ONNX file.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  resnetc export onnx models/fashion.resnet -o fashion.onnx\n  \
                  resnetc export onnx models/resnet.resnet --network resnet50 --weights resnet50.pth --fold -o resnet50.onnx\n  \
                  resnetc export onnx runs/resnet20 -o resnet20.onnx\n  \
                  resnetc export onnx net.rnx --external-data -o net.onnx")]
pub(super) struct Args {
    /// Source (.resnet), artifact (.rnx) written by `resnetc compile`, or run directory written by `resnetc train`; FILE:NETWORK
    /// selects one of several networks, and - reads a source from standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    select: Select,
    /// Weights: a safetensors, PyTorch or NumPy file, or init[:SEED] for random ones [default: as named in the file]
    #[arg(long, value_name = "PATH|init[:SEED]", value_parser = parse_weights)]
    weights: Option<Weights>,
    #[command(flatten)]
    renames: Renames,
    /// File to write
    #[arg(short, long, value_name = "NET.onnx")]
    output: PathBuf,
    /// ONNX opset version
    #[arg(long, value_name = "N", default_value_t = 17, value_parser = clap::value_parser!(i64).range(FIRST_OPSET..=LAST_OPSET))]
    opset: i64,
    /// Fold batch norms into the preceding convolutions, and drop operators that do nothing in inference
    #[arg(long)]
    fold: bool,
    /// Write the weights to a separate file next to it; always done if a single file would exceed 2 GB
    #[arg(long)]
    external_data: bool,
}

pub(super) fn run(args: &Args, out: &mut Out) -> Done {
    let place = Place::of(&args.file, &args.select.renaming(&args.renames), args.weights.as_ref())?;
    let Place { file, select, weights, .. } = &place;
    let (checked, params, source) = if artifact::is_artifact(file) {
        if !select.rename.is_empty() || weights.is_some() || select.network.is_some() || !select.set.is_empty() {
            let usage =
                "an artifact contains its network and weights: --network, --set, --weights and --rename only apply to sources";
            return Err(Failure::Usage(usage.into()));
        }
        let artifact = artifact::read(file).map_err(Failure::input)?;
        writable([&*args.output], std::slice::from_ref(file))?;
        (artifact.checked, artifact.params, Source::of(&artifact.sources))
    } else {
        let mut front = open::source(file)?;
        let checked = place.check(&mut front, out)?;
        writable([&*args.output], &front.files(&checked, weights.as_ref().unwrap_or(&Weights::Named)))?;
        let params = open::bind(&checked, &front, weights.as_ref(), out)?;
        (checked, params, Source::of(&front.sources))
    };
    if !checked.network.precision.is_f32() {
        if artifact::is_artifact(file) {
            let message =
                format!("the weights in `{}` are rounded, with norms folded in: export the network's source", file.display());
            return Err(Failure::Input(message));
        }
        out.note(format_args!("note: the network is exported in f32; its precisions are not"));
    }
    let options = ExportOptions { opset: args.opset, fold: args.fold, external_data: args.external_data };
    let written = write(&args.output, &checked, &params, &source, &options).map_err(Failure::input)?;
    let mb = |bytes: u64| bytes as f64 / 1e6;
    let data = match &written.data {
        Some((path, bytes)) => format!(", and {} with its weights, {:.1} MB", path.display(), mb(*bytes)),
        None => String::new(),
    };
    let (path, name) = (args.output.display(), &checked.network.name);
    out.line(format_args!(
        "wrote {path}: network {name}, {} nodes, opset {}, {:.1} MB{data}",
        written.nodes,
        args.opset,
        mb(written.bytes)
    ))
}
