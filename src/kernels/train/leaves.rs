//! The innermost loops of training, one instance a layout: what the instruction set compiled for blocked maps, and the same
//! with single numbers for vectors for plain ones, which are blocked maps with one channel in a block.

use std::ops::Range;

use super::conv_weight::winograd::transform::{Sums, gradient, taps};
use super::norm::loops::{Back, GradSums, Moments, Normalize, back, grad_sums, moments, normalize};
use super::plane::{Dot, plane_dot};
use super::pool::{MaxSpread, MeanSpread, max_spread, mean_spread};
use crate::kernels::aligned::LINE;
use crate::kernels::pool::share;
use crate::kernels::simd::scalar::Scalar;
use crate::kernels::winograd::transform::InputTile;
use crate::kernels::{Isa, Layout, blocked};

/// See the module.
pub(in crate::kernels) struct TrainKernels {
    /// Sums of differences and of their squares.
    pub moments: unsafe fn(&Moments),
    /// Normalizes pixels.
    pub normalize: unsafe fn(&Normalize),
    /// Sums over a norm's gradient.
    pub grad_sums: unsafe fn(&GradSums),
    /// The gradient of a norm's input.
    pub back: unsafe fn(&Back),
    /// Products of two maps, summed.
    pub plane_dot: unsafe fn(&Dot),
    /// Gives gradients to the largest number of each window.
    pub max_spread: unsafe fn(&MaxSpread),
    /// Gives gradients to all numbers of each window.
    pub mean_spread: unsafe fn(&MeanSpread),
    /// Transforms a tile of a gradient.
    pub gradient: unsafe fn(&InputTile),
    /// Transforms sums of points to taps.
    pub taps: unsafe fn(&Sums),
}

static PLAIN: TrainKernels = TrainKernels {
    moments: moments::<Scalar>,
    normalize: normalize::<Scalar>,
    grad_sums: grad_sums::<Scalar>,
    back: back::<Scalar>,
    plane_dot: plane_dot::<Scalar>,
    max_spread: max_spread::<Scalar>,
    mean_spread: mean_spread::<Scalar>,
    gradient: gradient::<Scalar>,
    taps: taps::<Scalar>,
};

/// The loops for values of that layout.
///
/// # Panics
/// Where the layout is blocked and not the instruction set's, or this processor lacks it.
pub(super) fn leaves(isa: Isa, layout: Layout) -> &'static TrainKernels {
    match layout {
        Layout::Nchw => &PLAIN,
        Layout::Blocked { lanes } => {
            let kernels = blocked::kernels(isa);
            assert_eq!(kernels.lanes, lanes, "blocks of {isa}");
            &kernels.train
        }
    }
}

/// Floats that a loop goes over at a time: few enough to stay in the first-level cache, and that a sum of them in single
/// precision (in some partial sums) loses next to nothing.
const CHUNK: usize = 4096;

/// How many tasks a reduction is cut into at least, where there are as many pixels.
const PARTS: usize = 32;

/// A value as kernels walk it: maps of vectors of `lanes` channels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Maps {
    pub batch: usize,
    pub channels: usize,
    pub blocks: usize,
    /// Pixels of a map.
    pub plane: usize,
    pub lanes: usize,
}

impl Maps {
    /// Of a value with those samples, channels, height and width.
    pub fn new(layout: Layout, [batch, channels, height, width]: [usize; 4]) -> Maps {
        let lanes = match layout {
            Layout::Nchw => 1,
            Layout::Blocked { lanes } => lanes,
        };
        Maps { batch, channels, blocks: channels.div_ceil(lanes), plane: height * width, lanes }
    }

    /// Samples times blocks.
    pub fn count(&self) -> usize {
        self.batch * self.blocks
    }

    /// Floats.
    pub fn len(&self) -> usize {
        self.count() * self.plane * self.lanes
    }

    /// Pixels of a run.
    pub fn chunk(&self) -> usize {
        CHUNK / self.lanes
    }

    /// Numbers of a block's channels out of those of all channels, zeros after the last.
    pub fn of_block(&self, block: usize, of: impl Fn(usize) -> f32) -> [f32; LINE] {
        let mut values = [0.0; LINE];
        let first = block * self.lanes;
        for (lane, channel) in (first..self.channels.min(first + self.lanes)).enumerate() {
            values[lane] = of(channel);
        }
        values
    }

    /// Into how many parts the pixels of a block, those of all samples, are cut for a reduction. It depends on sizes alone, so
    /// that the result's bits do not depend on the number of threads.
    pub fn parts(&self) -> usize {
        PARTS.div_ceil(self.blocks.max(1)).min(self.batch * self.plane).max(1)
    }

    /// Pixels of such a part.
    pub fn part_len(&self, part: usize) -> usize {
        share(self.batch * self.plane, self.parts(), part).len()
    }

    /// Its pixels in order, some at a time: ranges of floats.
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

/// A number in double precision as the sum of two in single: how scratch holds partial sums.
pub(super) fn split(v: f64) -> [f32; 2] {
    let high = v as f32;
    // what is not finite has no rest
    [high, if high.is_finite() { (v - f64::from(high)) as f32 } else { 0.0 }]
}

/// The number that [`split`] was given, to 48 bits.
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
                let maps = Maps::new(layout, sizes);
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
