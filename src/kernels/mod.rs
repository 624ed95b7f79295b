//! Arithmetic on slices: convolution, pooling, elementwise operators. Only imports `base` and `elementwise`, and knows nothing of graphs.
//!
//! Every kernel receives the [`ThreadPool`] over which it distributes its work. The distribution depends only on sizes and the
//! thread count, so that the same thread count gives the same bits. Kernels do not allocate: their scratch memory and packed
//! weights are planned and passed in.

pub mod aligned;
#[allow(dead_code, reason = "off x86-64 and 64-bit Arm no instruction set has kernels of its own yet")]
mod clamp;
pub mod conv;
#[allow(dead_code, reason = "off x86-64 and 64-bit Arm no instruction set has kernels of its own yet")]
mod dispatch;
pub mod elementwise;
pub mod int8;
pub mod interpolate;
pub mod isa;
pub mod layout;
pub mod linear;
#[allow(dead_code, reason = "off x86-64 and 64-bit Arm no instruction set has kernels of its own yet")]
mod microkernel;
pub mod nchw;
pub mod nchwc;
pub mod norm;
pub mod pad;
pub mod peak;
pub mod pool;
#[cfg(test)]
mod reference;
#[allow(dead_code, reason = "off x86-64 and 64-bit Arm no instruction set has kernels of its own yet")]
mod simd;
pub mod standardize;
pub mod threads;
mod tiles;
pub mod train;
pub mod upsample;
pub mod winograd;

pub use aligned::Aligned;
pub use conv::{ConvOperands, ConvShape, Epilogue, Residual};
pub use elementwise::Activation;
pub use isa::{Extension, Features, Isa, IsaError};
pub use layout::Layout;
pub use threads::ThreadPool;
