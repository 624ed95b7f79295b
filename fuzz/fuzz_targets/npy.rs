//! Files of NumPy.

#![no_main]

#[path = "../../tests/common/any_weights.rs"]
#[allow(dead_code)]
mod any_weights;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| any_weights::npy(bytes));
