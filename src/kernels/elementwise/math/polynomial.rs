//! Polynomials of vectors.

use crate::kernels::simd::Simd;

/// `c[0] + c[1] x + c[2] x^2 + ...`, by Horner's rule.
///
/// # Safety
/// The processor supports `S`.
#[inline(always)]
pub(super) unsafe fn polynomial<S: Simd, const N: usize>(x: S::V, c: &[f32; N]) -> S::V {
    // SAFETY: guaranteed by the caller
    unsafe {
        let mut sum = S::splat(c[N - 1]);
        let mut k = N - 1;
        while k > 0 {
            k -= 1;
            sum = S::fused(sum, x, S::splat(c[k]));
        }
        sum
    }
}

/// 1.5 * 2^23: a float of this size has no fraction, so that adding this rounds to an integer, and its low bits are that integer.
pub(super) const ROUND: f32 = 12_582_912.0;

/// ln 2, rounded to 15 bits: a multiple of up to 8 bits is exact.
pub(super) const LN2_HIGH: f32 = 0.693_145_75;

/// ln 2 minus [`LN2_HIGH`].
pub(super) const LN2_LOW: f32 = 1.428_606_8e-6;
