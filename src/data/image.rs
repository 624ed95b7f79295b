//! Decoding JPEG and PNG, told apart by content, within limits.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek};
use std::path::{Path, PathBuf};

use image::{DynamicImage, ImageReader, Limits};
use thiserror::Error;

use super::Pixels;

/// The longest side of an image, in pixels.
const MAX_SIDE: u32 = 32_768;
/// The most memory that decoding may take, in bytes.
const MAX_MEMORY: u64 = 512 << 20;

/// Why an image was not read. Each names the file.
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
    #[error("`{}` is neither a JPEG nor a PNG image", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
    },
    /// An image beyond the limits.
    #[error("`{}` is too large an image: at most {MAX_SIDE} pixels a side and {} MiB decoded are read", path.display(), MAX_MEMORY >> 20)]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// An image that cannot be decoded.
    #[error("`{}` is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The decoder's word.
        reason: String,
    },
}

/// Reads an image. Transparency is dropped and 16-bit values are cut to 8, as PIL's `convert("RGB")` does.
pub fn load(path: &Path) -> Result<Pixels, ImageError> {
    decode(open(path)?, path)
}

/// Height and width of an image, by its header.
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
    let gray = matches!(
        decoded,
        DynamicImage::ImageLuma8(_) | DynamicImage::ImageLumaA8(_) | DynamicImage::ImageLuma16(_) | DynamicImage::ImageLumaA16(_)
    );
    let (width, height) = (decoded.width() as usize, decoded.height() as usize);
    let (channels, data) = if gray { (1, decoded.into_luma8().into_raw()) } else { (3, decoded.into_rgb8().into_raw()) };
    if width == 0 || height == 0 {
        return Err(ImageError::Damaged { path: path.to_path_buf(), reason: "it has no pixels".into() });
    }
    Ok(Pixels { width, height, channels, data })
}

/// Whether a JPEG has its end. The decoder makes do with what there is of one that is cut off, and paints the rest gray; PIL and torchvision
/// refuse it, and so does this. True for what is no JPEG: the other decoder sees for itself.
fn is_whole(from: &mut (impl BufRead + Seek)) -> std::io::Result<bool> {
    let mut begin = [0; 2];
    let is_jpeg = read(from, &mut begin)? && begin == [0xff, 0xd8];
    let whole = !is_jpeg || has_end(from)?;
    from.rewind()?;
    Ok(whole)
}

/// Whether an end marker follows. Segments are passed by their lengths: what lies in them is no marker. Between them, and in the data of a scan,
/// a marker is what a byte of all ones begins, as libjpeg has it: stray bytes are passed over.
fn has_end(from: &mut (impl BufRead + Seek)) -> std::io::Result<bool> {
    while let Some(kind) = next_marker(from)? {
        match kind {
            0xd9 => return Ok(true),
            // a byte of data, and markers without a segment
            0x00 | 0x01 | 0xd0..=0xd8 => {}
            _ => {
                let mut length = [0; 2];
                if !read(from, &mut length)? {
                    break;
                }
                from.seek_relative((i64::from(u16::from_be_bytes(length)) - 2).max(0))?;
            }
        }
    }
    Ok(false)
}

/// The byte behind the next ones of all ones; `None` at the end.
fn next_marker(from: &mut impl BufRead) -> std::io::Result<Option<u8>> {
    let mut found = false;
    loop {
        let bytes = from.fill_buf()?;
        let Some(&first) = bytes.first() else { return Ok(None) };
        if found && first != 0xff {
            from.consume(1);
            return Ok(Some(first));
        }
        let passed = bytes.iter().position(|&byte| byte == 0xff);
        let len = passed.map_or(bytes.len(), |at| at + 1);
        found = passed.is_some();
        from.consume(len);
    }
}

/// Fills a buffer; false where less is left.
fn read(from: &mut impl BufRead, to: &mut [u8]) -> std::io::Result<bool> {
    match from.read_exact(to) {
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        done => done.map(|()| true),
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
        // what some cameras put behind the image, and fill bytes before a marker
        bytes.extend([0; 100]);
        assert!(read(&bytes).is_ok());
        bytes.splice(2..2, [0xff, 0xff]);
        assert!(read(&bytes).is_ok());
    }

    #[test]
    fn an_end_lies_behind_all_segments_and_stray_bytes() {
        let is_whole = |parts: &[&[u8]]| is_whole(&mut Cursor::new(parts.concat())).unwrap();
        let (begin, app, end) = ([0xff, 0xd8], [0xff, 0xe0, 0, 4, 1, 2], [0xff, 0xd9]);
        let scan = [0xff, 0xda, 0, 3, 9, 7, 0xff, 0, 0xff, 0xd0, 5];
        // what looks like an end within a segment, before a scan or between two
        let comment = [0xff, 0xfe, 0, 6, 0xff, 0xd9, 0xff, 0xd9];
        assert!(is_whole(&[&begin, &app, &comment, &scan, &comment, &scan, &end]));
        assert!(!is_whole(&[&begin, &app, &comment, &scan, &comment, &scan]));
        assert!(!is_whole(&[&begin, &app, &scan, &comment[..7]]));
        // libjpeg passes over them
        assert!(is_whole(&[&begin, &app, &[1, 2, 3], &scan, &end]));
        assert!(is_whole(&[b"no JPEG"]));
    }
}
