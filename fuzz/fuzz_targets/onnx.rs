//! ONNX files: in, out as a source and as ONNX, and in again.

#![no_main]

#[path = "../../tests/common/any_onnx.rs"]
#[allow(dead_code)]
mod any_onnx;
#[path = "../../tests/common/elementwise/bytes.rs"]
#[allow(dead_code)]
mod bytes;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| any_onnx::check_any(bytes));
