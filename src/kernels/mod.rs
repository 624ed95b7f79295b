//! Arithmetic over slices: convolution strategies, pooling, element-wise. Imports `base` alone and knows no graph.
//!
//! Every kernel takes the [`Pool`] that it spreads its work over. The split depends on sizes and thread count alone, so
//! that the same count gives the same bits. What a kernel needs besides its operands (scratch, packed weights) is planned
//! and handed in: none allocates.

pub mod aligned;
pub mod conv;
pub mod direct;
pub mod elementwise;
pub mod gemm_conv;
pub mod layout;
pub mod linear;
pub mod pool;
pub mod pooling;
pub mod shape;
pub mod softmax;

pub use aligned::Aligned;
pub use conv::{Activation, ConvOperands, ConvShape, Epilogue, Residual};
pub use layout::Layout;
pub use pool::Pool;
