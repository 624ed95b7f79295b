//! Elementwise programs: kernels, rewrites, gradients and fusion against ranges of what they may compute.

#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../../tests/common/elementwise/mod.rs"]
mod elementwise;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| elementwise::check(bytes));
