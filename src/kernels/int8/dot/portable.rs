//! Plain Rust for any processor: an emulated tile of 16 output channels.

use std::array::from_fn;

use super::{Dot, LANES, Limits, Segment};

/// Arrays, which the compiler vectorizes where it can.
#[derive(Clone, Copy)]
pub(in crate::internal::kernels::int8) struct Portable;

type V = [i32; LANES];
/// The first two weights of each four, and the last two: SSE2 and others multiply pairs of 16 bits.
type W = [[i16; 2 * LANES]; 2];
type F = [f32; LANES];

// SAFETY of every block: the trait's contract; pointers are valid
#[allow(clippy::undocumented_unsafe_blocks, reason = "one reason for all, stated above")]
#[allow(clippy::needless_range_loop, reason = "as in the other implementations")]
impl Dot for Portable {
    const WIDTH: usize = 1;
    type V = V;
    type F = F;
    type W = W;
    type X = [i16; 4];

    #[inline(always)]
    unsafe fn load(from: *const i32) -> V {
        unsafe { from.cast::<V>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(to: *mut i32, v: V) {
        unsafe { to.cast::<V>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn add(a: V, b: V) -> V {
        from_fn(|i| a[i] + b[i])
    }
    #[inline(always)]
    unsafe fn weights(from: *const u8) -> W {
        let bytes = unsafe { from.cast::<[[i8; 4]; LANES]>().read_unaligned() };
        let mut w = [[0; 2 * LANES]; 2];
        for (i, bytes) in bytes.iter().enumerate() {
            for k in 0..4 {
                w[k / 2][2 * i + k % 2] = bytes[k].into();
            }
        }
        w
    }
    #[inline(always)]
    unsafe fn pixel(from: *const u8) -> [i16; 4] {
        unsafe { from.cast::<[u8; 4]>().read_unaligned() }.map(i16::from)
    }
    #[inline(always)]
    unsafe fn step(sums: V, x: [i16; 4], w: W) -> V {
        let mut out = sums;
        for pair in 0..2 {
            let [a, b] = [x[2 * pair], x[2 * pair + 1]].map(i32::from);
            for i in 0..LANES {
                out[i] += a * i32::from(w[pair][2 * i]) + b * i32::from(w[pair][2 * i + 1]);
            }
        }
        out
    }
    #[inline(always)]
    unsafe fn expand(from: *const i8, quads: usize, to: *mut u8) {
        unsafe { std::ptr::copy_nonoverlapping(from.cast(), to, quads * 4 * LANES) }
    }
    #[inline(always)]
    unsafe fn pairs<const P: usize>(
        start: V,
        x: *const u8,
        pixel: usize,
        segments: *const Segment,
        pairs: usize,
        w: *const u8,
    ) -> [V; P] {
        let mut sums = [start; P];
        for pair in 0..pairs {
            let w = unsafe { w.add(pair * 2 * LANES).cast::<[[i8; 2]; LANES]>().read_unaligned() };
            for (p, sums) in sums.iter_mut().enumerate() {
                let [a, b] = [0, 1].map(|i| {
                    let from = unsafe { x.add(p * pixel + (*segments.add(2 * pair + i)).offset) };
                    unsafe { from.cast::<[u8; LANES]>().read_unaligned() }.map(i32::from)
                });
                *sums = from_fn(|i| sums[i] + a[i] * i32::from(w[i][0]) + b[i] * i32::from(w[i][1]));
            }
        }
        sums
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
    unsafe fn splat(x: f32) -> F {
        [x; LANES]
    }
    #[inline(always)]
    unsafe fn load_floats(from: *const f32) -> F {
        unsafe { from.cast::<F>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store_floats(to: *mut f32, v: F) {
        unsafe { to.cast::<F>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn bytes(from: *const u8) -> F {
        unsafe { from.cast::<[u8; LANES]>().read_unaligned() }.map(f32::from)
    }
    #[inline(always)]
    unsafe fn float(v: V) -> F {
        v.map(|v| v as f32)
    }
    #[inline(always)]
    unsafe fn plus(a: F, b: F) -> F {
        from_fn(|i| a[i] + b[i])
    }
    #[inline(always)]
    unsafe fn minus(a: F, b: F) -> F {
        from_fn(|i| a[i] - b[i])
    }
    #[inline(always)]
    unsafe fn times(a: F, b: F) -> F {
        from_fn(|i| a[i] * b[i])
    }
    /// In software where the processor has no such instruction: rounding an f64 again would not always give the same.
    #[inline(always)]
    unsafe fn fused(a: F, b: F, c: F) -> F {
        from_fn(|i| a[i].mul_add(b[i], c[i]))
    }
    #[inline(always)]
    unsafe fn larger(a: F, b: F) -> F {
        from_fn(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    unsafe fn smaller(a: F, b: F) -> F {
        from_fn(|i| if a[i] < b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    unsafe fn round(v: F) -> V {
        v.map(|v| v.round_ties_even() as i32)
    }
    #[inline(always)]
    unsafe fn store_bytes(to: *mut u8, v: V, limits: &Limits) {
        // the limits are bytes
        let bytes = v.map(|v| v.saturating_add(limits.zero).clamp(i32::from(limits.low), i32::from(limits.high)) as u8);
        unsafe { to.cast::<[u8; LANES]>().write_unaligned(bytes) }
    }
}
