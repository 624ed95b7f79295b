//! Scalar implementation for any processor: NCHW is a blocked layout with one channel per block, and the compiler vectorizes
//! loops over pixels where it can.

use super::{Arithmetic, Simd};

/// No vectors.
#[derive(Clone, Copy)]
pub(in crate::internal::kernels) struct Scalar;

// SAFETY of every block: the trait's contract; pointers are valid
#[allow(clippy::undocumented_unsafe_blocks, reason = "one reason for all, stated above")]
impl Arithmetic for Scalar {
    type V = f32;
    type Mask = bool;
    #[inline(always)]
    unsafe fn zero() -> f32 {
        0.0
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> f32 {
        x
    }
    #[inline(always)]
    unsafe fn add(a: f32, b: f32) -> f32 {
        a + b
    }
    #[inline(always)]
    unsafe fn sub(a: f32, b: f32) -> f32 {
        a - b
    }
    #[inline(always)]
    unsafe fn mul(a: f32, b: f32) -> f32 {
        a * b
    }
    #[inline(always)]
    unsafe fn div(a: f32, b: f32) -> f32 {
        a / b
    }
    #[inline(always)]
    unsafe fn fma(a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }
    #[inline(always)]
    unsafe fn fnma(a: f32, b: f32, c: f32) -> f32 {
        c - a * b
    }
    /// Through f64 where the processor is not known to have the instruction: the product is exact there and the sum almost, so
    /// that the result differs from rounding once only if it lies within 2^-29 of halfway between two floats.
    #[inline(always)]
    unsafe fn fused(a: f32, b: f32, c: f32) -> f32 {
        if cfg!(any(target_feature = "fma", target_arch = "aarch64")) {
            a.mul_add(b, c)
        } else {
            (f64::from(a) * f64::from(b) + f64::from(c)) as f32
        }
    }
    #[inline(always)]
    unsafe fn sqrt(a: f32) -> f32 {
        a.sqrt()
    }
    #[inline(always)]
    unsafe fn floor(a: f32) -> f32 {
        a.floor()
    }
    #[inline(always)]
    unsafe fn max(a: f32, b: f32) -> f32 {
        if a > b { a } else { b }
    }
    #[inline(always)]
    unsafe fn min(a: f32, b: f32) -> f32 {
        if a < b { a } else { b }
    }
    #[inline(always)]
    unsafe fn less(a: f32, b: f32) -> bool {
        a < b
    }
    #[inline(always)]
    unsafe fn less_equal(a: f32, b: f32) -> bool {
        a <= b
    }
    #[inline(always)]
    unsafe fn equals(a: f32, b: f32) -> bool {
        a == b
    }
    #[inline(always)]
    unsafe fn select(mask: bool, yes: f32, no: f32) -> f32 {
        if mask { yes } else { no }
    }
    #[inline(always)]
    unsafe fn and(a: f32, b: f32) -> f32 {
        f32::from_bits(a.to_bits() & b.to_bits())
    }
    #[inline(always)]
    unsafe fn or(a: f32, b: f32) -> f32 {
        f32::from_bits(a.to_bits() | b.to_bits())
    }
    #[inline(always)]
    unsafe fn xor(a: f32, b: f32) -> f32 {
        f32::from_bits(a.to_bits() ^ b.to_bits())
    }
    #[inline(always)]
    unsafe fn int_add(a: f32, b: f32) -> f32 {
        f32::from_bits(a.to_bits().wrapping_add(b.to_bits()))
    }
    #[inline(always)]
    unsafe fn int_sub(a: f32, b: f32) -> f32 {
        f32::from_bits(a.to_bits().wrapping_sub(b.to_bits()))
    }
    #[inline(always)]
    unsafe fn shift_left<const N: u32>(a: f32) -> f32 {
        f32::from_bits(a.to_bits() << N)
    }
    #[inline(always)]
    unsafe fn shift_right<const N: u32>(a: f32) -> f32 {
        f32::from_bits((a.to_bits() as i32 >> N) as u32)
    }
}

// SAFETY of every block: as above
#[allow(clippy::undocumented_unsafe_blocks, reason = "one reason for all, stated above")]
impl Simd for Scalar {
    const LANES: usize = 1;
    const PREFETCH_PER_CHANNEL: bool = false;
    const FACTORS: usize = 1;
    type Factors = f32;
    #[inline(always)]
    unsafe fn load(from: *const f32) -> f32 {
        unsafe { *from }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, v: f32) {
        unsafe { *to = v }
    }
    #[inline(always)]
    unsafe fn stream(to: *mut f32, v: f32) {
        unsafe { *to = v }
    }
    #[inline(always)]
    unsafe fn factors(from: *const f32) -> f32 {
        unsafe { Self::splat(*from) }
    }
    #[inline(always)]
    unsafe fn fma_factor(factors: f32, _: usize, v: f32, sum: f32) -> f32 {
        unsafe { Self::fma(factors, v, sum) }
    }
    #[inline(always)]
    unsafe fn finish_streams() {}
    #[inline(always)]
    #[allow(clippy::neg_cmp_op_on_partial_ord, reason = "NaN counts as above")]
    unsafe fn above(a: f32, b: f32, yes: f32, no: f32) -> f32 {
        if !(a <= b) { yes } else { no }
    }
    #[inline(always)]
    unsafe fn equal(a: f32, b: f32, yes: f32, no: f32) -> f32 {
        if a == b { yes } else { no }
    }
    #[inline(always)]
    unsafe fn sum(v: f32) -> f32 {
        v
    }
    #[inline(always)]
    unsafe fn transpose(from: *const f32, _: usize, to: *mut f32, _: usize) {
        unsafe { *to = *from }
    }
    #[inline(always)]
    unsafe fn prefetch(_: *const f32) {}
}
