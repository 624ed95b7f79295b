//! NEON, which every 64-bit Arm processor has: vectors of 8 in two registers, so that layouts and packed weights are those of AVX2.

use std::arch::aarch64::*;
use std::arch::asm;

use super::several::Several;
use super::{Arithmetic, Simd};

/// A register of four floats.
#[derive(Clone, Copy)]
pub(in crate::internal::kernels) struct Quad;

/// NEON.
pub(in crate::internal::kernels) type Neon = Several<Quad, 2>;

/// An operation on the bits of floats.
macro_rules! bits {
    ($operation:ident($($x:expr),+)) => {
        unsafe { vreinterpretq_f32_u32($operation($(vreinterpretq_u32_f32($x)),+)) }
    };
}

// SAFETY of every block: the trait's contract; the processor has the instructions and pointers are valid
#[allow(clippy::undocumented_unsafe_blocks, reason = "one reason for all, stated above")]
impl Arithmetic for Quad {
    type V = float32x4_t;
    type Mask = uint32x4_t;
    #[inline(always)]
    unsafe fn zero() -> float32x4_t {
        unsafe { vdupq_n_f32(0.0) }
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> float32x4_t {
        unsafe { vdupq_n_f32(x) }
    }
    #[inline(always)]
    unsafe fn add(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vaddq_f32(a, b) }
    }
    #[inline(always)]
    unsafe fn sub(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vsubq_f32(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vmulq_f32(a, b) }
    }
    #[inline(always)]
    unsafe fn div(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vdivq_f32(a, b) }
    }
    #[inline(always)]
    unsafe fn fma(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        unsafe { vfmaq_f32(c, a, b) }
    }
    #[inline(always)]
    unsafe fn fnma(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        unsafe { vfmsq_f32(c, a, b) }
    }
    #[inline(always)]
    unsafe fn sqrt(a: float32x4_t) -> float32x4_t {
        unsafe { vsqrtq_f32(a) }
    }
    #[inline(always)]
    unsafe fn floor(a: float32x4_t) -> float32x4_t {
        unsafe { vrndmq_f32(a) }
    }
    /// Not the instruction of that name, which returns NaN if either is NaN, and tells zeros apart.
    #[inline(always)]
    unsafe fn max(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vbslq_f32(vcgtq_f32(a, b), a, b) }
    }
    /// Likewise.
    #[inline(always)]
    unsafe fn min(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vbslq_f32(vcltq_f32(a, b), a, b) }
    }
    #[inline(always)]
    unsafe fn less(a: float32x4_t, b: float32x4_t) -> uint32x4_t {
        unsafe { vcltq_f32(a, b) }
    }
    #[inline(always)]
    unsafe fn less_equal(a: float32x4_t, b: float32x4_t) -> uint32x4_t {
        unsafe { vcleq_f32(a, b) }
    }
    #[inline(always)]
    unsafe fn equals(a: float32x4_t, b: float32x4_t) -> uint32x4_t {
        unsafe { vceqq_f32(a, b) }
    }
    #[inline(always)]
    unsafe fn select(mask: uint32x4_t, yes: float32x4_t, no: float32x4_t) -> float32x4_t {
        unsafe { vbslq_f32(mask, yes, no) }
    }
    #[inline(always)]
    unsafe fn and(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        bits!(vandq_u32(a, b))
    }
    #[inline(always)]
    unsafe fn or(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        bits!(vorrq_u32(a, b))
    }
    #[inline(always)]
    unsafe fn xor(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        bits!(veorq_u32(a, b))
    }
    #[inline(always)]
    unsafe fn int_add(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        bits!(vaddq_u32(a, b))
    }
    #[inline(always)]
    unsafe fn int_sub(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        bits!(vsubq_u32(a, b))
    }
    #[inline(always)]
    unsafe fn shift_left<const N: u32>(a: float32x4_t) -> float32x4_t {
        unsafe { vreinterpretq_f32_s32(vshlq_s32(vreinterpretq_s32_f32(a), vdupq_n_s32(N as i32))) }
    }
    /// By a negative count to the left, which becomes a constant shift to the right.
    #[inline(always)]
    unsafe fn shift_right<const N: u32>(a: float32x4_t) -> float32x4_t {
        unsafe { vreinterpretq_f32_s32(vshlq_s32(vreinterpretq_s32_f32(a), vdupq_n_s32(-(N as i32)))) }
    }
    /// As by [`Arithmetic::max`]: without those below zero. NaN and `-0` are not.
    #[inline(always)]
    unsafe fn relu(x: float32x4_t) -> float32x4_t {
        unsafe { vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(x), vcltzq_f32(x))) }
    }
}

