//! The images that the command reads.

use std::path::{Path, PathBuf};

use super::super::failure::Failure;
use super::super::output::Out;
use super::args::Args;
use crate::data::folder::{ENDINGS, Found, found};
use crate::data::{self, Input};
use crate::infer::{ImagePipeline, InferError};
use crate::ir::ShapedNetwork;

/// The images that the command names; at least one.
pub(super) fn named_images(args: &Args, out: &Out) -> Result<Vec<PathBuf>, Failure> {
    let Found { images, others } = found(&args.images).map_err(Failure::input)?;
    if others > 0 {
        let files = if others == 1 { "1 file".to_owned() } else { format!("{others} files") };
        out.note(format_args!(
            "note: skipped {files} in the given folders, which are no images by their endings ({})",
            endings()
        ));
    }
    if images.is_empty() {
        return Err(Failure::Input(format!("the given folders hold no images ({})", endings())));
    }
    Ok(images)
}

/// What images end in.
fn endings() -> String {
    ENDINGS.map(|ending| format!(".{ending}")).join(", ")
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
