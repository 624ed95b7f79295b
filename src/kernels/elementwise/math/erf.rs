//! The error function.

use super::constants::ROUND;
use crate::kernels::simd::Arithmetic;

/// `erf(x) / x - 1` as a polynomial in `x^2`, for |x| up to [`SMALL`].
const NEAR: [f32; 6] = [0.128_379_15, -0.376_124_98, 0.112_818_27, -0.026_766_231, 0.004_991_762, -0.000_598_021_4];

/// The logarithm to base 2 of `1 - erf(x)`, for x from [`SMALL`] to 4.
const FAR: [f32; 6] = [-0.002_836_176_7, -1.615_649_5, -0.939_446_9, -0.131_040_22, 0.022_345_359, -0.001_789_140_2];

/// `2^x` for |x| up to 1/2. There is no need for more accuracy: it is subtracted from 1, and below 1/5.
const POWER: [f32; 6] = [1.000_000_1, 0.693_147_24, 0.240_219_85, 0.055_502_77, 0.009_679_481, 0.001_340_226_5];

/// Where the two meet.
const SMALL: f32 = 0.925;

/// `erf(x)`, within 2 ulp.
///
/// # Safety
/// The processor supports `S`.
#[inline(always)]
pub(in super::super) unsafe fn erf<S: Arithmetic>(x: S::V) -> S::V {
    // SAFETY: guaranteed by the caller
    unsafe {
        let square = S::mul(x, x);
        let near = S::fma(S::polynomial(square, &NEAR), x, x);
        // the result is 1 from 3.92 on; the order keeps NaN
        let size = S::min(S::splat(4.0), S::abs(x));
        let power = S::polynomial(size, &FAR);
        let bits = S::add(power, S::splat(ROUND));
        let fraction = S::sub(power, S::sub(bits, S::splat(ROUND)));
        let rest = S::int_add(S::polynomial(fraction, &POWER), S::shift_left::<23>(bits));
        let far = S::or(S::sub(S::splat(1.0), rest), S::sign(x));
        // NaN is not far
        S::select(S::less_equal(S::splat(SMALL), size), far, S::or(near, S::sign(x)))
    }
}

/// The logarithm to base 2 of `1 - erf(x)`, divided by `x`, for x from 0 to [`LARGE`].
const COMPLEMENT: [f32; 9] = [
    -1.627_908_8,
    -0.918_413_34,
    -0.148_489_77,
    0.028_241_646,
    -0.000_693_645_85,
    -0.001_620_863_8,
    0.000_542_874,
    -0.000_079_472_135,
    0.000_004_554_15,
];

/// `2^x` for |x| up to 1/2.
const EXACT_POWER: [f32; 7] =
    [1.0, std::f32::consts::LN_2, 0.240_226_5, 0.055_503_71, 0.009_618_505, 0.001_338_591_2, 0.000_152_523_05];

/// From here on, `1 - erf(x)` counts as 0: it is below 1.6e-12.
const LARGE: f32 = 5.0;

/// `1 + erf(x)`, within 1.4e-7. Negative `x` lose no digits to the sum: down to -5, the relative error is at most 1.4e-3.
#[inline(always)]
pub(super) unsafe fn one_plus_erf<S: Arithmetic>(x: S::V) -> S::V {
    // SAFETY: guaranteed by the caller
    unsafe {
        let size = S::abs(x);
        let power = S::mul(size, S::polynomial_in_halves(size, &COMPLEMENT));
        let bits = S::add(power, S::splat(ROUND));
        let fraction = S::sub(power, S::sub(bits, S::splat(ROUND)));
        let rest = S::int_add(S::polynomial(fraction, &EXACT_POWER), S::shift_left::<23>(bits));
        let rest = S::select(S::less(S::splat(LARGE), size), S::zero(), rest);
        let sum = S::select(S::less(x, S::zero()), rest, S::sub(S::splat(2.0), rest));
        // the shift would make a number of NaN
        S::select(S::equals(x, x), sum, x)
    }
}
