//! Foundations: spans and source files, file systems, diagnostics and their codes, tensors, memory-mapped files.

pub mod codes;
pub mod decimal;
pub mod diagnostic;
pub mod file;
pub mod file_system;
pub mod mmap;
pub mod render;
pub mod source;
pub mod template;
pub mod tensor;
