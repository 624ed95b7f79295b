//! The innermost loops of layer norm, over tiles of places.

use super::tiles::{PlaceStrip, Tiles};
use crate::kernels::simd::Simd;

/// Vectors whose values are summed before the sum is added to that of all: nested sums have smaller rounding errors.
const CHUNK: usize = 64;

impl PlaceStrip {
    /// A learned value for a vector: its lanes differ if they are values of one place.
    ///
    /// # Safety
    /// As [`Tiles::tile`].
    #[inline(always)]
    unsafe fn learned<S: Simd>(&self, of: *const f32, vector: usize) -> S::V {
        // SAFETY: guaranteed by the caller
        unsafe { if self.across { S::load(of.add(vector * S::LANES)) } else { S::splat(*of.add(vector)) } }
    }

    /// The weights of a vector, which are 0 for lanes that are no values.
    ///
    /// # Safety
    /// As [`Tiles::tile`].
    #[inline(always)]
    unsafe fn weight<S: Simd>(&self, vector: usize) -> S::V {
        // SAFETY: guaranteed by the caller
        unsafe {
            match self.weight.is_null() {
                false => self.learned::<S>(self.weight, vector),
                true if vector + 1 == self.vectors => S::load(self.mask),
                true => S::splat(1.0),
            }
        }
    }

    /// Adds up the lanes of each vector that are values of one place; the result is in every lane.
    ///
    /// # Safety
    /// As [`Tiles::tile`].
    #[inline(always)]
    pub unsafe fn total<S: Simd, const T: usize>(&self, sums: &mut [S::V; T]) {
        if self.across {
            // SAFETY: guaranteed by the caller
            (0..T).for_each(|t| unsafe { sums[t] = S::splat(S::sum(sums[t])) });
        }
    }

    /// The sums of the differences from `center`, or of their squares.
    ///
    /// # Safety
    /// As [`Tiles::tile`].
    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "iterators are not always inlined")]
    pub unsafe fn sums<S: Simd, const T: usize, const SQUARES: bool>(&self, x: *const f32, center: &[S::V; T]) -> [S::V; T] {
        // SAFETY: guaranteed by the caller
        unsafe {
            let mut totals = [S::zero(); T];
            let last = self.vectors - 1;
            let mut vector = 0;
            while vector < last {
                let end = (vector + CHUNK).min(last);
                let mut sums = [S::zero(); T];
                while vector < end {
                    for t in 0..T {
                        let d = S::sub(S::load(x.add(vector * self.step + t * self.between)), center[t]);
                        sums[t] = if SQUARES { S::fma(d, d, sums[t]) } else { S::add(sums[t], d) };
                    }
                    vector += 1;
                }
                for t in 0..T {
                    totals[t] = S::add(totals[t], sums[t]);
                }
            }
            let mask = S::load(self.mask);
            for t in 0..T {
                let d = S::mul(S::sub(S::load(x.add(last * self.step + t * self.between)), center[t]), mask);
                totals[t] = if SQUARES { S::fma(d, d, totals[t]) } else { S::add(totals[t], d) };
            }
            self.total::<S, T>(&mut totals);
            totals
        }
    }

    /// The mean of each place, and the reciprocal of its standard deviation.
    ///
    /// # Safety
    /// As [`Tiles::tile`].
    #[inline(always)]
    unsafe fn moments<S: Simd, const T: usize>(&self, x: *const f32) -> ([S::V; T], [S::V; T]) {
        // SAFETY: guaranteed by the caller
        unsafe {
            let (count, one, eps) = (S::splat(self.values), S::splat(1.0), S::splat(self.eps));
            let mut means = self.sums::<S, T, false>(x, &[S::zero(); T]);
            (0..T).for_each(|t| means[t] = S::div(means[t], count));
            let mut inverse = self.sums::<S, T, true>(x, &means);
            (0..T).for_each(|t| inverse[t] = S::div(one, S::sqrt(S::add(S::div(inverse[t], count), eps))));
            (means, inverse)
        }
    }
}

/// Places to normalize.
pub(super) struct Forward {
    pub strip: PlaceStrip,
    /// The values; may be `out`.
    pub x: *const f32,
    /// The summands, as the weights; null for 0.
    pub bias: *const f32,
    /// The results.
    pub out: *mut f32,
}

