//! The error function.

use super::exp::exp;
use super::polynomial::polynomial;
use crate::kernels::simd::Simd;

/// `erf(x) / x - 1` as a polynomial in `x^2`, for |x| up to [`SMALL`].
const NEAR: [f32; 7] = [0.128_379_17, -0.376_126_3, 0.112_836_24, -0.026_855_588, 0.005_191_948, -0.000_804_384, 7.969_663e-5];

/// `(log(1 - erf(x)) + x) / x` for x from [`SMALL`] to 4.
const FAR: [f32; 7] =
    [-0.128_648_49, -0.635_151_3, -0.106_236_845, 0.023_762_02, -0.003_642_429_6, 0.000_322_794_05, -1.123_003_4e-5];

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
        let near = S::fused(polynomial::<S, 7>(square, &NEAR), x, x);
        // the result is 1 from 3.92 on; the order keeps NaN
        let size = S::min(S::splat(4.0), S::abs(x));
        let power = S::fused(polynomial::<S, 7>(size, &FAR), size, S::neg(size));
        let far = S::sub(S::splat(1.0), exp::<S>(power));
        S::select(S::less(size, S::splat(SMALL)), near, S::or(far, S::sign(x)))
    }
}
