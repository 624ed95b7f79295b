//! Kernels over the blocked layout ([`super::Layout::Blocked`]), for the instruction sets that have their own.

pub mod direct;
pub mod pack;
