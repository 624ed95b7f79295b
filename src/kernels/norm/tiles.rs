//! Loops over places, some at a time.

use std::marker::PhantomData;

use crate::kernels::dispatch::Kernel;
use crate::kernels::simd::Simd;

/// Places that are computed together, so that additions do not wait for each other, and what they share is loaded once.
const TILE: usize = 4;

/// The vectors of some places.
#[derive(Clone, Copy)]
pub(super) struct PlaceStrip {
    /// Vectors of each place.
    pub vectors: usize,
    /// Floats from a vector to the next one of the same place.
    pub step: usize,
    /// How many places, or vectors of places.
    pub count: usize,
    /// Floats from one of them to the next one.
    pub between: usize,
    /// Values of a place.
    pub values: f32,
    /// Whether the lanes of a vector are values of one place; otherwise they are places.
    pub across: bool,
    /// Factors that are 0 for the lanes of the last vector that are no values, and otherwise 1.
    pub mask: *const f32,
    /// Added to the variance.
    pub eps: f32,
    /// The weights, filled up to whole vectors; null for 1.
    pub weight: *const f32,
}

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
