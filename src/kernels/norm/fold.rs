//! Mean and maximum over the channels of each place. The results are in the plain layout.

use super::NormParams;
use super::strips::{Over, PLACES, Walk};
use super::tiles::{PlaceStrip, Tiles};
use crate::kernels::aligned::LINE;
use crate::kernels::nchwc::runs;
use crate::kernels::simd::Simd;
use crate::kernels::threads::Disjoint;
use crate::kernels::{Isa, Layout, ThreadPool};

/// What is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fold {
    /// The mean.
    Mean,
    /// The maximum; NaN wins, as in PyTorch.
    Max,
}

/// Places whose channels are folded.
struct Places {
    strip: PlaceStrip,
    fold: Fold,
    x: *const f32,
    /// A result for each place.
    out: *mut f32,
}

impl Tiles for Places {
    fn strip(&self) -> &PlaceStrip {
        &self.strip
    }

    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "iterators are not always inlined")]
    unsafe fn tile<S: Simd, const T: usize>(&self, first: usize) {
        let s = &self.strip;
        // SAFETY: guaranteed by the caller
        unsafe {
            let x = self.x.add(first * s.between);
            let mut folded = match self.fold {
                Fold::Mean => s.sums::<S, T, false>(x, &[S::zero(); T]),
                Fold::Max => self.largest::<S, T>(x),
            };
            for t in 0..T {
                if self.fold == Fold::Mean {
                    folded[t] = S::div(folded[t], S::splat(s.values));
                }
                if s.across {
                    let mut lanes = [0.0; LINE];
                    S::store(lanes.as_mut_ptr(), folded[t]);
                    *self.out.add(first + t) = lanes[0];
                } else {
                    S::store(self.out.add((first + t) * S::LANES), folded[t]);
                }
            }
        }
    }
}

impl Places {
    /// The largest value of each place, in the first lane or in the place's own.
    ///
    /// # Safety
    /// As [`Tiles::tile`].
    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "iterators are not always inlined")]
    unsafe fn largest<S: Simd, const T: usize>(&self, x: *const f32) -> [S::V; T] {
        let s = &self.strip;
        // SAFETY: guaranteed by the caller
        unsafe {
            let lowest = S::splat(f32::NEG_INFINITY);
            let mut best = [lowest; T];
            for vector in 0..s.vectors {
                for t in 0..T {
                    let mut v = S::load(x.add(vector * s.step + t * s.between));
                    if vector + 1 == s.vectors {
                        v = S::equal(S::load(s.mask), S::zero(), lowest, v);
                    }
                    // `max` keeps a NaN in its second operand, and `above` selects a new one
                    best[t] = S::above(v, v, v, S::max(v, best[t]));
                }
            }
            if s.across {
                for t in 0..T {
                    let mut lanes = [f32::NEG_INFINITY; LINE];
                    S::store(lanes.as_mut_ptr(), best[t]);
                    let greater = |a: f32, b: f32| if b > a || b.is_nan() { b } else { a };
                    best[t] = S::splat(lanes[..S::LANES].iter().copied().fold(f32::NEG_INFINITY, greater));
                }
            }
            best
        }
    }
}

/// Folds the channels of each place of `x`, of these sizes; `out` has one value for each place of each sample.
///
/// # Panics
/// If the processor lacks the instruction set of a blocked layout, or a slice has the wrong length.
pub fn fold_channels(pool: &ThreadPool, isa: Isa, layout: Layout, sizes: [usize; 4], fold: Fold, x: &[f32], out: &mut [f32]) {
    let walk = Walk::new(isa, layout, Over::Channels, sizes);
    let params = NormParams { weight: None, bias: None, eps: 0.0 };
    walk.check(&params, &[Some(x.len())]);
    let places = sizes[2] * sizes[3];
    assert_eq!(out.len(), sizes[0] * places);
    let to = Disjoint::new(out);
    runs(pool, walk.samples, walk.unit().1, PLACES, |sample, units| {
        let out = to.pointer(0, sizes[0] * places);
        walk.run::<Places>(sample, units, &params, |strip, at| {
            // the places before these, in this sample and the ones before
            let place = sample * places + (at - sample * walk.sample) / walk.place;
            Places { strip, fold, x: x.as_ptr().wrapping_add(at), out: out.wrapping_add(place) }
        });
    });
}

/// The gradient of a maximum over channels, in the plain layout: that of the result for the first of the largest channels, as
/// PyTorch's `max(dim)` has it, and zero for the others.
///
/// # Panics
/// If a slice has the wrong length.
pub fn max_grad(pool: &ThreadPool, sizes: [usize; 4], x: &[f32], dy: &[f32], out: &mut [f32]) {
    let (channels, plane) = (sizes[1], sizes[2] * sizes[3]);
    assert_eq!((x.len(), dy.len()), (out.len(), sizes[0] * plane));
    /// Places whose best channels are remembered.
    const RUN: usize = 64;
    let out = Disjoint::new(out);
    runs(pool, sizes[0], plane, RUN, |sample, places| {
        let (start, count) = (sample * channels * plane + places.start, places.len());
        let mut best = [(f32::NEG_INFINITY, 0u32); RUN];
        for channel in 0..channels {
            let x = &x[start + channel * plane..][..count];
            for (best, &v) in best.iter_mut().zip(x) {
                // the first one; NaN is greater than any number
                if v > best.0 || (v.is_nan() && !best.0.is_nan()) {
                    *best = (v, channel as u32);
                }
            }
        }
        let dy = &dy[sample * plane + places.start..][..count];
        for channel in 0..channels {
            // SAFETY: places of this run only
            let dx = unsafe { out.slice(start + channel * plane, count) };
            for ((dx, dy), best) in dx.iter_mut().zip(dy).zip(&best) {
                *dx = if best.1 == channel as u32 { *dy } else { 0.0 };
            }
        }
    });
}
