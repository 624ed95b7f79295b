//! Vectors of f32, one type an instruction set, so that a loop nest is written once for all of them.
//!
//! Every operation is `#[inline(always)]` and none carries `#[target_feature]` itself: they become single instructions
//! where a generic kernel is instantiated inside a function that does ([`super::isa`] holds those).

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
pub(super) mod scalar;

/// A vector of f32 and what kernels do with it.
///
/// # Safety
/// Of all its functions: the processor has the instruction set of the implementation, and pointers are valid for
/// [`Simd::LANES`] floats (no alignment is asked for).
#[allow(clippy::missing_safety_doc, reason = "one contract for all, stated above")]
pub(super) trait Simd: Copy + 'static {
    /// Floats of a vector.
    const LANES: usize;
    /// Whether the micro-kernel asks for a line with every channel, rather than for those of a block at once: what memory can
    /// keep up with, where there are instructions to spare.
    const SPREAD: bool;
    /// A register.
    type V: Copy;

    unsafe fn zero() -> Self::V;
    unsafe fn splat(x: f32) -> Self::V;
    unsafe fn load(from: *const f32) -> Self::V;
    unsafe fn store(to: *mut f32, v: Self::V);
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn div(a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`, rounded once where the instruction set can.
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `c - a * b`, rounded likewise.
    unsafe fn fnma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The larger; `b` where either is not a number.
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    /// Lane by lane `yes` where `a > b` or one of them is not a number, else `no`.
    unsafe fn above(a: Self::V, b: Self::V, yes: Self::V, no: Self::V) -> Self::V;
    /// Lane by lane `yes` where `a` equals `b`, else `no`.
    unsafe fn equal(a: Self::V, b: Self::V, yes: Self::V, no: Self::V) -> Self::V;
    /// The sum of the lanes: the upper half is added to the lower one, until one number is left.
    unsafe fn sum(v: Self::V) -> f32;
    /// Turns a square of `LANES x LANES`: `to[j * to_step + i] = from[i * from_step + j]`.
    unsafe fn transpose(from: *const f32, from_step: usize, to: *mut f32, to_step: usize);
    /// Asks for a cache line, of any address.
    unsafe fn prefetch(at: *const f32);

    /// No load is moved across it by the compiler, which would hoist those of an unrolled loop until accumulators spill. It is
    /// no instruction.
    #[inline(always)]
    unsafe fn fence() {
        // SAFETY: nothing happens
        unsafe { std::arch::asm!("", options(nostack, preserves_flags)) }
    }

    /// `max(x, 0)`; NaN stays NaN, so that a broken model shows.
    #[inline(always)]
    unsafe fn relu(x: Self::V) -> Self::V {
        // SAFETY: the caller's
        unsafe { Self::max(Self::zero(), x) }
    }
}
