//! Logarithms.

use super::constants::{LN2_HIGH, LN2_LOW, ROUND};
use crate::kernels::simd::Arithmetic;

/// `(log(1 + f) - f) / f^2` for |f| up to 1/3.
const TAIL: [f32; 9] =
    [-0.5, 0.333_332_15, -0.249_998_02, 0.200_104_46, -0.166_803_39, 0.140_052_7, -0.121_859_625, 0.139_873_03, -0.128_853_99];

/// The bits of 2/3: `x` is `2^count` times a number from 2/3 to 4/3.
const LEAST: u32 = 0x3f2a_aaab;

/// The count for a positive `x`, in the exponent's place, and as a float.
///
/// # Safety
/// The processor supports `S`. (This holds for all functions of this file.)
#[inline(always)]
unsafe fn exponent<S: Arithmetic>(x: S::V) -> (S::V, S::V) {
    // SAFETY: guaranteed by the caller
    unsafe {
        let count = S::shift_right::<23>(S::int_sub(x, S::splat_bits(LEAST)));
        let float = S::sub(S::int_add(count, S::splat(ROUND)), S::splat(ROUND));
        (S::shift_left::<23>(count), float)
    }
}

/// `log(2^count (1 + f))`.
#[inline(always)]
unsafe fn sum<S: Arithmetic>(count: S::V, f: S::V) -> S::V {
    // SAFETY: guaranteed by the caller
    unsafe {
        let tail = S::mul(S::mul(f, f), S::polynomial(f, &TAIL));
        let low = S::fma(count, S::splat(LN2_LOW), tail);
        let base = S::mul(count, S::splat(LN2_HIGH));
        let high = S::add(base, f);
        let lost = S::sub(f, S::sub(high, base));
        S::add(high, S::add(low, lost))
    }
}

/// Infinity for infinity, minus infinity at 0, NaN below it, and else `y`; `x` is the argument of the logarithm.
#[inline(always)]
unsafe fn edges<S: Arithmetic>(x: S::V, y: S::V) -> S::V {
    // SAFETY: guaranteed by the caller
    unsafe {
        let infinity = S::splat(f32::INFINITY);
        // NaN and infinity stay what they are
        let y = S::select(S::less(x, infinity), y, x);
        let y = S::select(S::equals(x, S::zero()), S::neg(infinity), y);
        S::select(S::less(x, S::zero()), S::splat(f32::NAN), y)
    }
}

/// `log(x)`, within 1 ulp.
#[inline(always)]
pub(in super::super) unsafe fn log<S: Arithmetic>(x: S::V) -> S::V {
    // SAFETY: guaranteed by the caller
    unsafe {
        // subnormal numbers are scaled to normal ones
        let subnormal = S::less(x, S::splat(f32::MIN_POSITIVE));
        let normal = S::select(subnormal, S::mul(x, S::splat(8_388_608.0)), x);
        let (bits, count) = exponent::<S>(normal);
        let count = S::sub(count, S::select(subnormal, S::splat(23.0), S::zero()));
        let f = S::sub(S::int_sub(normal, bits), S::splat(1.0));
        edges::<S>(x, sum::<S>(count, f))
    }
}

/// `log(1 + x)`, within 2 ulp.
#[inline(always)]
pub(in super::super) unsafe fn log1p<S: Arithmetic>(x: S::V) -> S::V {
    // SAFETY: guaranteed by the caller
    unsafe {
        let whole = S::add(x, S::splat(1.0));
        let (bits, count) = exponent::<S>(whole);
        // of a large number, 2^-count may be subnormal, but adding 1 makes no difference
        let large = S::less(S::splat(1e10), x);
        let f = S::select(large, S::sub(S::int_sub(x, bits), S::splat(1.0)), fraction::<S>(x, bits));
        // -0 stays -0
        edges::<S>(whole, S::or(sum::<S>(count, f), S::sign(x)))
    }
}

/// `log(1 + x)` for x from 0 to 1, within 2 ulp.
#[inline(always)]
pub(super) unsafe fn log1p_small<S: Arithmetic>(x: S::V) -> S::V {
    // SAFETY: guaranteed by the caller
    unsafe {
        let (bits, count) = exponent::<S>(S::add(x, S::splat(1.0)));
        sum::<S>(count, fraction::<S>(x, bits))
    }
}

/// `(1 + x) / 2^count - 1`, rounded once: 1 + x itself is only needed to count.
#[inline(always)]
unsafe fn fraction<S: Arithmetic>(x: S::V, bits: S::V) -> S::V {
    // SAFETY: guaranteed by the caller
    unsafe {
        let power = S::int_sub(S::splat(1.0), bits);
        S::fma(x, power, S::sub(power, S::splat(1.0)))
    }
}
