//! The thread pool over which kernels distribute their work.

mod pool;

pub(crate) use pool::Disjoint;
pub use pool::{Tasks, ThreadPool, share};
