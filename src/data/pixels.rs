//! A decoded image.

use crate::ir::Channels;

/// An image with 8 bits per channel, rows from top to bottom, channels interleaved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pixels {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// 1 (gray) or 3 (red, green, blue).
    pub channels: usize,
    /// `height * width * channels` bytes.
    pub data: Vec<u8>,
}

/// The luminance of a color, as PIL's `convert("L")` computes it.
pub(super) fn luminance(&[red, green, blue]: &[u8; 3]) -> u8 {
    let sum = u32::from(red) * 19595 + u32::from(green) * 38470 + u32::from(blue) * 7471 + 0x8000;
    (sum >> 16) as u8
}

impl Pixels {
    /// Converts to the channels that a network reads. Gray is copied to all three channels; color becomes luminance as in PIL's `convert("L")`.
    pub fn convert(self, to: Channels) -> Pixels {
        let (data, channels) = match (to, self.channels) {
            (Channels::Gray, 1) => (self.data, 1),
            (Channels::Gray, _) => (self.data.as_chunks().0.iter().map(luminance).collect(), 1),
            (Channels::Rgb | Channels::Bgr, 1) => (self.data.iter().flat_map(|&g| [g; 3]).collect(), 3),
            (Channels::Rgb, _) => (self.data, 3),
            (Channels::Bgr, _) => (self.data.chunks_exact(3).flat_map(|p| [p[2], p[1], p[0]]).collect(), 3),
        };
        Pixels { data, channels, ..self }
    }

    /// The rectangle whose top left pixel is (`top`, `left`). Pixels outside the image are black, as in torchvision.
    pub fn crop(&self, top: i64, left: i64, height: usize, width: usize) -> Pixels {
        let mut data = vec![0; height * width * self.channels];
        for y in 0..height {
            let Some(from_y) = usize::try_from(top + y as i64).ok().filter(|&y| y < self.height) else { continue };
            // the columns that are inside the image
            let first = left.max(0);
            let last = (left + width as i64).min(self.width as i64);
            if first >= last {
                continue;
            }
            let count = (last - first) as usize * self.channels;
            let from = (from_y * self.width + first as usize) * self.channels;
            let to = (y * width + (first - left) as usize) * self.channels;
            data[to..to + count].copy_from_slice(&self.data[from..from + count]);
        }
        Pixels { width, height, channels: self.channels, data }
    }

    /// Flips horizontally.
    pub fn flip(&mut self) {
        let (row, channels) = ((self.width * self.channels).max(1), self.channels);
        for row in self.data.chunks_exact_mut(row) {
            match channels {
                3 => row.as_chunks_mut::<3>().0.reverse(),
                _ => row.reverse(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crop_is_black_outside_the_image() {
        let image = Pixels { width: 2, height: 2, channels: 1, data: vec![1, 2, 3, 4] };
        assert_eq!(image.crop(-1, -1, 3, 3).data, [0, 0, 0, 0, 1, 2, 0, 3, 4]);
        assert_eq!(image.crop(0, 1, 2, 2).data, [2, 0, 4, 0]);
        assert_eq!(image.crop(5, 5, 1, 1).data, [0]);
    }

    #[test]
    fn a_flip_reverses_each_row() {
        let mut image = Pixels { width: 2, height: 2, channels: 3, data: (0..12).collect() };
        image.flip();
        assert_eq!(image.data, [3, 4, 5, 0, 1, 2, 9, 10, 11, 6, 7, 8]);
        let mut gray = Pixels { width: 3, height: 2, channels: 1, data: (0..6).collect() };
        gray.flip();
        assert_eq!(gray.data, [2, 1, 0, 5, 4, 3]);
    }

    #[test]
    fn channels_are_converted() {
        let red = Pixels { width: 1, height: 1, channels: 3, data: vec![255, 0, 10] };
        assert_eq!(red.clone().convert(Channels::Bgr).data, [10, 0, 255]);
        // PIL: Image.new("RGB", (1, 1), (255, 0, 10)).convert("L").getpixel((0, 0))
        assert_eq!(red.convert(Channels::Gray).data, [77]);
        let gray = Pixels { width: 1, height: 1, channels: 1, data: vec![9] };
        assert_eq!(gray.convert(Channels::Rgb).data, [9, 9, 9]);
    }
}
