//! AVX2 with FMA, and AVX-VNNI: two registers for each vector.
//!
//! AVX2 has no exact product of bytes: `vpmaddubsw` adds two products of up to 32 385 and saturates at 32 767. So strips and
//! panels hold 16 bits, and `vpmaddwd` adds two products at a time: 16 products in two instructions, which processors with more
//! than two vector units issue at twice the rate of `vfmadd231ps` in products. Splitting the bytes of a weight between two
//! `vpmaddubsw` would take three instructions.

use std::arch::x86_64::*;

use super::{Dot, LANES, Limits, Segment};

/// AVX2 with FMA.
#[derive(Clone, Copy)]
pub(in crate::internal::kernels::int8) struct Avx2;

/// The same with `vpdpbusd` on registers of 32 bytes.
#[derive(Clone, Copy)]
pub(in crate::internal::kernels::int8) struct AvxVnni;

/// What both have in common.
macro_rules! vectors {
    () => {
        type V = [__m256i; 2];
        type W = [__m256i; 2];
        type F = [__m256; 2];
        type X = __m256i;

        #[inline(always)]
        unsafe fn load(from: *const i32) -> Self::V {
            unsafe { [_mm256_loadu_si256(from.cast()), _mm256_loadu_si256(from.add(8).cast())] }
        }
        #[inline(always)]
        unsafe fn store(to: *mut i32, v: Self::V) {
            unsafe {
                _mm256_storeu_si256(to.cast(), v[0]);
                _mm256_storeu_si256(to.add(8).cast(), v[1]);
            }
        }
        #[inline(always)]
        unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
            unsafe { [_mm256_add_epi32(a[0], b[0]), _mm256_add_epi32(a[1], b[1])] }
        }
        #[inline(always)]
        unsafe fn weights(from: *const u8) -> Self::W {
            unsafe { Self::load(from.cast()) }
        }
        #[inline(always)]
        unsafe fn pixel(from: *const u8) -> __m256i {
            unsafe { _mm256_set1_epi32(from.cast::<i32>().read_unaligned()) }
        }
        #[inline(always)]
        unsafe fn splat(x: f32) -> Self::F {
            unsafe { [_mm256_set1_ps(x); 2] }
        }
        #[inline(always)]
        unsafe fn load_floats(from: *const f32) -> Self::F {
            unsafe { [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))] }
        }
        #[inline(always)]
        unsafe fn store_floats(to: *mut f32, v: Self::F) {
            unsafe {
                _mm256_storeu_ps(to, v[0]);
                _mm256_storeu_ps(to.add(8), v[1]);
            }
        }
        #[inline(always)]
        unsafe fn bytes(from: *const u8) -> Self::F {
            unsafe {
                let low = _mm256_cvtepu8_epi32(_mm_loadl_epi64(from.cast()));
                let high = _mm256_cvtepu8_epi32(_mm_loadl_epi64(from.add(8).cast()));
                [_mm256_cvtepi32_ps(low), _mm256_cvtepi32_ps(high)]
            }
        }
        #[inline(always)]
        unsafe fn float(v: Self::V) -> Self::F {
            unsafe { [_mm256_cvtepi32_ps(v[0]), _mm256_cvtepi32_ps(v[1])] }
        }
        #[inline(always)]
        unsafe fn plus(a: Self::F, b: Self::F) -> Self::F {
            unsafe { [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])] }
        }
        #[inline(always)]
        unsafe fn minus(a: Self::F, b: Self::F) -> Self::F {
            unsafe { [_mm256_sub_ps(a[0], b[0]), _mm256_sub_ps(a[1], b[1])] }
        }
        #[inline(always)]
        unsafe fn times(a: Self::F, b: Self::F) -> Self::F {
            unsafe { [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])] }
        }
        #[inline(always)]
        unsafe fn fused(a: Self::F, b: Self::F, c: Self::F) -> Self::F {
            unsafe { [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])] }
        }
        #[inline(always)]
        unsafe fn larger(a: Self::F, b: Self::F) -> Self::F {
            unsafe { [_mm256_max_ps(a[0], b[0]), _mm256_max_ps(a[1], b[1])] }
        }
        #[inline(always)]
        unsafe fn smaller(a: Self::F, b: Self::F) -> Self::F {
            unsafe { [_mm256_min_ps(a[0], b[0]), _mm256_min_ps(a[1], b[1])] }
        }
        #[inline(always)]
        unsafe fn round(v: Self::F) -> Self::V {
            unsafe { [_mm256_cvtps_epi32(v[0]), _mm256_cvtps_epi32(v[1])] }
        }
        #[inline(always)]
        unsafe fn store_bytes(to: *mut u8, v: Self::V, limits: &Limits) {
            unsafe {
                // [first 4 | second 4] of both registers, in the order of channels
                let words = _mm256_permute4x64_epi64::<0xd8>(_mm256_packs_epi32(v[0], v[1]));
                let words = _mm256_adds_epi16(words, _mm256_set1_epi16(limits.zero as i16));
                let bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
                let bytes = _mm_max_epu8(bytes, _mm_set1_epi8(limits.low.cast_signed()));
                _mm_storeu_si128(to.cast(), _mm_min_epu8(bytes, _mm_set1_epi8(limits.high.cast_signed())));
            }
        }
        #[inline(always)]
        unsafe fn store_two(to: [*mut u8; 2], v: [Self::V; 2], limits: &Limits) {
            unsafe {
                let zero = _mm256_set1_epi16(limits.zero as i16);
                let first = _mm256_adds_epi16(_mm256_packs_epi32(v[0][0], v[0][1]), zero);
                let second = _mm256_adds_epi16(_mm256_packs_epi32(v[1][0], v[1][1]), zero);
                // fours of channels: 0, 2 of both, then 1, 3 of both
                let fours = _mm256_packus_epi16(first, second);
                let bytes = _mm256_permutevar8x32_epi32(fours, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
                let bytes = _mm256_max_epu8(bytes, _mm256_set1_epi8(limits.low.cast_signed()));
                let bytes = _mm256_min_epu8(bytes, _mm256_set1_epi8(limits.high.cast_signed()));
                _mm_storeu_si128(to[0].cast(), _mm256_castsi256_si128(bytes));
                _mm_storeu_si128(to[1].cast(), _mm256_extracti128_si256::<1>(bytes));
            }
        }
    };
}

