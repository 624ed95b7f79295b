//! Decodes images, within limits. The format is detected from the contents.

use std::cell::Cell;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek};
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Once;

use image::{DynamicImage, ImageFormat, ImageReader, Limits};
use thiserror::Error;

use super::{Pixels, jpeg};

/// The formats that are read. Of an animation, that is its first frame.
const FORMATS: [ImageFormat; 6] =
    [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif, ImageFormat::Bmp, ImageFormat::Tiff];

/// The largest width or height of an image, in pixels.
const MAX_SIDE: u32 = 32_768;
/// The memory limit for decoding, in bytes.
const MAX_MEMORY: u64 = 512 << 20;

/// Why an image cannot be read. Every message names the file.
#[derive(Debug, Error)]
pub enum ImageError {
    /// The file system reports an error.
    #[error("cannot read `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file is empty.
    #[error("`{}` is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The contents are of none of the formats.
    #[error("`{}` is no JPEG, PNG, WebP, GIF, BMP or TIFF image", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
    },
    /// The image exceeds the limits.
    #[error("`{}` is too large: the limits are {MAX_SIDE} pixels per side and {} MiB decoded", path.display(), MAX_MEMORY >> 20)]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The image is damaged.
    #[error("`{}` is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The decoder's message.
        reason: String,
    },
    /// The image uses an unsupported variant of its format, or crashes its decoder.
    #[error("`{}` cannot be decoded: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        reason: String,
    },
}

/// Reads an image. Transparency is dropped, and 16-bit values are reduced to their upper 8 bits, as in PIL's `convert("RGB")`; unlike PIL, which
/// clips 16-bit gray values at 255, this includes gray images.
pub fn load(path: &Path) -> Result<Pixels, ImageError> {
    decode(open(path)?, path)
}

/// Height and width of an image, from its header.
pub(super) fn size(path: &Path) -> Result<[usize; 2], ImageError> {
    size_of(open(path)?, path)
}

fn open(path: &Path) -> Result<BufReader<File>, ImageError> {
    let io = |source| ImageError::Io { path: path.to_path_buf(), source };
    // checked before opening, because opening a named pipe waits for a writer
    let kind = std::fs::metadata(path).map_err(io)?;
    if kind.is_dir() {
        return Err(io(std::io::ErrorKind::IsADirectory.into()));
    }
    if !kind.is_file() {
        return Err(io(std::io::Error::new(std::io::ErrorKind::InvalidInput, "is not a regular file")));
    }
    File::open(path).map(BufReader::new).map_err(io)
}

/// Like [`load`], for an open file or an archive member. Messages name it `path`.
pub fn decode(from: impl BufRead + Seek, path: &Path) -> Result<Pixels, ImageError> {
    guarded(path, || decode_unguarded(from, path))
}

fn decode_unguarded(mut from: impl BufRead + Seek, path: &Path) -> Result<Pixels, ImageError> {
    let io = |source| ImageError::Io { path: path.to_path_buf(), source };
    let found = jpeg::survey(&mut from).map_err(io)?;
    from.rewind().map_err(io)?;
    let Some(found) = found else { return decode_with_image(from, path) };
    let pixels = match found.backend() {
        jpeg::Backend::Image => decode_with_image(from, path)?,
        jpeg::Backend::JpegDecoder(colors) => {
            let sides = found.size().unwrap_or_default();
            if sides.iter().any(|&side| side > MAX_SIDE as usize) || found.memory() as u64 > MAX_MEMORY {
                return Err(ImageError::TooLarge { path: path.to_path_buf() });
            }
            let mut bytes = Vec::new();
            from.read_to_end(&mut bytes).map_err(io)?;
            jpeg::decode(&bytes, colors, MAX_MEMORY as usize)
                .map_err(|reason| ImageError::Damaged { path: path.to_path_buf(), reason })?
        }
        jpeg::Backend::Unsupported(reason) => return Err(ImageError::Unreadable { path: path.to_path_buf(), reason }),
    };
    if !found.is_complete {
        return Err(ImageError::Damaged { path: path.to_path_buf(), reason: "it is truncated".into() });
    }
    Ok(pixels)
}

/// Decodes with the crate `image`.
fn decode_with_image(from: impl BufRead + Seek, path: &Path) -> Result<Pixels, ImageError> {
    let decoded = reader(from, path)?.decode().map_err(|error| convert_error(error, path))?;
    let (width, height) = (decoded.width() as usize, decoded.height() as usize);
    // the crate rounds to 8 bits, but PIL, libpng and OpenCV truncate
    let truncate = |values: Vec<u16>, channels: usize, used: usize| -> Vec<u8> {
        values.chunks_exact(channels).flat_map(|pixel| &pixel[..used]).map(|&v| (v >> 8) as u8).collect()
    };
    let (channels, data) = match decoded {
        DynamicImage::ImageLuma16(image) => (1, truncate(image.into_raw(), 1, 1)),
        DynamicImage::ImageLumaA16(image) => (1, truncate(image.into_raw(), 2, 1)),
        DynamicImage::ImageRgb16(image) => (3, truncate(image.into_raw(), 3, 3)),
        DynamicImage::ImageRgba16(image) => (3, truncate(image.into_raw(), 4, 3)),
        DynamicImage::ImageLuma8(_) | DynamicImage::ImageLumaA8(_) => (1, decoded.into_luma8().into_raw()),
        other => (3, other.into_rgb8().into_raw()),
    };
    if width == 0 || height == 0 {
        return Err(ImageError::Damaged { path: path.to_path_buf(), reason: "it has no pixels".into() });
    }
    Ok(Pixels { width, height, channels, data })
}

