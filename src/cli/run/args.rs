//! The options of `resnetc run`.

use std::ffi::OsString;
use std::path::PathBuf;

use super::super::args::Format;
use super::super::open::ModelArgs;

/// Classifies images, or runs raw tensors.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  resnetc run models/fashion.resnet tests/data/ankle-boot.png\n  \
                  resnetc run models/resnet.resnet --network resnet50 --weights resnet50.pth photo.jpg --top 3\n  \
                  resnetc run net.rnx --input x.npy\n  resnetc run net.rnx --input x.npy --output y.npy\n  \
                  resnetc run models/googlenet.resnet --weights googlenet.pth --input x.npy --output y.npy --output aux1=aux1.npy")]
pub(in crate::internal::cli) struct Args {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Images (JPEG, PNG, WebP, GIF, BMP, TIFF) or folders of images
    #[arg(value_name = "IMAGE|DIR")]
    pub images: Vec<PathBuf>,
    /// Number of classes to show
    #[arg(long, value_name = "K", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    pub top: u16,
    /// Output format; json prints one line per image, or per output of --input
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Only preprocess the images, and write the network's input, for --input or for comparison with other programs
    #[arg(long, value_name = "X.npy", conflicts_with_all = ["input", "output"])]
    pub prepared: Option<PathBuf>,
    /// Raw input: a float32 tensor, with the batch as first dimension; repeated with names for a network with several inputs
    #[arg(long, value_name = "[NAME=]X.npy", conflicts_with = "images")]
    pub input: Vec<OsString>,
    /// File for the main output, or for a named one; may be repeated [default: a summary of the outputs is printed]
    #[arg(long, value_name = "[NAME=]Y.npy", requires = "input")]
    pub output: Vec<OsString>,
}
