//! Constants of several functions.

/// 1.5 * 2^23: a float of this size has no fraction, so that adding this rounds to an integer, and its low bits are that integer.
pub(super) const ROUND: f32 = 12_582_912.0;

/// ln 2, rounded to 15 bits: a multiple of up to 8 bits is exact.
pub(super) const LN2_HIGH: f32 = 0.693_145_75;

/// ln 2 minus [`LN2_HIGH`].
pub(super) const LN2_LOW: f32 = 1.428_606_8e-6;
