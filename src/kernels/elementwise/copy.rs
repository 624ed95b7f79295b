//! Copies.

use super::PIECE;
use crate::kernels::aligned::LINE;
use crate::kernels::threads::ThreadPool;

/// `out = first`; nothing if it is there already.
pub fn copy(pool: &ThreadPool, first: Option<&[f32]>, out: &mut [f32]) {
    // as many tasks for each thread, without splitting a cache line
    let tasks = out.len().div_ceil(PIECE * pool.threads()) * pool.threads();
    let piece = out.len().div_ceil(tasks.max(1)).next_multiple_of(LINE);
    pool.pieces(out, piece, |index, out| fill(first, index * piece, out));
}

/// Copies the values from `at` on, if they are not in the output already.
pub(crate) fn fill(first: Option<&[f32]>, at: usize, out: &mut [f32]) {
    if let Some(first) = first {
        out.copy_from_slice(&first[at..][..out.len()]);
    }
}