// SAFETY of every block: the trait's contract; the processor has the instructions and pointers are valid
#[allow(clippy::undocumented_unsafe_blocks, reason = "one reason for all, stated above")]
#[allow(clippy::needless_range_loop, reason = "iterators are not always inlined")]
impl Dot for Avx2 {
    const WIDTH: usize = 2;
    vectors!();

    #[inline(always)]
    unsafe fn step(sums: Self::V, x: __m256i, w: Self::W) -> Self::V {
        unsafe { [_mm256_add_epi32(sums[0], _mm256_madd_epi16(x, w[0])), _mm256_add_epi32(sums[1], _mm256_madd_epi16(x, w[1]))] }
    }
    /// Two steps for each four channels: the first two, and the last two.
    #[inline(always)]
    unsafe fn expand(from: *const i8, quads: usize, to: *mut u8) {
        unsafe {
            // each byte to the upper half of a word, to be shifted down with its sign
            let first = _mm256_setr_epi8(
                -1, 0, -1, 1, -1, 4, -1, 5, -1, 8, -1, 9, -1, 12, -1, 13, -1, 0, -1, 1, -1, 4, -1, 5, -1, 8, -1, 9, -1, 12, -1,
                13,
            );
            let second = _mm256_setr_epi8(
                -1, 2, -1, 3, -1, 6, -1, 7, -1, 10, -1, 11, -1, 14, -1, 15, -1, 2, -1, 3, -1, 6, -1, 7, -1, 10, -1, 11, -1, 14,
                -1, 15,
            );
            for quad in 0..quads {
                let (from, to) = (from.add(quad * 4 * LANES), to.add(quad * 8 * LANES));
                for half in 0..2 {
                    let bytes = _mm256_loadu_si256(from.add(half * 32).cast());
                    let one = _mm256_srai_epi16::<8>(_mm256_shuffle_epi8(bytes, first));
                    let two = _mm256_srai_epi16::<8>(_mm256_shuffle_epi8(bytes, second));
                    _mm256_storeu_si256(to.add(half * 32).cast(), one);
                    _mm256_storeu_si256(to.add(64 + half * 32).cast(), two);
                }
            }
        }
    }
    /// The interleaved words of 16 channels are those of 0 to 3 and 8 to 11, then the others: so are the weights, and the sums
    /// until the end.
    #[inline(always)]
    unsafe fn pairs<const P: usize>(
        start: Self::V,
        x: *const u8,
        pixel: usize,
        segments: *const Segment,
        pairs: usize,
        w: *const u8,
    ) -> [Self::V; P] {
        unsafe {
            let mut sums = [[_mm256_setzero_si256(); 2]; P];
            for pair in 0..pairs {
                let (first, second) = ((*segments.add(2 * pair)).offset, (*segments.add(2 * pair + 1)).offset);
                let w = Self::weights(w.add(pair * 4 * LANES));
                for p in 0..P {
                    let a = _mm256_loadu_si256(x.add(p * pixel + first).cast());
                    let b = _mm256_loadu_si256(x.add(p * pixel + second).cast());
                    sums[p][0] = _mm256_add_epi32(sums[p][0], _mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), w[0]));
                    sums[p][1] = _mm256_add_epi32(sums[p][1], _mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), w[1]));
                }
            }
            for p in 0..P {
                let low = _mm256_permute2x128_si256::<0x20>(sums[p][0], sums[p][1]);
                sums[p] = Self::add(start, [low, _mm256_permute2x128_si256::<0x31>(sums[p][0], sums[p][1])]);
            }
            sums
        }
    }
    #[inline(always)]
    unsafe fn expand_pairs(from: *const i8, pairs: usize, to: *mut u8) {
        unsafe {
            for pair in 0..pairs {
                let from = from.add(pair * 2 * LANES).cast::<__m128i>();
                let low = _mm256_cvtepi8_epi16(_mm_loadu_si128(from));
                let high = _mm256_cvtepi8_epi16(_mm_loadu_si128(from.add(1)));
                let to = to.add(pair * 4 * LANES).cast::<__m256i>();
                _mm256_storeu_si256(to, _mm256_permute2x128_si256::<0x20>(low, high));
                _mm256_storeu_si256(to.add(1), _mm256_permute2x128_si256::<0x31>(low, high));
            }
        }
    }
    #[inline(always)]
    unsafe fn widen(from: *const u8, count: usize, to: *mut u8) {
        unsafe {
            let whole = count / 16 * 16;
            for i in (0..whole).step_by(16) {
                let words = _mm256_cvtepu8_epi16(_mm_loadu_si128(from.add(i).cast()));
                _mm256_storeu_si256(to.add(2 * i).cast(), words);
            }
            for i in whole..count {
                to.add(2 * i).cast::<u16>().write_unaligned(u16::from(*from.add(i)));
            }
        }
    }
}

