//! How training kernels iterate over values of either layout: NCHW is a blocked layout with one channel per block.

use std::ops::Range;

use crate::kernels::Layout;
use crate::kernels::aligned::LINE;
use crate::kernels::threads::share;

/// Floats that a loop processes at a time: few enough to stay in the L1 cache, and to be summed in single precision (in several
/// partial sums) with negligible error.
const CHUNK: usize = 4096;

/// Minimum number of tasks of a reduction, if there are as many pixels.
const PARTS: usize = 32;

/// The sizes of a value, as kernels iterate over it: feature maps of vectors of `lanes` channels.
#[derive(Clone, Copy, Debug)]
pub(in crate::internal::kernels) struct FeatureMaps {
    pub batch: usize,
    pub channels: usize,
    pub blocks: usize,
    /// Pixels per feature map.
    pub plane: usize,
    pub lanes: usize,
}

impl FeatureMaps {
    /// For a value with these samples, channels, height and width.
    pub fn new(layout: Layout, [batch, channels, height, width]: [usize; 4]) -> FeatureMaps {
        let lanes = match layout {
            Layout::Nchw => 1,
            Layout::Blocked { lanes } => lanes,
        };
        FeatureMaps { batch, channels, blocks: channels.div_ceil(lanes), plane: height * width, lanes }
    }

    /// Samples times blocks.
    pub fn count(&self) -> usize {
        self.batch * self.blocks
    }

    /// Number of floats.
    pub fn len(&self) -> usize {
        self.count() * self.plane * self.lanes
    }

    /// The channels of a block that exist; any number for NCHW.
    pub fn channels_of(&self, block: usize) -> usize {
        if self.lanes == 1 { usize::MAX } else { self.channels - block * self.lanes }
    }

    /// Pixels per run.
    pub fn chunk(&self) -> usize {
        CHUNK / self.lanes
    }

    /// The values of a block's channels, zero after the last channel.
    pub fn of_block(&self, block: usize, of: impl Fn(usize) -> f32) -> [f32; LINE] {
        let mut values = [0.0; LINE];
        let first = block * self.lanes;
        for (lane, channel) in (first..self.channels.min(first + self.lanes)).enumerate() {
            values[lane] = of(channel);
        }
        values
    }

    /// The number of parts into which the pixels of a block, of all samples, are split for a reduction. It depends only on sizes,
    /// so that the bits of the result do not depend on the thread count.
    pub fn parts(&self) -> usize {
        PARTS.div_ceil(self.blocks.max(1)).min(self.batch * self.plane).max(1)
    }

    /// Pixels of a part.
    pub fn part_len(&self, part: usize) -> usize {
        share(self.batch * self.plane, self.parts(), part).len()
    }

    /// The pixels of a part in order, in chunks: ranges of floats.
    pub fn part(self, block: usize, part: usize) -> impl Iterator<Item = Range<usize>> {
        let Range { start: mut at, end } = share(self.batch * self.plane, self.parts(), part);
        std::iter::from_fn(move || {
            let (sample, pixel) = (at.checked_div(self.plane)?, at.checked_rem(self.plane)?);
            let count = (end - at).min(self.plane - pixel).min(self.chunk());
            at += count;
            let start = ((sample * self.blocks + block) * self.plane + pixel) * self.lanes;
            (count > 0).then_some(start..start + count * self.lanes)
        })
    }
}

/// A double as the sum of two floats, as scratch memory stores partial sums.
pub(super) fn split(v: f64) -> [f32; 2] {
    let high = v as f32;
    // non-finite numbers have no remainder
    [high, if high.is_finite() { (v - f64::from(high)) as f32 } else { 0.0 }]
}

/// The inverse of [`split`], to 48 bits.
pub(super) fn join(parts: [f32; 2]) -> f64 {
    f64::from(parts[0]) + f64::from(parts[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_a_block_once() {
        for sizes in [[3, 20, 4, 5], [1, 1, 1, 1], [2, 16, 70, 70], [40, 33, 1, 1], [0, 4, 2, 2], [2, 3, 0, 4]] {
            for layout in [Layout::Nchw, Layout::Blocked { lanes: 8 }, Layout::Blocked { lanes: 16 }] {
                let maps = FeatureMaps::new(layout, sizes);
                let mut seen = vec![0; maps.len()];
                for block in 0..maps.blocks {
                    for part in 0..maps.parts() {
                        let ranges: Vec<_> = maps.part(block, part).collect();
                        assert_eq!(ranges.iter().map(Range::len).sum::<usize>(), maps.part_len(part) * maps.lanes);
                        ranges.into_iter().for_each(|range| seen[range].iter_mut().for_each(|v| *v += 1));
                    }
                }
                assert!(seen.iter().all(|&v| v == 1), "{sizes:?} {layout:?}");
            }
        }
    }

    #[test]
    fn numbers_are_split_and_joined() {
        for v in [0.0, 1.0, 1.0 / 3.0, -1e20 / 7.0, 1e-20 / 3.0] {
            assert!((join(split(v)) - v).abs() <= v.abs() * 1e-14);
        }
        assert!(join(split(f64::NAN)).is_nan() && join(split(f64::INFINITY)) == f64::INFINITY);
    }
}
