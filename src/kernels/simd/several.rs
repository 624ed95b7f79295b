//! Several vectors at a time.

use std::marker::PhantomData;

use super::Arithmetic;

/// `N` vectors, whose operations alternate. A polynomial is a chain of operations that wait for each other; with several chains the
/// processor always has something to do.
#[derive(Clone, Copy)]
pub(in crate::internal::kernels) struct Several<S, const N: usize>(PhantomData<S>);

/// Implements operations vector by vector.
macro_rules! each {
    ($($name:ident($($x:ident),+) -> $result:ident;)+) => {
        $(
            #[inline(always)]
            unsafe fn $name($($x: Self::V),+) -> Self::$result {
                let mut result = [unsafe { S::$name($($x[0]),+) }; N];
                for i in 1..N {
                    result[i] = unsafe { S::$name($($x[i]),+) };
                }
                result
            }
        )+
    };
}

// SAFETY of every block: the trait's contract
#[allow(clippy::undocumented_unsafe_blocks, reason = "one reason for all, stated above")]
#[allow(clippy::needless_range_loop, reason = "iterators are not always inlined")]
impl<S: Arithmetic, const N: usize> Arithmetic for Several<S, N> {
    type V = [S::V; N];
    type Mask = [S::Mask; N];

    each! {
        add(a, b) -> V;
        sub(a, b) -> V;
        mul(a, b) -> V;
        div(a, b) -> V;
        fma(a, b, c) -> V;
        fnma(a, b, c) -> V;
        fused(a, b, c) -> V;
        sqrt(a) -> V;
        floor(a) -> V;
        max(a, b) -> V;
        min(a, b) -> V;
        less(a, b) -> Mask;
        less_equal(a, b) -> Mask;
        equals(a, b) -> Mask;
        and(a, b) -> V;
        or(a, b) -> V;
        xor(a, b) -> V;
        int_add(a, b) -> V;
        int_sub(a, b) -> V;
        scale(x, count) -> V;
        relu(x) -> V;
    }

    #[inline(always)]
    unsafe fn zero() -> Self::V {
        [unsafe { S::zero() }; N]
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::V {
        [unsafe { S::splat(x) }; N]
    }
    #[inline(always)]
    unsafe fn select(mask: Self::Mask, yes: Self::V, no: Self::V) -> Self::V {
        let mut result = yes;
        for i in 0..N {
            result[i] = unsafe { S::select(mask[i], yes[i], no[i]) };
        }
        result
    }
    #[inline(always)]
    unsafe fn shift_left<const M: u32>(a: Self::V) -> Self::V {
        let mut result = a;
        for i in 0..N {
            result[i] = unsafe { S::shift_left::<M>(a[i]) };
        }
        result
    }
    #[inline(always)]
    unsafe fn shift_right<const M: u32>(a: Self::V) -> Self::V {
        let mut result = a;
        for i in 0..N {
            result[i] = unsafe { S::shift_right::<M>(a[i]) };
        }
        result
    }
}
