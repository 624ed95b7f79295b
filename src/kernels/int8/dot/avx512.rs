//! AVX-512 with VNNI: one register for each vector, and `vpdpbusd`, which is exact.

use std::arch::x86_64::*;

use super::{Dot, LANES, Limits, Segment};

/// AVX-512 (F and BW) with VNNI.
#[derive(Clone, Copy)]
pub(in crate::internal::kernels::int8) struct Avx512Vnni;

// SAFETY of every block: the trait's contract; the processor has the instructions and pointers are valid
#[allow(clippy::undocumented_unsafe_blocks, reason = "one reason for all, stated above")]
#[allow(clippy::needless_range_loop, reason = "iterators are not always inlined")]
impl Dot for Avx512Vnni {
    const WIDTH: usize = 1;
    type V = __m512i;
    type W = __m512i;
    type F = __m512;
    type X = __m512i;

    #[inline(always)]
    unsafe fn load(from: *const i32) -> __m512i {
        unsafe { _mm512_loadu_si512(from.cast()) }
    }
    #[inline(always)]
    unsafe fn store(to: *mut i32, v: __m512i) {
        unsafe { _mm512_storeu_si512(to.cast(), v) }
    }
    #[inline(always)]
    unsafe fn add(a: __m512i, b: __m512i) -> __m512i {
        unsafe { _mm512_add_epi32(a, b) }
    }
    #[inline(always)]
    unsafe fn weights(from: *const u8) -> __m512i {
        unsafe { _mm512_loadu_si512(from.cast()) }
    }
    #[inline(always)]
    unsafe fn pixel(from: *const u8) -> __m512i {
        unsafe { _mm512_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }
    #[inline(always)]
    unsafe fn step(sums: __m512i, x: __m512i, w: __m512i) -> __m512i {
        unsafe { _mm512_dpbusd_epi32(sums, x, w) }
    }
    #[inline(always)]
    unsafe fn expand(from: *const i8, quads: usize, to: *mut u8) {
        unsafe { std::ptr::copy_nonoverlapping(from.cast(), to, quads * 4 * LANES) }
    }
    #[inline(always)]
    unsafe fn pairs<const P: usize>(
        start: __m512i,
        x: *const u8,
        pixel: usize,
        segments: *const Segment,
        pairs: usize,
        w: *const u8,
    ) -> [__m512i; P] {
        unsafe {
            let mut sums = [start; P];
            for pair in 0..pairs {
                let (first, second) = ((*segments.add(2 * pair)).offset, (*segments.add(2 * pair + 1)).offset);
                let w = _mm512_cvtepi8_epi16(_mm256_loadu_si256(w.add(pair * 2 * LANES).cast()));
                for p in 0..P {
                    let a = _mm512_cvtepu8_epi32(_mm_loadu_si128(x.add(p * pixel + first).cast()));
                    let b = _mm512_cvtepu8_epi32(_mm_loadu_si128(x.add(p * pixel + second).cast()));
                    let x = _mm512_or_si512(a, _mm512_slli_epi32::<16>(b));
                    sums[p] = _mm512_add_epi32(sums[p], _mm512_madd_epi16(x, w));
                }
            }
            sums
        }
    }
    #[inline(always)]
    unsafe fn expand_pairs(from: *const i8, pairs: usize, to: *mut u8) {
        unsafe { std::ptr::copy_nonoverlapping(from.cast(), to, pairs * 2 * LANES) }
    }
    #[inline(always)]
    unsafe fn widen(from: *const u8, count: usize, to: *mut u8) {
        unsafe { std::ptr::copy_nonoverlapping(from, to, count) }
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> __m512 {
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load_floats(from: *const f32) -> __m512 {
        unsafe { _mm512_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn store_floats(to: *mut f32, v: __m512) {
        unsafe { _mm512_storeu_ps(to, v) }
    }
    #[inline(always)]
    unsafe fn bytes(from: *const u8) -> __m512 {
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(from.cast()))) }
    }
    #[inline(always)]
    unsafe fn float(v: __m512i) -> __m512 {
        unsafe { _mm512_cvtepi32_ps(v) }
    }
    #[inline(always)]
    unsafe fn plus(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn minus(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_sub_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn times(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn fused(a: __m512, b: __m512, c: __m512) -> __m512 {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    unsafe fn larger(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_max_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn smaller(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_min_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn round(v: __m512) -> __m512i {
        unsafe { _mm512_cvtps_epi32(v) }
    }
    #[inline(always)]
    unsafe fn store_bytes(to: *mut u8, v: __m512i, limits: &Limits) {
        unsafe {
            let v = _mm512_add_epi32(v, _mm512_set1_epi32(limits.zero));
            let v = _mm512_max_epi32(v, _mm512_set1_epi32(limits.low.into()));
            let v = _mm512_min_epi32(v, _mm512_set1_epi32(limits.high.into()));
            _mm_storeu_si128(to.cast(), _mm512_cvtepi32_epi8(v));
        }
    }
}
