//! Plain Rust for any processor: an emulated tile of 16 output channels.

use std::array::from_fn;

use super::{Dot, LANES, Limits};

/// Arrays, which the compiler vectorizes where it can.
#[derive(Clone, Copy)]
pub(in crate::internal::kernels::int8) struct Portable;

type V = [i32; LANES];
type F = [f32; LANES];

// SAFETY of every block: the trait's contract; pointers are valid
#[allow(clippy::undocumented_unsafe_blocks, reason = "one reason for all, stated above")]
impl Dot for Portable {
    const WIDTH: usize = 1;
    type V = V;
    type F = F;
    type X = [u8; 4];

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
    unsafe fn weights(from: *const u8) -> V {
        unsafe { Self::load(from.cast()) }
    }
    #[inline(always)]
    unsafe fn pixel(from: *const u8) -> [u8; 4] {
        unsafe { from.cast::<[u8; 4]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn step(sums: V, x: [u8; 4], w: V) -> V {
        from_fn(|i| {
            let products = x.iter().zip(w[i].to_ne_bytes()).map(|(&x, w)| i32::from(x) * i32::from(w.cast_signed()));
            sums[i] + products.sum::<i32>()
        })
    }
    #[inline(always)]
    unsafe fn expand(from: *const i8, quads: usize, to: *mut u8) {
        unsafe { std::ptr::copy_nonoverlapping(from.cast(), to, quads * 4 * LANES) }
    }
    #[inline(always)]
    unsafe fn pairs(start: V, x: impl Fn(usize) -> *const u8, pairs: usize, w: *const u8) -> V {
        let mut sums = start;
        for pair in 0..pairs {
            let [a, b] = [0, 1].map(|i| unsafe { x(2 * pair + i).cast::<[u8; LANES]>().read_unaligned() }.map(i32::from));
            let w = unsafe { w.add(pair * 2 * LANES).cast::<[[i8; 2]; LANES]>().read_unaligned() };
            sums = from_fn(|i| sums[i] + a[i] * i32::from(w[i][0]) + b[i] * i32::from(w[i][1]));
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
