//! Elementwise programs, against ranges of what they may compute: kernels, compositions, files, gradients, and graphs of them.
//! Programs and values are made from bytes, for a random generator or a fuzzer.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

pub mod bytes;
pub mod case;
pub mod gradient;
mod graph;
mod kernels;
pub mod range;
mod rewrites;

use bytes::Bytes;
use case::Case;

/// Checks what the bytes say.
pub fn check(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    if bytes.flip() {
        return graph::check(&mut bytes);
    }
    let case = Case::read(&mut bytes);
    kernels::check(&case);
    rewrites::check(&case, &mut bytes);
    gradient::check(&case);
}