impl Tiles for Forward {
    fn strip(&self) -> &PlaceStrip {
        &self.strip
    }

    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "iterators are not always inlined")]
    unsafe fn tile<S: Simd, const T: usize>(&self, first: usize) {
        let (s, start) = (&self.strip, first * self.strip.between);
        // SAFETY: guaranteed by the caller
        unsafe {
            let (x, out) = (self.x.add(start), self.out.add(start));
            let (means, inverse) = s.moments::<S, T>(x);
            for vector in 0..s.vectors {
                let weight = s.weight::<S>(vector);
                let bias = if self.bias.is_null() { S::zero() } else { s.learned::<S>(self.bias, vector) };
                for t in 0..T {
                    let at = vector * s.step + t * s.between;
                    let d = S::sub(S::load(x.add(at)), means[t]);
                    S::store(out.add(at), S::fma(d, S::mul(inverse[t], weight), bias));
                }
            }
        }
    }
}

/// Places whose gradient is computed.
pub(super) struct InputGrad {
    pub strip: PlaceStrip,
    /// The values; may be `out`.
    pub x: *const f32,
    /// The gradient of the results; may be `out`.
    pub dy: *const f32,
    /// The gradient of the values.
    pub out: *mut f32,
}

impl Tiles for InputGrad {
    fn strip(&self) -> &PlaceStrip {
        &self.strip
    }

    /// With `g = weight * dy`: `inverse * (g - mean(g) - xhat * mean(g * xhat))`.
    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "iterators are not always inlined")]
    unsafe fn tile<S: Simd, const T: usize>(&self, first: usize) {
        let (s, start) = (&self.strip, first * self.strip.between);
        // SAFETY: guaranteed by the caller
        unsafe {
            let (x, dy, out) = (self.x.add(start), self.dy.add(start), self.out.add(start));
            let (means, inverse) = s.moments::<S, T>(x);
            let (mut sums, mut products) = ([S::zero(); T], [S::zero(); T]);
            for vector in 0..s.vectors {
                let weight = s.weight::<S>(vector);
                for t in 0..T {
                    let at = vector * s.step + t * s.between;
                    let g = S::mul(S::load(dy.add(at)), weight);
                    sums[t] = S::add(sums[t], g);
                    products[t] = S::fma(g, S::sub(S::load(x.add(at)), means[t]), products[t]);
                }
            }
            s.total::<S, T>(&mut sums);
            s.total::<S, T>(&mut products);
            let count = S::splat(s.values);
            for t in 0..T {
                sums[t] = S::div(sums[t], count);
                products[t] = S::mul(S::div(products[t], count), S::mul(inverse[t], inverse[t]));
            }
            for vector in 0..s.vectors {
                let weight = s.weight::<S>(vector);
                for t in 0..T {
                    let at = vector * s.step + t * s.between;
                    let d = S::sub(S::load(x.add(at)), means[t]);
                    let g = S::sub(S::mul(S::load(dy.add(at)), weight), sums[t]);
                    S::store(out.add(at), S::mul(inverse[t], S::fnma(d, products[t], g)));
                }
            }
        }
    }
}

/// Places whose products add up to the gradients of the parameters.
pub(super) struct ParamSums {
    pub strip: PlaceStrip,
    /// The values.
    pub x: *const f32,
    /// The gradient of the results.
    pub dy: *const f32,
    /// `[2][vectors][lanes]`: the sums of `dy * xhat`, then those of `dy`, to which these are added.
    pub sums: *mut f32,
    /// Floats of each of those.
    pub lanes: usize,
}

impl Tiles for ParamSums {
    fn strip(&self) -> &PlaceStrip {
        &self.strip
    }

    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "iterators are not always inlined")]
    unsafe fn tile<S: Simd, const T: usize>(&self, first: usize) {
        let (s, start) = (&self.strip, first * self.strip.between);
        // SAFETY: guaranteed by the caller
        unsafe {
            let (x, dy) = (self.x.add(start), self.dy.add(start));
            let (means, inverse) = s.moments::<S, T>(x);
            let (weights, biases) = (self.sums, self.sums.add(s.vectors * self.lanes));
            for vector in 0..s.vectors {
                let (mut products, mut sums) = (S::zero(), S::zero());
                for t in 0..T {
                    let at = vector * s.step + t * s.between;
                    let dy = S::load(dy.add(at));
                    let hat = S::mul(S::sub(S::load(x.add(at)), means[t]), inverse[t]);
                    products = S::fma(dy, hat, products);
                    sums = S::add(sums, dy);
                }
                let at = vector * self.lanes;
                S::store(weights.add(at), S::add(S::load(weights.add(at)), products));
                S::store(biases.add(at), S::add(S::load(biases.add(at)), sums));
            }
        }
    }
}
