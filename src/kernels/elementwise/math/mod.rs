//! Functions of vectors, with their error in units in the last place (ulp) of the result, subnormal results included.
//!
//! AVX2 and AVX-512 give the same bits. Scalars may differ from them in the last bit, within the same bounds: see
//! [`Simd::fused`](crate::kernels::simd::Simd::fused).

mod constants;
mod erf;
mod exp;
mod log;
#[cfg(test)]
mod tests;

use erf::one_plus_erf;

pub(super) use erf::erf;
pub(super) use exp::{exp, expm1, sigmoid, softplus, tanh, tanh_softplus};
pub(super) use log::{log, log1p};

use crate::kernels::simd::Arithmetic;

/// `a * sigmoid(x)`, within 3 ulp, as the quotient that PyTorch's SiLU is. Below x = -88.7 it is 0.
///
/// # Safety
/// The processor supports `S`. (This holds for all functions of this file.)
#[inline(always)]
pub(super) unsafe fn sigmoid_times<S: Arithmetic>(x: S::V, a: S::V) -> S::V {
    // SAFETY: guaranteed by the caller
    unsafe { S::div(a, S::add(S::splat(1.0), exp::<S>(S::neg(x)))) }
}

/// The nearest bf16, of two the even one: the upper half of the bits, rounded. NaN stays NaN.
#[inline(always)]
pub(super) unsafe fn round_bf16<S: Arithmetic>(x: S::V) -> S::V {
    let bits = |bits: u32| f32::from_bits(bits);
    // SAFETY: guaranteed by the caller
    unsafe {
        let is_odd = S::and(S::shift_right::<16>(x), S::splat(bits(1)));
        let above = S::int_add(S::int_add(x, S::splat(bits(0x7fff))), is_odd);
        S::select(S::equals(x, x), S::and(above, S::splat(bits(0xffff_0000))), x)
    }
}

/// `a * tanh(log(1 + e^x))`.
#[inline(always)]
pub(super) unsafe fn tanh_softplus_times<S: Arithmetic>(x: S::V, a: S::V) -> S::V {
    // SAFETY: guaranteed by the caller
    unsafe { S::mul(tanh_softplus::<S>(x), a) }
}

/// `(1 + erf(a * b)) * (c * d)`.
#[inline(always)]
pub(super) unsafe fn erf_gate<S: Arithmetic>(a: S::V, b: S::V, c: S::V, d: S::V) -> S::V {
    // SAFETY: guaranteed by the caller
    unsafe { S::mul(one_plus_erf::<S>(S::mul(a, b)), S::mul(c, d)) }
}

/// `clamp(a + b, min, max) * c / d`.
#[inline(always)]
pub(super) unsafe fn clamp_gate<S: Arithmetic>(a: S::V, b: S::V, min: S::V, max: S::V, c: S::V, d: S::V) -> S::V {
    // SAFETY: guaranteed by the caller
    unsafe { S::div(S::mul(S::min(max, S::max(min, S::add(a, b))), c), d) }
}
