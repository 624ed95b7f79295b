//! The runtime: plans, kernels and sessions against the reference interpreter.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[cfg(feature = "cli")]
#[path = "../common/command.rs"]
mod command;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/elementwise/mod.rs"]
mod elementwise;

mod agreement;
mod concat;
mod convolutions;
mod families;
mod interpreter;
#[cfg(feature = "cli")]
mod isa;
mod kernels;
mod one_dimensional;
mod plan;
mod planning;
mod precision;
mod programs;
#[cfg(feature = "cli")]
mod row_loops;
mod soak;
