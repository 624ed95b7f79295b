//! The images that the command reads.

use std::path::{Path, PathBuf};

use super::super::failure::Failure;
use super::args::Args;
use crate::data::folder::image_files;
use crate::data::{self, Input};
use crate::infer::{ImagePipeline, InferError};
use crate::ir::ShapedNetwork;

/// The images that the command names; at least one.
pub(super) fn named_images(args: &Args) -> Result<Vec<PathBuf>, Failure> {
    let paths = image_files(&args.images).map_err(Failure::input)?;
    if paths.is_empty() {
        return Err(Failure::Input("the given folders hold no images (.jpg, .jpeg, .png)".into()));
    }
    Ok(paths)
}

pub(super) fn pipeline(checked: &ShapedNetwork) -> Result<ImagePipeline, Failure> {
    ImagePipeline::new(checked).map_err(|error| match error {
        InferError::NotAnImage(_) => Failure::Input(format!("{error}: use --input X.npy")),
        other => Failure::input(other),
    })
}

/// Reads and preprocesses an image.
pub(super) fn read(pipeline: &ImagePipeline, path: &Path) -> Result<Input, String> {
    let pixels = data::load(path).map_err(|e| e.to_string())?;
    pipeline.prepare(pixels).map_err(|e| format!("`{}`: {e}", path.display()))
}
