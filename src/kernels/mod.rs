//! Arithmetic over slices: convolution strategies, pooling, element-wise. Imports `base` alone and knows no graph.
//!
//! Every kernel takes the [`Pool`] that it spreads its work over. The split depends on sizes and thread count alone, so
//! that the same count gives the same bits. What a kernel needs besides its operands (scratch, packed weights) is planned
//! and handed in: none allocates.

pub mod aligned;
pub mod blocked;
pub mod conv;
pub mod direct;
pub mod elementwise;
pub mod gemm_conv;
pub mod isa;
pub mod layout;
pub mod linear;
pub mod peak;
pub mod pool;
pub mod pooling;
#[cfg(test)]
mod reference;
pub mod shape;
#[allow(dead_code, reason = "off x86-64 no instruction set has kernels of its own yet")]
mod simd;
pub mod softmax;
#[allow(dead_code, reason = "off x86-64 no instruction set has kernels of its own yet")]
mod tile;
pub mod train;
pub mod winograd;

pub use aligned::Aligned;
pub use conv::{Activation, ConvOperands, ConvShape, Epilogue, Residual};
pub use isa::{Isa, IsaError};
pub use layout::Layout;
pub use pool::Pool;