// SAFETY of every block: as above
#[allow(clippy::undocumented_unsafe_blocks, reason = "one reason for all, stated above")]
#[allow(clippy::needless_range_loop, reason = "iterators are not always inlined")]
impl Dot for AvxVnni {
    const WIDTH: usize = 1;
    vectors!();

    #[inline(always)]
    unsafe fn step(sums: Self::V, x: __m256i, w: Self::W) -> Self::V {
        unsafe { [_mm256_dpbusd_avx_epi32(sums[0], x, w[0]), _mm256_dpbusd_avx_epi32(sums[1], x, w[1])] }
    }
    #[inline(always)]
    unsafe fn expand(from: *const i8, quads: usize, to: *mut u8) {
        unsafe { std::ptr::copy_nonoverlapping(from.cast(), to, quads * 4 * LANES) }
    }
    #[inline(always)]
    unsafe fn pairs<const P: usize>(
        start: Self::V,
        x: *const u8,
        pixel: usize,
        segments: *const Segment,
        pairs: usize,
        w: *const u8,
    ) -> [Self::V; P] {
        unsafe {
            let mut sums = [start; P];
            for pair in 0..pairs {
                let (first, second) = ((*segments.add(2 * pair)).offset, (*segments.add(2 * pair + 1)).offset);
                let w = w.add(2 * pair * LANES).cast::<__m128i>();
                let w = [_mm256_cvtepi8_epi16(_mm_loadu_si128(w)), _mm256_cvtepi8_epi16(_mm_loadu_si128(w.add(1)))];
                for p in 0..P {
                    let a = _mm_loadu_si128(x.add(p * pixel + first).cast());
                    let b = _mm_loadu_si128(x.add(p * pixel + second).cast());
                    let low = _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(a, b));
                    let high = _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(a, b));
                    sums[p][0] = _mm256_add_epi32(sums[p][0], _mm256_madd_epi16(low, w[0]));
                    sums[p][1] = _mm256_add_epi32(sums[p][1], _mm256_madd_epi16(high, w[1]));
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
}
