//! Four floats, which the compiler maps to the vectors that every processor of a kind has (SSE2, NEON), lane by lane as
//! [`Scalar`](super::scalar::Scalar).

use std::array::from_fn;

use super::scalar::Scalar;
use super::{Arithmetic, Simd};

/// An array of floats. Elementwise kernels use it, which do not depend on a layout of blocks.
#[derive(Clone, Copy)]
pub(in crate::internal::kernels) struct Array;

type V = [f32; Array::LANES];

/// All bits of a lane, or none.
type Mask = [u32; Array::LANES];

/// Implements operations lane by lane.
macro_rules! lanes {
    ($($name:ident($($x:ident),+);)+) => {
        $(
            #[inline(always)]
            unsafe fn $name($($x: V),+) -> V {
                from_fn(|i| unsafe { Scalar::$name($($x[i]),+) })
            }
        )+
    };
}

/// Implements comparisons lane by lane.
macro_rules! comparisons {
    ($($name:ident),+) => {
        $(
            #[inline(always)]
            unsafe fn $name(a: V, b: V) -> Mask {
                from_fn(|i| if unsafe { Scalar::$name(a[i], b[i]) } { u32::MAX } else { 0 })
            }
        )+
    };
}

// SAFETY of every block: the trait's contract; pointers are valid
#[allow(clippy::undocumented_unsafe_blocks, reason = "one reason for all, stated above")]
impl Arithmetic for Array {
    type V = V;
    type Mask = Mask;
    lanes! {
        add(a, b);
        sub(a, b);
        mul(a, b);
        div(a, b);
        fma(a, b, c);
        fnma(a, b, c);
        fused(a, b, c);
        sqrt(a);
        floor(a);
        max(a, b);
        min(a, b);
        and(a, b);
        or(a, b);
        xor(a, b);
        int_add(a, b);
        int_sub(a, b);
    }
    comparisons!(less, less_equal, equals);
    #[inline(always)]
    unsafe fn zero() -> V {
        [0.0; Array::LANES]
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> V {
        [x; Array::LANES]
    }
    #[inline(always)]
    unsafe fn select(mask: Mask, yes: V, no: V) -> V {
        from_fn(|i| f32::from_bits(mask[i] & yes[i].to_bits() | !mask[i] & no[i].to_bits()))
    }
    #[inline(always)]
    unsafe fn shift_left<const N: u32>(a: V) -> V {
        from_fn(|i| unsafe { Scalar::shift_left::<N>(a[i]) })
    }
    #[inline(always)]
    unsafe fn shift_right<const N: u32>(a: V) -> V {
        from_fn(|i| unsafe { Scalar::shift_right::<N>(a[i]) })
    }
}

// SAFETY of every block: as above
#[allow(clippy::undocumented_unsafe_blocks, reason = "one reason for all, stated above")]
impl Simd for Array {
    const LANES: usize = 4;
    const PREFETCH_PER_CHANNEL: bool = false;
    const FACTORS: usize = 1;
    type Factors = V;

    lanes! {
        above(a, b, yes, no);
        equal(a, b, yes, no);
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> V {
        unsafe { from.cast::<V>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, v: V) {
        unsafe { to.cast::<V>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn stream(to: *mut f32, v: V) {
        unsafe { Self::store(to, v) }
    }
    #[inline(always)]
    unsafe fn factors(from: *const f32) -> V {
        unsafe { Self::splat(*from) }
    }
    #[inline(always)]
    unsafe fn fma_factor(factors: V, _: usize, v: V, sum: V) -> V {
        unsafe { Self::fma(factors, v, sum) }
    }
    #[inline(always)]
    unsafe fn finish_streams() {}
    #[inline(always)]
    unsafe fn sum(v: V) -> f32 {
        v[0] + v[2] + (v[1] + v[3])
    }
    #[inline(always)]
    unsafe fn transpose(from: *const f32, from_step: usize, to: *mut f32, to_step: usize) {
        for (i, j) in (0..Self::LANES).flat_map(|i| (0..Self::LANES).map(move |j| (i, j))) {
            unsafe { *to.add(j * to_step + i) = *from.add(i * from_step + j) };
        }
    }
    #[inline(always)]
    unsafe fn prefetch(_: *const f32) {}
}
