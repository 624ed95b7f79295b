//! `exp` and what is made of it.

use super::constants::{LN2_HIGH, LN2_LOW, ROUND};
use super::log::log1p_small;
use crate::kernels::simd::Arithmetic;

/// `(e^r - 1 - r) / r^2` for |r| up to ln 2 / 2.
const TAIL: [f32; 6] = [0.5, 0.166_666_67, 0.041_666_49, 0.008_333_208, 0.001_393_272_3, 0.000_199_442_71];

/// `x = count * ln 2 + high + low`.
struct Reduced<V> {
    /// An integer.
    count: V,
    high: V,
    /// The rounding error of `high`.
    low: V,
    /// `e^high - 1 - high`.
    tail: V,
}

/// # Safety
/// The processor supports `S`. (This holds for all functions of this file.)
#[inline(always)]
unsafe fn reduce<S: Arithmetic>(x: S::V) -> Reduced<S::V> {
    // SAFETY: guaranteed by the caller
    unsafe {
        let bits = S::fma(x, S::splat(std::f32::consts::LOG2_E), S::splat(ROUND));
        let count = S::sub(bits, S::splat(ROUND));
        let exact = S::fma(count, S::splat(-LN2_HIGH), x);
        let high = S::fma(count, S::splat(-LN2_LOW), exact);
        let low = S::fma(count, S::splat(-LN2_LOW), S::sub(exact, high));
        let tail = S::mul(S::mul(high, high), S::polynomial(high, &TAIL));
        Reduced { count, high, low, tail }
    }
}

/// `e^x`, within 1 ulp.
#[inline(always)]
pub(in super::super) unsafe fn exp<S: Arithmetic>(x: S::V) -> S::V {
    // SAFETY: guaranteed by the caller
    unsafe {
        // beyond, the result is 0 or infinite; the order keeps NaN
        let x = S::min(S::splat(89.0), S::max(S::splat(-105.0), x));
        let r = reduce::<S>(x);
        S::scale(S::add(S::splat(1.0), S::add(r.high, r.tail)), r.count)
    }
}

/// `e^x - 1`, within 2 ulp.
#[inline(always)]
pub(in super::super) unsafe fn expm1<S: Arithmetic>(x: S::V) -> S::V {
    // SAFETY: guaranteed by the caller
    unsafe {
        let limited = S::min(S::splat(89.0), S::max(S::splat(-30.0), x));
        let r = reduce::<S>(limited);
        // 2^count ((1 - 2^-count) + e^r - 1)
        let inverse = S::scale(S::splat(1.0), S::neg(r.count));
        let one = S::sub(S::splat(1.0), inverse);
        let sum = S::add(S::add(r.high, one), S::add(r.tail, r.low));
        // -0 stays -0
        S::or(S::scale(sum, r.count), S::sign(x))
    }
}

/// `1 / (1 + e^-x)`, within 2 ulp.
#[inline(always)]
pub(in super::super) unsafe fn sigmoid<S: Arithmetic>(x: S::V) -> S::V {
    // SAFETY: guaranteed by the caller
    unsafe {
        let one = S::splat(1.0);
        // at most 1, so that nothing overflows: 1 / (1 + e) for positive x, and e / (1 + e) for negative x
        let e = exp::<S>(S::neg(S::abs(x)));
        let sum = S::add(one, e);
        let lost = S::sub(e, S::sub(sum, one));
        let quotient = S::div(one, sum);
        // what the quotient lacks: its own rounding error, and that of the sum
        let lack = S::fma(S::neg(quotient), lost, S::fused(S::neg(quotient), sum, one));
        let lack = S::mul(quotient, lack);
        let negative = S::fma(e, quotient, S::mul(e, lack));
        S::select(S::less(x, S::zero()), negative, S::add(quotient, lack))
    }
}

/// `tanh(x) / x - 1`, divided by `x^2`, as a polynomial in `x^2` for |x| up to [`TANH_SMALL`].
const TANH: [f32; 5] = [-0.333_333_13, 0.133_324_34, -0.053_835_195, 0.020_997_228, -0.006_164_218_3];

/// About atanh(1/2).
const TANH_SMALL: f32 = 0.55;

/// `tanh(x)`, within 2 ulp.
#[inline(always)]
pub(in super::super) unsafe fn tanh<S: Arithmetic>(x: S::V) -> S::V {
    // SAFETY: guaranteed by the caller
    unsafe {
        let square = S::mul(x, x);
        let small = S::fma(S::mul(square, S::polynomial(square, &TANH)), x, x);
        // 1 - 2 / (e^2|x| + 1), where the result is above 1/2 and the quotient's error does not matter much
        let size = S::abs(x);
        let e = exp::<S>(S::add(size, size));
        let large = S::sub(S::splat(1.0), S::div(S::splat(2.0), S::add(e, S::splat(1.0))));
        // -0 stays -0
        S::or(S::select(S::less(size, S::splat(TANH_SMALL)), small, large), S::sign(x))
    }
}

/// `log(1 + e^x)`, within 2 ulp.
#[inline(always)]
pub(in super::super) unsafe fn softplus<S: Arithmetic>(x: S::V) -> S::V {
    // SAFETY: guaranteed by the caller
    unsafe { S::add(S::max(S::zero(), x), log1p_small::<S>(exp::<S>(S::neg(S::abs(x))))) }
}

/// `tanh(log(1 + e^x))`, within 3.5 ulp: `n / (n + 2)` with `n = e^x (e^x + 2)`.
#[inline(always)]
pub(in super::super) unsafe fn tanh_softplus<S: Arithmetic>(x: S::V) -> S::V {
    // SAFETY: guaranteed by the caller
    unsafe {
        // the result is 1 from 9 on; `n` must stay finite
        let e = exp::<S>(S::min(S::splat(20.0), x));
        let n = S::fma(e, e, S::add(e, e));
        S::div(n, S::add(n, S::splat(2.0)))
    }
}
