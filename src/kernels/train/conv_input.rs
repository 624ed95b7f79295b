//! The gradient of a convolution's input: the transposed convolution.
//!
//! Where the stride is 1 it is a convolution of `dy` with the weight's taps in reverse and its filters and channels exchanged
//! ([`as_conv`], [`transpose_weight`]), which any strategy can do. Else it falls into phases, the pixels of the input whose row
//! and column leave the same remainders modulo the stride: each is such a convolution with those taps that reach it.

use std::collections::TryReserveError;

use crate::kernels::{Aligned, ConvShape, Isa, Pool};

/// The convolution over `dy` that gives the gradient of the input of `shape`, where it is one: at stride 1, with no more padding
/// than taps reach. Its weight is made by [`transpose_weight`].
pub fn as_conv(shape: &ConvShape) -> Option<ConvShape> {
    let _ = shape;
    None
}

/// The weight of [`as_conv`], `[channels, filters / groups, kernel]`, from that of `shape`, `[filters, channels / groups, kernel]`.
///
/// # Panics
/// Where a slice is not as long as the sizes say.
pub fn transpose_weight(shape: &ConvShape, weight: &[f32], out: &mut [f32]) {
    let _ = (shape, weight, out);
}

/// Floats of a weight that [`pack`] made.
pub fn packed_len(isa: Isa, shape: &ConvShape) -> usize {
    let _ = (isa, shape);
    0
}

/// Packs a weight, `[filters, channels / groups, kernel]` as stored, for [`conv_input`].
pub fn pack(isa: Isa, shape: &ConvShape, weight: &[f32]) -> Result<Aligned, TryReserveError> {
    let _ = weight;
    Aligned::zeroed(packed_len(isa, shape))
}

/// Floats of scratch for so many threads.
pub fn scratch(isa: Isa, shape: &ConvShape, threads: usize) -> usize {
    let _ = (isa, shape, threads);
    0
}

/// The gradient `dx` of a convolution's input from the gradient `dy` of its output, for any stride; `shape` is that of the
/// convolution, the weight as [`pack`] made it. Both maps are blocked, or plain (NCHW) with the portable instruction set.
/// `scratch` holds [`scratch`] floats.
///
/// # Panics
/// Where this processor lacks the instruction set, or a slice is not as long as the sizes say.
pub fn conv_input(pool: &Pool, isa: Isa, shape: &ConvShape, dy: &[f32], weight: &[f32], scratch: &mut [f32], dx: &mut [f32]) {
    let _ = (pool, isa, shape, dy, weight, scratch);
    dx.fill(0.0);
}