// SAFETY of every block: as above
#[allow(clippy::undocumented_unsafe_blocks, reason = "one reason for all, stated above")]
impl Simd for Neon {
    const LANES: usize = 8;
    const PREFETCH_PER_CHANNEL: bool = false;
    const FACTORS: usize = 4;
    type Factors = float32x4_t;
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::V {
        unsafe { [vld1q_f32(from), vld1q_f32(from.add(4))] }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, v: Self::V) {
        unsafe {
            vst1q_f32(to, v[0]);
            vst1q_f32(to.add(4), v[1]);
        }
    }
    #[inline(always)]
    unsafe fn stream(to: *mut f32, v: Self::V) {
        unsafe {
            asm!(
                "stnp {low:q}, {high:q}, [{to}]",
                low = in(vreg) v[0],
                high = in(vreg) v[1],
                to = in(reg) to,
                options(nostack, preserves_flags),
            );
        }
    }
    /// Nothing: these are stores like others, in the order that any release of a lock imposes.
    #[inline(always)]
    unsafe fn finish_streams() {}
    #[inline(always)]
    unsafe fn factors(from: *const f32) -> float32x4_t {
        unsafe { vld1q_f32(from) }
    }
    #[inline(always)]
    unsafe fn fma_factor(factors: float32x4_t, index: usize, v: Self::V, sum: Self::V) -> Self::V {
        unsafe {
            match index {
                0 => [vfmaq_laneq_f32::<0>(sum[0], v[0], factors), vfmaq_laneq_f32::<0>(sum[1], v[1], factors)],
                1 => [vfmaq_laneq_f32::<1>(sum[0], v[0], factors), vfmaq_laneq_f32::<1>(sum[1], v[1], factors)],
                2 => [vfmaq_laneq_f32::<2>(sum[0], v[0], factors), vfmaq_laneq_f32::<2>(sum[1], v[1], factors)],
                _ => [vfmaq_laneq_f32::<3>(sum[0], v[0], factors), vfmaq_laneq_f32::<3>(sum[1], v[1], factors)],
            }
        }
    }
    #[inline(always)]
    unsafe fn above(a: Self::V, b: Self::V, yes: Self::V, no: Self::V) -> Self::V {
        unsafe { Self::select(Self::less_equal(a, b), no, yes) }
    }
    #[inline(always)]
    unsafe fn equal(a: Self::V, b: Self::V, yes: Self::V, no: Self::V) -> Self::V {
        unsafe { Self::select(Self::equals(a, b), yes, no) }
    }
    #[inline(always)]
    unsafe fn sum(v: Self::V) -> f32 {
        unsafe {
            let v = vaddq_f32(v[0], v[1]);
            let v = vadd_f32(vget_low_f32(v), vget_high_f32(v));
            vget_lane_f32::<0>(v) + vget_lane_f32::<1>(v)
        }
    }
    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "iterators are not always inlined")]
    unsafe fn transpose(from: *const f32, from_step: usize, to: *mut f32, to_step: usize) {
        unsafe {
            for (i, j) in [(0, 0), (0, 4), (4, 0), (4, 4)] {
                let mut r = [vdupq_n_f32(0.0); 4];
                for k in 0..4 {
                    r[k] = vld1q_f32(from.add((i + k) * from_step + j));
                }
                // the even and the odd columns of two rows
                let [a, b] = [vtrn1q_f32(r[0], r[1]), vtrn2q_f32(r[0], r[1])].map(|v| vreinterpretq_f64_f32(v));
                let [c, d] = [vtrn1q_f32(r[2], r[3]), vtrn2q_f32(r[2], r[3])].map(|v| vreinterpretq_f64_f32(v));
                let columns = [vtrn1q_f64(a, c), vtrn1q_f64(b, d), vtrn2q_f64(a, c), vtrn2q_f64(b, d)];
                for k in 0..4 {
                    vst1q_f32(to.add((j + k) * to_step + i), vreinterpretq_f32_f64(columns[k]));
                }
            }
        }
    }
    #[inline(always)]
    unsafe fn prefetch(at: *const f32) {
        unsafe { asm!("prfm pldl1keep, [{at}]", at = in(reg) at, options(nostack, preserves_flags, nomem)) }
    }
}
