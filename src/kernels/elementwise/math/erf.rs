//! The error function.

use super::constants::ROUND;
use crate::kernels::simd::Simd;

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
pub(in super::super) unsafe fn erf<S: Simd>(x: S::V) -> S::V {
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