thread_local! {
    /// Whether this thread is currently decoding.
    static IS_DECODING: Cell<bool> = const { Cell::new(false) };
}

/// Turns a panic of a decoder into an error, without the message of the panic hook. Decoders are large, and a damaged or hostile file must not
/// end a run.
fn guarded<T>(path: &Path, decode: impl FnOnce() -> Result<T, ImageError>) -> Result<T, ImageError> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IS_DECODING.try_with(Cell::get).unwrap_or(false) {
                previous(info);
            }
        }));
    });
    let before = IS_DECODING.replace(true);
    let result = catch_unwind(AssertUnwindSafe(decode));
    IS_DECODING.set(before);
    result.unwrap_or_else(|_| {
        Err(ImageError::Unreadable {
            path: path.to_path_buf(),
            reason: "the decoder crashes, so the file is damaged or an unusual variant".into(),
        })
    })
}

/// Like [`size`], for an open file or an archive member. Messages name it `path`.
pub(super) fn size_of(from: impl BufRead + Seek, path: &Path) -> Result<[usize; 2], ImageError> {
    guarded(path, || {
        let (width, height) = reader(from, path)?.into_dimensions().map_err(|error| convert_error(error, path))?;
        Ok([height as usize, width as usize])
    })
}

fn convert_error(error: image::ImageError, path: &Path) -> ImageError {
    let path = path.to_path_buf();
    match error {
        image::ImageError::Limits(_) => ImageError::TooLarge { path },
        other => ImageError::Damaged { path, reason: other.to_string() },
    }
}

/// A decoder for the detected format, with limits.
fn reader<R: BufRead + Seek>(mut from: R, path: &Path) -> Result<ImageReader<R>, ImageError> {
    let io = |source| ImageError::Io { path: path.to_path_buf(), source };
    if from.fill_buf().map_err(io)?.is_empty() {
        return Err(ImageError::Empty { path: path.to_path_buf() });
    }
    let mut reader = ImageReader::new(from).with_guessed_format().map_err(io)?;
    if !reader.format().is_some_and(|format| FORMATS.contains(&format)) {
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

    /// PIL reports "image file is truncated".
    #[test]
    fn a_truncated_jpeg_is_an_error() {
        let pixels: Vec<u8> = (0..48 * 40 * 3u32).map(|i| (i * i / 7 % 251) as u8).collect();
        let mut bytes = Vec::new();
        image::codecs::jpeg::JpegEncoder::new(&mut bytes).encode(&pixels, 48, 40, image::ExtendedColorType::Rgb8).unwrap();
        let read = |bytes: &[u8]| decode(Cursor::new(bytes), Path::new("a.jpg"));
        assert_eq!(read(&bytes).unwrap().data.len(), 48 * 40 * 3);
        for len in 1..bytes.len() {
            assert!(read(&bytes[..len]).is_err(), "{len} of {}", bytes.len());
        }
        // some cameras append data after the image, and markers may be preceded by fill bytes
        bytes.extend([0; 100]);
        assert!(read(&bytes).is_ok());
        bytes.splice(2..2, [0xff, 0xff]);
        assert!(read(&bytes).is_ok());
    }

    #[test]
    fn every_format_is_read() {
        let color = |x: u32, y: u32| image::Rgb([40 * (x % 4) as u8, 60 * (y % 3) as u8, 200]);
        let original = DynamicImage::ImageRgb8(image::RgbImage::from_fn(12, 9, color));
        let expected = original.to_rgb8().into_raw();
        for format in FORMATS {
            let mut bytes = Cursor::new(Vec::new());
            original.write_to(&mut bytes, format).unwrap();
            let path = Path::new("image");
            let pixels = decode(Cursor::new(bytes.get_ref()), path).unwrap();
            assert_eq!((pixels.width, pixels.height, pixels.channels), (12, 9, 3), "{format:?}");
            assert_eq!(size_of(Cursor::new(bytes.get_ref()), path).unwrap(), [9, 12]);
            let is_exact = format != ImageFormat::Jpeg;
            assert!(!is_exact || pixels.data == expected, "{format:?}");
            // cut off in the middle it is an error or, where a decoder fills up, at least of its size
            let cut = decode(Cursor::new(&bytes.get_ref()[..bytes.get_ref().len() / 2]), path);
            assert!(cut.as_ref().map_or(true, |pixels| pixels.data.len() == expected.len()), "{format:?}");
        }
    }

    /// A panic becomes an error that names the file, without output on standard error. In other threads and afterwards, panics are reported as
    /// before.
    #[test]
    fn a_decoder_that_panics_is_an_error() {
        let failed = guarded(Path::new("a.jpg"), || -> Result<(), ImageError> { panic!("as a decoder might") });
        let message = failed.unwrap_err().to_string();
        assert!(message.starts_with("`a.jpg` cannot be decoded: the decoder crashes"), "{message}");
        assert!(!IS_DECODING.get());
        assert!(guarded(Path::new("a.jpg"), || Ok(IS_DECODING.get())).unwrap());
    }
}
