//! The thread pool over which kernels distribute their work.

mod disjoint;
mod pool;

pub(crate) use disjoint::Disjoint;
pub use pool::{Tasks, ThreadPool, share};
