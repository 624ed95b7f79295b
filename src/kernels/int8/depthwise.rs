//! Depthwise convolution in integers: one filter for each channel, 16 channels at a time.
//!
//! It reads the same strips as other convolutions. Two kernel elements at a time are interleaved, so that they are summed as two
//! channels of other convolutions are.

use super::dot::Dot;
use super::dot::Segment;
use super::engine::Loop;
use super::tile::{Finish, finish};

/// Pixels that share what is read of the weights.
const PIXELS: usize = 4;

/// Output pixels of a row, 16 channels of each.
pub(super) struct Row {
    pub pixels: usize,
    /// The first pixel.
    pub x: *const u8,
    /// From a pixel to the next one, in bytes.
    pub step: usize,
    /// The kernel elements, an even number of them.
    pub segments: *const Segment,
    pub pairs: usize,
    /// The [weights](Dot::pairs).
    pub weight: *const u8,
    /// 16 integers at which sums begin.
    pub start: *const i32,
    pub finish: Finish,
}

impl Loop for Row {
    type Operands = Self;

    #[inline(always)]
    unsafe fn run<D: Dot>(r: &Self) {
        // SAFETY: guaranteed by the caller
        unsafe {
            let mut f = r.finish;
            let mut x = r.x;
            for _ in 0..r.pixels / PIXELS {
                pixels::<D, PIXELS>(r, x, &f);
                f.advance(PIXELS, 1);
                x = x.add(PIXELS * r.step);
            }
            for _ in 0..r.pixels % PIXELS {
                pixels::<D, 1>(r, x, &f);
                f.advance(1, 1);
                x = x.add(r.step);
            }
        }
    }
}

/// Computes some pixels.
///
/// # Safety
/// As [`Loop::run`].
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "iterators are not always inlined")]
unsafe fn pixels<D: Dot, const P: usize>(r: &Row, x: *const u8, f: &Finish) {
    // SAFETY: guaranteed by the caller
    unsafe {
        let sums = D::pairs::<P>(D::load(r.start), x, r.step, r.segments, r.pairs, r.weight);
        let mut tile = [[[sums[0]]; P]];
        for p in 1..P {
            tile[0][p] = [sums[p]];
        }
        finish::<D, 1, P, 1>(&tile, f);
    }
}

/// Makes the weights of a panel those of [`Dot::pairs`].
pub(super) struct ExpandPairs {
    /// `[pair][16][2]`.
    pub from: *const i8,
    pub pairs: usize,
    pub to: *mut u8,
}

impl Loop for ExpandPairs {
    type Operands = Self;

    #[inline(always)]
    unsafe fn run<D: Dot>(e: &Self) {
        // SAFETY: guaranteed by the caller
        unsafe { D::expand_pairs(e.from, e.pairs, e.to) }
    }
}
