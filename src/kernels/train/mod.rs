//! The kernels of training: what the gradients of operators compute.
//!
//! As elsewhere in [`super`], the portable instruction set works on plain maps (NCHW) and the others on blocked ones, and what a
//! kernel needs besides its operands is handed in. Sums over samples and pixels are added in an order that depends on sizes
//! alone, so that the same operands give the same bits.

pub mod activation;
pub mod conv_weight;
pub mod dropout;
pub(super) mod leaves;
pub mod linear;
pub mod loss;
pub mod norm;
pub mod plane;
pub mod pool;
pub mod sgd;
pub mod shape;
#[cfg(test)]
mod testing;
