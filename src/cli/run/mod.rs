//! `resnetc run`

mod classify;
mod raw;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use ndarray::ArrayD;

use super::args::Format;
use super::failure::{Done, Failure};
use super::open::ModelArgs;
use super::output::{Out, writable};
use crate::data::folder::image_files;
use crate::data::{self, Input};
use crate::formats::npy;
use crate::infer::{ImagePipeline, InferError};
use crate::ir::ShapedNetwork;

/// Classifies images, or runs raw tensors.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  resnetc run models/fashion.resnet tests/data/ankle-boot.png\n  \
                  resnetc run models/resnet.resnet --network resnet50 --weights resnet50.pth photo.jpg --top 3\n  \
                  resnetc run net.rnx --input x.npy --output y.npy\n  \
                  resnetc run models/googlenet.resnet --weights googlenet.pth --input x.npy --output y.npy --output aux1=aux1.npy")]
pub(in crate::internal::cli) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Images (JPEG, PNG) or folders of images
    #[arg(value_name = "IMAGE|DIR")]
    images: Vec<PathBuf>,
    /// Number of classes to show
    #[arg(long, value_name = "K", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    top: u16,
    /// Output format; json prints one line per image
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Only preprocess the images, and write the network's input, for --input or for comparison with other programs
    #[arg(long, value_name = "X.npy", conflicts_with_all = ["input", "output"])]
    prepared: Option<PathBuf>,
    /// Raw input: a float32 tensor, with the batch as first dimension
    #[arg(long, value_name = "X.npy", requires = "output", conflicts_with = "images")]
    input: Option<PathBuf>,
    /// File for the main output, or for a named one; may be repeated
    #[arg(long, value_name = "[NAME=]Y.npy", requires = "input")]
    output: Vec<OsString>,
}

pub(in crate::internal::cli) fn run(args: &Args, out: &mut Out) -> Done {
    if args.input.is_none() && !args.output.is_empty() {
        return Err(Failure::Usage(
            "--output needs --input: for images, --prepared X.npy writes what the network reads, for --input X.npy".into(),
        ));
    }
    match &args.input {
        Some(input) => raw::run(args, input, out),
        None if args.images.is_empty() => {
            Err(Failure::Usage("nothing to run: give images or folders, or --input X.npy --output Y.npy".into()))
        }
        None => match &args.prepared {
            Some(path) => prepare(args, path, out),
            None => classify::run(args, out),
        },
    }
}

/// The images that the command names; at least one.
fn named_images(args: &Args) -> Result<Vec<PathBuf>, Failure> {
    let paths = image_files(&args.images).map_err(Failure::input)?;
    if paths.is_empty() {
        return Err(Failure::Input("the given folders hold no images (.jpg, .jpeg, .png)".into()));
    }
    Ok(paths)
}

fn pipeline(checked: &ShapedNetwork) -> Result<ImagePipeline, Failure> {
    ImagePipeline::new(checked).map_err(|error| match error {
        InferError::NotAnImage(_) => Failure::Input(format!("{error}: use --input X.npy")),
        other => Failure::input(other),
    })
}

/// Reads and preprocesses an image.
fn read(pipeline: &ImagePipeline, path: &Path) -> Result<Input, String> {
    let pixels = data::load(path).map_err(|e| e.to_string())?;
    pipeline.prepare(pixels).map_err(|e| format!("`{}`: {e}", path.display()))
}

fn prepare(args: &Args, to: &Path, out: &mut Out) -> Done {
    let paths = named_images(args)?;
    let (checked, files) = args.model.checked(out)?;
    writable([to], &[&files[..], &paths].concat())?;
    let pipeline = pipeline(&checked)?;
    let (mut values, mut first) = (Vec::new(), None);
    for path in &paths {
        let (more, size) = read(&pipeline, path).map_err(Failure::Input)?;
        let [_, height, width] = size;
        let [_, first_height, first_width] = *first.get_or_insert(size);
        if (height, width) != (first_height, first_width) {
            let path = path.display();
            return Err(Failure::Input(format!(
                "`{path}` is {height} x {width} after preprocessing, and those before it {first_height} x {first_width}: an array has one size"
            )));
        }
        values.extend(more);
    }
    let [channels, height, width] = first.unwrap_or([0; 3]);
    let array = ArrayD::from_shape_vec(vec![paths.len(), channels, height, width], values).map_err(Failure::input)?;
    npy::write(to, &array.view()).map_err(Failure::input)
}
