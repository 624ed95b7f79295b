//! Vectors of f32, one type per instruction set, so that a loop nest is written once for all of them.
//!
//! Every operation is `#[inline(always)]` without `#[target_feature]`: it becomes a single instruction where a generic kernel is
//! instantiated inside a function that has the target feature (see [`super::dispatch`]).

mod arithmetic;
pub(super) mod array;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
#[cfg(target_arch = "aarch64")]
pub(super) mod neon;
pub(super) mod scalar;
pub(super) mod several;

pub(super) use arithmetic::Arithmetic;

/// A vector of f32 in memory and in a register, and the operations that kernels use.
///
/// # Safety
/// For all functions: the processor supports the instruction set of the implementation, and pointers are valid for
/// [`Simd::LANES`] floats (no alignment is required).
#[allow(clippy::missing_safety_doc, reason = "one contract for all, stated above")]
pub(super) trait Simd: Arithmetic {
    /// Floats per vector.
    const LANES: usize;
    /// Whether the micro-kernel prefetches one cache line per channel instead of all lines of a block at once. This suits the
    /// memory bandwidth better if there are instructions to spare.
    const PREFETCH_PER_CHANNEL: bool;
    /// Neighboring floats that are loaded at once to multiply vectors by each of them.
    const FACTORS: usize;
    /// [`Simd::FACTORS`] floats by which vectors are multiplied.
    type Factors: Copy;
    unsafe fn load(from: *const f32) -> Self::V;
    unsafe fn store(to: *mut f32, v: Self::V);
    /// Writes past the caches to an address that is a multiple of the vector's size. [`Simd::finish_streams`] must follow.
    unsafe fn stream(to: *mut f32, v: Self::V);
    /// Makes what [`Simd::stream`] wrote visible to other threads before anything that follows.
    unsafe fn finish_streams();
    /// Reads [`Simd::FACTORS`] floats.
    unsafe fn factors(from: *const f32) -> Self::Factors;
    /// `v` times the factor with this index, plus `sum`; rounded as by [`Arithmetic::fma`].
    unsafe fn fma_factor(factors: Self::Factors, index: usize, v: Self::V, sum: Self::V) -> Self::V;
    /// Per lane: `yes` if `a > b` or either is NaN, else `no`.
    unsafe fn above(a: Self::V, b: Self::V, yes: Self::V, no: Self::V) -> Self::V;
    /// Per lane: `yes` if `a` equals `b`, else `no`.
    unsafe fn equal(a: Self::V, b: Self::V, yes: Self::V, no: Self::V) -> Self::V;
    /// The sum of the lanes: the upper half is added to the lower half, until one value is left.
    unsafe fn sum(v: Self::V) -> f32;
    /// Transposes a `LANES x LANES` square: `to[j * to_step + i] = from[i * from_step + j]`.
    unsafe fn transpose(from: *const f32, from_step: usize, to: *mut f32, to_step: usize);
    /// Prefetches a cache line; any address is allowed.
    unsafe fn prefetch(at: *const f32);

    /// The same vector, computed before any load that follows in the source, where the compiler would otherwise interleave what
    /// needs more registers than there are. Emits no instruction.
    #[inline(always)]
    unsafe fn settle(v: Self::V) -> Self::V {
        v
    }
    /// A compiler barrier for loads: otherwise the compiler would hoist those of an unrolled loop until accumulators spill. Emits
    /// no instruction.
    #[inline(always)]
    unsafe fn fence() {
        // SAFETY: empty assembly
        unsafe { std::arch::asm!("", options(nostack, preserves_flags)) }
    }
}
