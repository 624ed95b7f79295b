//! Winograd convolution: 3x3, stride 1, in tiles of 2x2 or 4x4 outputs, with 2.25 or 4 times fewer multiplications.
//!
//! A tile of outputs is `A^T [(G g G^T) . (B^T d B)] A` (Lavin and Gray 2015, "Fast algorithms for convolutional neural
//! networks"), where `d` is the input tile, `g` a filter, and the product in the middle is elementwise. Summed over input
//! channels, it is one matrix product for each of the 16 or 36 elements, which are called points here.
//!
//! The matrices are those of the Toom-Cook algorithm: `A` and `G` evaluate polynomials at a set of numbers and at infinity (the
//! leading coefficient), `B^T` is the transposed interpolation. F(2x2) uses 0, 1, -1; F(4x4) uses 0, ±√½, ±√2, whose reciprocal
//! pairs keep the powers in `A` and `B` small: the error is a quarter of that of the usual 0, ±1, ±2. A point may be scaled in
//! one matrix if it is unscaled in another; scales and denominators are moved to `G`, which is applied once, in f64
//! (`weights`).
//!
//! The output is split into blocks of tiles. The input of a block is transformed to `V[point][block][tile][lanes]`; then, for
//! each unit of output channels (two blocks), the micro-kernel computes `M[point][block][tile][lanes]`, which fits in the L2
//! cache, and the output transform reads it from there.

mod conv;
pub(super) mod size;
#[cfg(test)]
mod tests;
pub(super) mod transform;
mod weights;

pub use conv::{Scratch, Split, WinogradPlan, conv, scratch, supports};
pub use size::Size;
pub use weights::{Units, pack, packed_len};
