//! Sums of products of bytes, one type per instruction set, so that loop nests are written once for all of them.
//!
//! A vector holds 16 values, one for each output channel of a panel of weights, in as many registers as that takes. All operations
//! give the same bits everywhere: integers are exact, and floats are rounded one by one as IEEE 754 demands.

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
pub(super) mod portable;

/// Output channels of a panel of weights, and values per vector.
pub(super) const LANES: usize = 16;

/// Input channels at a kernel element: consecutive bytes of each pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// Bytes from the tile's first pixel.
    pub offset: usize,
    /// Steps of four bytes.
    pub steps: usize,
}

/// What the loop nests need of an instruction set.
///
/// A strip of activations holds each of them in [`Dot::WIDTH`] bytes. A step takes four bytes of a pixel, which are four or two
/// channels, and the weights of these channels: 64 bytes, `[16 output channels][4 bytes]`.
///
/// # Safety
/// For all functions: the processor supports the instruction set of the implementation, and pointers are valid for what is read
/// or written there (no alignment is required).
#[allow(clippy::missing_safety_doc, reason = "one contract for all, stated above")]
pub(super) trait Dot: Copy + 'static {
    /// Bytes of an activation in a strip: 1, or 2 where there is no exact product of bytes.
    const WIDTH: usize;
    /// 16 integers.
    type V: Copy;
    /// 64 bytes of weights.
    type W: Copy;
    /// 16 floats.
    type F: Copy;
    /// Four bytes of a pixel, as often as a step needs them.
    type X: Copy;

    unsafe fn load(from: *const i32) -> Self::V;
    unsafe fn store(to: *mut i32, v: Self::V);
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    /// 64 bytes of weights.
    unsafe fn weights(from: *const u8) -> Self::W;
    /// Four bytes of a pixel.
    unsafe fn pixel(from: *const u8) -> Self::X;
    /// Adds the products of a step to the sums.
    unsafe fn step(sums: Self::V, x: Self::X, w: Self::W) -> Self::V;
    /// Makes `quads` steps of packed weights, 64 bytes each, those of a strip: as they are if `WIDTH` is 1.
    unsafe fn expand(from: *const i8, quads: usize, to: *mut u8);
    /// For pixels that are `pixel` bytes apart, the sums of `start` and the products of 16 channels of `pairs` pairs of kernel
    /// elements, which are at the offsets of the segments.
    unsafe fn pairs<const P: usize>(
        start: Self::V,
        x: *const u8,
        pixel: usize,
        segments: *const Segment,
        pairs: usize,
        w: *const u8,
    ) -> [Self::V; P];
    /// Makes the weights of pairs of kernel elements, `[pair][16][2]`, those of [`Dot::pairs`]: as they are if `WIDTH` is 1, else
    /// 64 bytes for each pair.
    unsafe fn expand_pairs(from: *const i8, pairs: usize, to: *mut u8);
    /// Copies `count` activations into a strip.
    unsafe fn widen(from: *const u8, count: usize, to: *mut u8);

    unsafe fn splat(x: f32) -> Self::F;
    unsafe fn load_floats(from: *const f32) -> Self::F;
    unsafe fn store_floats(to: *mut f32, v: Self::F);
    /// 16 bytes as floats.
    unsafe fn bytes(from: *const u8) -> Self::F;
    /// The nearest floats, ties to even.
    unsafe fn float(v: Self::V) -> Self::F;
    unsafe fn plus(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn minus(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn times(a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c`, rounded once.
    unsafe fn fused(a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// The larger one; `b` if either is NaN, or both are zero.
    unsafe fn larger(a: Self::F, b: Self::F) -> Self::F;
    /// The smaller one; `b` likewise.
    unsafe fn smaller(a: Self::F, b: Self::F) -> Self::F;
    /// The nearest integers, ties to even; a large negative number where `v` is one. No value is above 2^31 - 128 or NaN.
    unsafe fn round(v: Self::F) -> Self::V;
    /// Writes `v + zero`, limited, as 16 bytes. No integer is above 32 000.
    unsafe fn store_bytes(to: *mut u8, v: Self::V, limits: &Limits);
    /// The same for two vectors.
    #[inline(always)]
    unsafe fn store_two(to: [*mut u8; 2], v: [Self::V; 2], limits: &Limits) {
        // SAFETY: guaranteed by the caller
        unsafe {
            Self::store_bytes(to[0], v[0], limits);
            Self::store_bytes(to[1], v[1], limits);
        }
    }
    /// A compiler barrier for loads: see [`Simd::fence`](crate::kernels::simd::Simd::fence). Emits no instruction.
    #[inline(always)]
    unsafe fn fence() {
        // SAFETY: empty assembly
        unsafe { std::arch::asm!("", options(nostack, preserves_flags)) }
    }
}

/// What is stored as bytes: integers plus a zero point, limited.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The zero point, 0 to 255.
    pub zero: i32,
    pub low: u8,
    pub high: u8,
}
