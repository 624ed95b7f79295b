//! Loops over places, some at a time.

use std::marker::PhantomData;

use super::loops::PlaceStrip;
use crate::kernels::dispatch::Kernel;
use crate::kernels::simd::Simd;

/// Places that are computed together, so that additions do not wait for each other, and what they share is loaded once.
const TILE: usize = 4;

/// What is computed for each place of a strip.
pub(super) trait Tiles {
    /// The places.
    fn strip(&self) -> &PlaceStrip;

    /// Computes `T` places from `first` on. Implementations are `#[inline(always)]`, as those of [`Kernel::run`].
    ///
    /// # Safety
    /// As [`Kernel::run`].
    unsafe fn tile<S: Simd, const T: usize>(&self, first: usize);
}

/// The loop over all places.
pub(super) struct Tiled<K>(PhantomData<K>);

impl<K: Tiles> Kernel for Tiled<K> {
    type Operands = K;

    #[inline(always)]
    unsafe fn run<S: Simd>(operands: &K) {
        let (mut first, count) = (0, operands.strip().count);
        // SAFETY: guaranteed by the caller
        unsafe {
            while first + TILE <= count {
                operands.tile::<S, TILE>(first);
                first += TILE;
            }
            while first < count {
                operands.tile::<S, 1>(first);
                first += 1;
            }
        }
    }
}
