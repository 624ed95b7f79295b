//! PNG images.

#![no_main]

#[path = "../../tests/common/any_image.rs"]
#[allow(dead_code)]
mod any_image;
#[path = "../../tests/common/elementwise/bytes.rs"]
#[allow(dead_code)]
mod bytes;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| any_image::png(bytes));
