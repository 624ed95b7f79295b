//! A kernel for each node, lifetimes, arena offsets. Plain data without weights.

pub mod error;

pub use error::PlanError;
