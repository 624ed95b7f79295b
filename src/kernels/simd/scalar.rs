//! Scalar implementation for any processor: NCHW is a blocked layout with one channel per block, and the compiler vectorizes
//! loops over pixels where it can.

use super::Simd;

/// No vectors.
#[derive(Clone, Copy)]
pub(in crate::internal::kernels) struct Scalar;

// SAFETY of every block: the trait's contract; pointers are valid
#[allow(clippy::undocumented_unsafe_blocks, reason = "one reason for all, stated above")]
impl Simd for Scalar {
    const LANES: usize = 1;
    const PREFETCH_PER_CHANNEL: bool = false;
    type V = f32;

    #[inline(always)]
    unsafe fn zero() -> f32 {
        0.0
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> f32 {
        x
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> f32 {
        unsafe { *from }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, v: f32) {
        unsafe { *to = v }
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
    #[inline(always)]
    unsafe fn max(a: f32, b: f32) -> f32 {
        if a > b { a } else { b }
    }
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
