//! Training kernels: the gradients of operators.
//!
//! As elsewhere in [`super`], the portable instruction set uses NCHW and the others the blocked layout, and callers provide the
//! scratch memory of a kernel. Sums over samples and pixels are added in an order that depends only on sizes, so that the same
//! operands give the same bits.

pub mod channel_mul;
pub mod conv_weight;
pub mod dropout;
pub(super) mod feature_maps;
mod instance;
pub mod linear;
pub mod loss;
pub mod movement;
pub mod norm;
pub mod pool;
pub mod reduce;
pub mod sgd;
pub mod softmax;
#[cfg(test)]
mod testing;
