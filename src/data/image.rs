//! Decoding JPEG and PNG, told apart by content, within limits.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek};
use std::path::{Path, PathBuf};

use image::{DynamicImage, ImageReader, Limits};
use thiserror::Error;

use super::Pixels;

/// The longest side of a picture, in pixels.
const MAX_SIDE: u32 = 32_768;
/// The most memory that decoding may take, in bytes.
const MAX_MEMORY: u64 = 512 << 20;

/// Why a picture was not read. Each names the file.
#[derive(Debug, Error)]
pub enum ImageError {
    /// The file system refused.
    #[error("cannot read `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Nothing in it.
    #[error("`{}` is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Neither JPEG nor PNG, by its first bytes.
    #[error("`{}` is neither a JPEG nor a PNG picture", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
    },
    /// A picture beyond the limits.
    #[error("`{}` is too large a picture: at most {MAX_SIDE} pixels a side and {} MiB decoded are read", path.display(), MAX_MEMORY >> 20)]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// A picture that cannot be decoded.
    #[error("`{}` is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The decoder's word.
        reason: String,
    },
}

/// Reads a picture. Transparency is dropped and 16-bit values are cut to 8, as PIL's `convert("RGB")` does.
pub fn load(path: &Path) -> Result<Pixels, ImageError> {
    decode(open(path)?, path)
}

/// Height and width of a picture, by its header.
pub(super) fn size(path: &Path) -> Result<[usize; 2], ImageError> {
    size_of(open(path)?, path)
}

fn open(path: &Path) -> Result<BufReader<File>, ImageError> {
    let io = |source| ImageError::Io { path: path.to_path_buf(), source };
    // asked before opening: opening a named pipe waits for a writer
    let kind = std::fs::metadata(path).map_err(io)?;
    if kind.is_dir() {
        return Err(io(std::io::ErrorKind::IsADirectory.into()));
    }
    if !kind.is_file() {
        return Err(io(std::io::Error::new(std::io::ErrorKind::InvalidInput, "is not a regular file")));
    }
    File::open(path).map(BufReader::new).map_err(io)
}

/// As [`load`], from what messages call `path`.
pub(super) fn decode(from: impl BufRead + Seek, path: &Path) -> Result<Pixels, ImageError> {
    let decoded = reader(from, path)?.decode().map_err(|error| refused(error, path))?;
    let grey = matches!(
        decoded,
        DynamicImage::ImageLuma8(_) | DynamicImage::ImageLumaA8(_) | DynamicImage::ImageLuma16(_) | DynamicImage::ImageLumaA16(_)
    );
    let (width, height) = (decoded.width() as usize, decoded.height() as usize);
    let (channels, data) = if grey { (1, decoded.into_luma8().into_raw()) } else { (3, decoded.into_rgb8().into_raw()) };
    if width == 0 || height == 0 {
        return Err(ImageError::Damaged { path: path.to_path_buf(), reason: "it has no pixels".into() });
    }
    Ok(Pixels { width, height, channels, data })
}

/// As [`size`], from what messages call `path`.
pub(super) fn size_of(from: impl BufRead + Seek, path: &Path) -> Result<[usize; 2], ImageError> {
    let (width, height) = reader(from, path)?.into_dimensions().map_err(|error| refused(error, path))?;
    Ok([height as usize, width as usize])
}

fn refused(error: image::ImageError, path: &Path) -> ImageError {
    let path = path.to_path_buf();
    match error {
        image::ImageError::Limits(_) => ImageError::TooLarge { path },
        other => ImageError::Damaged { path, reason: other.to_string() },
    }
}

/// A decoder for what the first bytes say, within limits.
fn reader<R: BufRead + Seek>(mut from: R, path: &Path) -> Result<ImageReader<R>, ImageError> {
    let io = |source| ImageError::Io { path: path.to_path_buf(), source };
    if from.fill_buf().map_err(io)?.is_empty() {
        return Err(ImageError::Empty { path: path.to_path_buf() });
    }
    let mut reader = ImageReader::new(from).with_guessed_format().map_err(io)?;
    if !matches!(reader.format(), Some(image::ImageFormat::Jpeg | image::ImageFormat::Png)) {
        return Err(ImageError::Unknown { path: path.to_path_buf() });
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_MEMORY);
    reader.limits(limits);
    Ok(reader)
}
