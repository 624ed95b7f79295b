//! Texts as networks of Darknet.

#![no_main]

#[path = "../../tests/common/layer_lists.rs"]
#[allow(dead_code)]
mod layer_lists;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| layer_lists::cfg(bytes));
