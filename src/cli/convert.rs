//! `resnetc convert`

use std::path::PathBuf;

use clap::ValueEnum;

use super::args::Renames;
use super::failure::{Done, Failure};
use super::output::{Out, writable};
use crate::base::tensor::{DType, Tensor};
use crate::formats::{safetensors, weights};

/// Converts weights of any supported format to safetensors, with the same names or, with --rename, others.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  resnetc convert resnet20.th -o resnet20.safetensors\n  resnetc convert resnet50.pth -o half.safetensors --dtype f16\n  \
                  resnetc convert backbone.pth -o net.safetensors --rename 0=conv1 --rename 1=bn1"
)]
pub(super) struct Args {
    /// Weights: safetensors (one file or the index of several), PyTorch (.pth, .th) or NumPy (.npz)
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// File to write
    #[arg(short, long, value_name = "OUT.safetensors")]
    output: PathBuf,
    #[command(flatten)]
    renames: Renames,
    /// Type for floating-point tensors [default: unchanged]
    #[arg(long, value_name = "TYPE")]
    dtype: Option<Float>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Float {
    F32,
    F16,
    Bf16,
}

pub(super) fn run(args: &Args, out: &mut Out) -> Done {
    writable([&*args.output], &[weights::file(&args.input)])?;
    let tensors = weights::open(&args.input).and_then(|tensors| tensors.renamed(&args.renames.rename)).map_err(Failure::input)?;
    for note in tensors.notes() {
        out.note(format_args!("note: {note}"));
    }
    let mut list: Vec<(&str, Tensor)> = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors.iter() {
        list.push((name, args.dtype.map_or_else(|| tensor.clone(), |float| converted(tensor, float))));
    }
    if let (true, Some((name, unread))) = (list.is_empty(), tensors.unread().next()) {
        return Err(Failure::Input(format!("there is no tensor to write: `{}` holds {}", name.escape_debug(), unread.contents)));
    }
    safetensors::write(&args.output, list.iter().map(|(name, tensor)| (*name, tensor))).map_err(Failure::input)?;
    for (name, unread) in tensors.unread() {
        out.note(format_args!("note: skipped `{}`, which holds {}", name.escape_debug(), unread.contents));
    }
    let values: usize = list.iter().map(|(_, tensor)| tensor.len()).sum();
    out.line(format_args!("wrote {}: {} tensors, {values} values", args.output.display(), list.len()))
}

/// Converts floating-point tensors, rounding to nearest; others are unchanged.
fn converted(tensor: &Tensor, float: Float) -> Tensor {
    if !tensor.dtype().is_float() {
        return tensor.clone();
    }
    let (values, shape) = (tensor.to_f32(), tensor.shape().to_vec());
    let converted = match float {
        Float::F32 => Tensor::from_f32(shape, values.into_owned()),
        Float::F16 => {
            let bytes: Vec<u8> = values.iter().flat_map(|&v| half::f16::from_f32(v).to_le_bytes()).collect();
            Tensor::from_bytes(shape, DType::F16, bytes.into())
        }
        Float::Bf16 => {
            let bytes: Vec<u8> = values.iter().flat_map(|&v| half::bf16::from_f32(v).to_le_bytes()).collect();
            Tensor::from_bytes(shape, DType::BF16, bytes.into())
        }
    };
    // always `Some`: shape and length come from a valid tensor
    converted.unwrap_or_else(|| tensor.clone())
}
