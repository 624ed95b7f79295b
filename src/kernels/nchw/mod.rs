//! Kernels for plain layout ([`super::Layout::Nchw`]), for any processor.

pub mod channel_conv;
pub mod channelwise;
pub mod depthwise;
pub mod gemm;
pub mod movement;
pub mod pool;
pub mod rearrange;
pub mod softmax;
