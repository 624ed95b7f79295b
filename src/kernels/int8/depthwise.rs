//! Depthwise convolution in integers: one filter for each channel, 16 channels at a time.
//!
//! It reads the same strips as other convolutions. Two kernel elements at a time are interleaved, so that they are summed as two
//! channels of other convolutions are.

use super::dot::Dot;
use super::engine::Loop;
use super::tile::{Finish, Segment, finish};

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
            let start = D::load(r.start);
            let mut f = r.finish;
            let sum = |pixel: usize| {
                let x = r.x.add(pixel * r.step);
                D::pairs(start, |element| x.add((*r.segments.add(element)).offset), r.pairs, r.weight)
            };
            for half in 0..r.pixels / 2 {
                finish::<D, 1, 2, 1>(&[[[sum(2 * half)], [sum(2 * half + 1)]]], &f);
                f.advance(2, 1);
            }
            if r.pixels % 2 == 1 {
                finish::<D, 1, 1, 1>(&[[[sum(r.pixels - 1)]]], &f);
            }
        }
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
