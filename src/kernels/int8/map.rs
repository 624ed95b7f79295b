//! Feature maps of bytes: their layout, and what a byte means.

/// Channels of a block, and bytes of its pixels: a cache line.
pub const SLOT: usize = 64;

/// The sizes of a value of bytes. It is stored as `[block of 64 channels][sample][row][column][channel within the block]`; the last
/// block may have channels of any contents that no kernel looks at. A feature vector is a 1x1 map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Map {
    /// Samples.
    pub batch: usize,
    /// Channels.
    pub channels: usize,
    /// Height and width.
    pub size: [usize; 2],
}

impl Map {
    /// From samples, channels, height and width.
    pub fn new([batch, channels, height, width]: [usize; 4]) -> Map {
        Map { batch, channels, size: [height, width] }
    }

    /// Pixels of a sample.
    pub fn pixels(&self) -> usize {
        self.size[0] * self.size[1]
    }

    /// Blocks of channels.
    pub fn blocks(&self) -> usize {
        self.channels.div_ceil(SLOT)
    }

    /// Bytes from a block to the next one: all pixels of all samples.
    pub fn block_len(&self) -> usize {
        self.batch * self.pixels() * SLOT
    }

    /// Bytes; `None` if that overflows.
    #[allow(clippy::len_without_is_empty, reason = "a length that is asked for to allocate memory")]
    pub fn len(&self) -> Option<usize> {
        self.places()?.checked_mul(self.channels.checked_next_multiple_of(SLOT)?)
    }

    /// Bytes as an image of few channels, `[sample][row][column][channel]`, which a first layer reads. `None` if that overflows.
    pub fn image_len(&self) -> Option<usize> {
        self.places()?.checked_mul(self.channels)
    }

    fn places(&self) -> Option<usize> {
        self.batch.checked_mul(self.size[0])?.checked_mul(self.size[1])
    }
}

/// What a byte `q` stands for: `(q - zero) * scale`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quant {
    /// The distance of neighboring values: positive and finite.
    pub scale: f32,
    /// The byte that stands for 0.
    pub zero: u8,
}

impl Quant {
    /// The factor by which values are multiplied to be stored.
    pub fn inverse(self) -> f32 {
        1.0 / self.scale
    }

    /// The byte for a value: the nearest one, ties to even, limited; 255 for NaN.
    pub fn byte(self, value: f32) -> u8 {
        let scaled = value * self.inverse();
        let scaled = if scaled < MOST { scaled } else { MOST };
        // a float that is converted to an integer is limited to its range
        (scaled.round_ties_even() as i32).saturating_add(self.zero.into()).clamp(0, 255) as u8
    }

    /// The value of a byte.
    pub fn value(self, byte: u8) -> f32 {
        (f32::from(byte) - f32::from(self.zero)) * self.scale
    }
}

/// What scaled values are limited to before they become integers: above 255 with any zero point, and within 16 bits.
pub(super) const MOST: f32 = 512.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_nearest_values_within_limits() {
        let q = Quant { scale: 0.5, zero: 10 };
        let cases = [(0.0, 10), (0.25, 10), (0.26, 11), (0.75, 12), (-0.25, 10), (-5.0, 0), (-1e30, 0), (1e30, 255)];
        for (value, byte) in cases {
            assert_eq!(q.byte(value), byte, "{value}");
        }
        assert_eq!([f32::NAN, f32::INFINITY, f32::NEG_INFINITY].map(|v| q.byte(v)), [255, 255, 0]);
        assert!((0..=255).all(|byte| q.byte(q.value(byte)) == byte));
    }

    #[test]
    fn sizes_that_overflow_have_no_length() {
        assert_eq!(Map::new([2, 65, 3, 5]).len(), Some(2 * 2 * 15 * 64));
        assert_eq!(Map::new([2, 3, 3, 5]).image_len(), Some(2 * 15 * 3));
        for sizes in [[usize::MAX, 2, 1, 1], [1, usize::MAX, 1, 1], [1, 64, usize::MAX / 2, 3], [usize::MAX / 4, 1, 1, 2]] {
            assert_eq!(Map::new(sizes).len(), None);
        }
        assert_eq!(Map::new([1, 3, usize::MAX / 2, 1]).image_len(), None);
    }
}
