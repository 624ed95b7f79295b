//! Foundations: spans and source files, diagnostics and their codes, tensors, memory-mapped files.

pub mod codes;
pub mod diagnostic;
pub mod file;
pub mod mmap;
pub mod render;
pub mod source;
pub mod tensor;
