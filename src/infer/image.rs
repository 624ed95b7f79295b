//! An image to classify.

#[cfg(feature = "image")]
use std::io::Cursor;
#[cfg(feature = "image")]
use std::path::Path;

use thiserror::Error;

use crate::data::Pixels;
#[cfg(feature = "image")]
use crate::data::{self, ImageError};

/// An image: from a file, from the bytes of one, or from pixels.
///
/// See the public [`Image`](crate::Image).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    pub(super) pixels: Pixels,
}

/// Bytes that are not an image of the given size.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{len} bytes are not an image of {width} x {height} pixels with {channels} bytes each")]
#[non_exhaustive]
pub struct PixelsError {
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
    /// Bytes of a pixel.
    pub channels: usize,
    /// The number of bytes given.
    pub len: usize,
}

impl Image {
    /// Reads an image file.
    #[cfg(feature = "image")]
    pub fn open(path: impl AsRef<Path>) -> Result<Image, ImageError> {
        Ok(Image { pixels: data::load(path.as_ref())? })
    }

    /// Decodes the bytes of an image file.
    #[cfg(feature = "image")]
    pub fn decode(bytes: &[u8]) -> Result<Image, ImageError> {
        Ok(Image { pixels: data::decode(Cursor::new(bytes), Path::new("<memory>"))? })
    }

    /// An image of red, green and blue bytes: 3 for each pixel, rows from the top.
    pub fn from_rgb(width: usize, height: usize, data: Vec<u8>) -> Result<Image, PixelsError> {
        Image::from_pixels(width, height, 3, data)
    }

    /// A gray image: a byte for each pixel, rows from the top.
    pub fn from_gray(width: usize, height: usize, data: Vec<u8>) -> Result<Image, PixelsError> {
        Image::from_pixels(width, height, 1, data)
    }

    fn from_pixels(width: usize, height: usize, channels: usize, data: Vec<u8>) -> Result<Image, PixelsError> {
        let expected = width.checked_mul(height).and_then(|pixels| pixels.checked_mul(channels));
        if data.is_empty() || expected != Some(data.len()) {
            return Err(PixelsError { width, height, channels, len: data.len() });
        }
        Ok(Image { pixels: Pixels { width, height, channels, data } })
    }

    /// In pixels.
    pub fn width(&self) -> usize {
        self.pixels.width
    }

    /// In pixels.
    pub fn height(&self) -> usize {
        self.pixels.height
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_must_have_the_size_given() {
        assert!(Image::from_gray(2, 3, vec![0; 6]).is_ok());
        for (width, height, len) in [(2, 3, 6), (0, 0, 0), (usize::MAX, 2, 6), (2, 1, 7)] {
            let refused = Image::from_rgb(width, height, vec![0; len]).unwrap_err();
            assert_eq!((refused.width, refused.height, refused.len), (width, height, len));
        }
    }
}
