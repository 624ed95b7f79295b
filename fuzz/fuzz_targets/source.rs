//! Texts through the front end and the planner.

#![no_main]

#[path = "../../tests/common/source.rs"]
mod source;

libfuzzer_sys::fuzz_target!(|text: &str| source::check(text));
