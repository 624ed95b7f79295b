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
pub(super) fn decode(mut from: impl BufRead + Seek, path: &Path) -> Result<Pixels, ImageError> {
    let whole = is_whole(&mut from).map_err(|source| ImageError::Io { path: path.to_path_buf(), source })?;
    let decoded = reader(from, path)?.decode().map_err(|error| refused(error, path))?;
    if !whole {
        return Err(ImageError::Damaged { path: path.to_path_buf(), reason: "it is cut off".into() });
    }
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

/// Whether a JPEG has its end. The decoder makes do with what there is of one that is cut off, and paints the rest grey; PIL and torchvision
/// refuse it, and so does this. True for what is no JPEG: the other decoder sees for itself.
fn is_whole(from: &mut (impl BufRead + Seek)) -> std::io::Result<bool> {
    const BEGIN: [u8; 2] = [0xff, 0xd8];
    const SCAN: u8 = 0xda;
    const END: u8 = 0xd9;
    let mut two = [0; 2];
    let is_jpeg = read(from, &mut two)? && two == BEGIN;
    // segments by their lengths as far as the first scan: what lies in them is no marker
    let mut found = !is_jpeg;
    while is_jpeg && read(from, &mut two)? && two[0] == 0xff {
        match two[1] {
            END => found = true,
            // fill bytes, and markers without a segment
            0xff => {
                from.seek_relative(-1)?;
                continue;
            }
            0x01 | 0xd0..=0xd8 => continue,
            kind => {
                let mut length = [0; 2];
                if !read(from, &mut length)? {
                    break;
                }
                if kind != SCAN {
                    from.seek_relative(i64::from(u16::from_be_bytes(length)) - 2)?;
                    continue;
                }
                found = has_end(from)?;
            }
        }
        break;
    }
    from.rewind()?;
    Ok(found)
}

/// Fills a buffer; false where less is left.
fn read(from: &mut impl BufRead, to: &mut [u8]) -> std::io::Result<bool> {
    match from.read_exact(to) {
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        done => done.map(|()| true),
    }
}

/// Whether an end marker follows: within a scan's data a byte of all ones is never followed by one of a marker's.
fn has_end(from: &mut impl BufRead) -> std::io::Result<bool> {
    let mut before = 0;
    loop {
        let bytes = from.fill_buf()?;
        if bytes.is_empty() {
            return Ok(false);
        }
        let first = [before, bytes[0]];
        if first == [0xff, 0xd9] || bytes.windows(2).any(|pair| pair == [0xff, 0xd9]) {
            return Ok(true);
        }
        before = bytes[bytes.len() - 1];
        let len = bytes.len();
        from.consume(len);
    }
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

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// PIL's "image file is truncated".
    #[test]
    fn a_jpeg_that_is_cut_off_is_refused() {
        let pixels: Vec<u8> = (0..48 * 40 * 3u32).map(|i| (i * i / 7 % 251) as u8).collect();
        let mut bytes = Vec::new();
        image::codecs::jpeg::JpegEncoder::new(&mut bytes).encode(&pixels, 48, 40, image::ExtendedColorType::Rgb8).unwrap();
        let read = |bytes: &[u8]| decode(Cursor::new(bytes), Path::new("a.jpg"));
        assert_eq!(read(&bytes).unwrap().data.len(), 48 * 40 * 3);
        for len in 1..bytes.len() {
            assert!(read(&bytes[..len]).is_err(), "{len} of {}", bytes.len());
        }
        // what some cameras put behind the picture, and fill bytes before a marker
        bytes.extend([0; 100]);
        assert!(read(&bytes).is_ok());
        bytes.splice(2..2, [0xff, 0xff]);
        assert!(read(&bytes).is_ok());
    }
}
