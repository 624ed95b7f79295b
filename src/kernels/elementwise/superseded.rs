//! Superseded by programs: sums, products, scale and shift, and activations, each in one pass over memory, including the activation.
//!
//! The first operand is `None` if it is already in the output, and is overwritten in place.

use super::activation::Activation;
use crate::kernels::aligned::LINE;
use crate::kernels::isa::Isa;
use crate::kernels::threads::ThreadPool;

/// Maximum number of floats per task, so that they stay in the L1 cache.
const PIECE: usize = 4096;

/// Floats per task: the same number of tasks for each thread, without splitting a cache line.
fn piece(pool: &ThreadPool, len: usize) -> usize {
    let tasks = len.div_ceil(PIECE * pool.threads()) * pool.threads();
    len.div_ceil(tasks.max(1)).next_multiple_of(LINE)
}

/// `out = act(first + others...)`.
pub fn add(pool: &ThreadPool, first: Option<&[f32]>, others: &[&[f32]], act: Option<Activation<'_>>, out: &mut [f32]) {
    let piece = piece(pool, out.len());
    pool.pieces(out, piece, |index, out| {
        let at = index * piece;
        fill(first, at, out);
        for other in others {
            let other = &other[at..][..out.len()];
            out.iter_mut().zip(other).for_each(|(o, &v)| *o += v);
        }
        finish(act, out);
    });
}

/// `out = act(first * second)`.
pub fn mul(pool: &ThreadPool, first: Option<&[f32]>, second: &[f32], act: Option<Activation<'_>>, out: &mut [f32]) {
    let piece = piece(pool, out.len());
    pool.pieces(out, piece, |index, out| {
        let at = index * piece;
        fill(first, at, out);
        let second = &second[at..][..out.len()];
        out.iter_mut().zip(second).for_each(|(o, &v)| *o *= v);
        finish(act, out);
    });
}

/// `out = act(first)`.
pub fn activate(pool: &ThreadPool, first: Option<&[f32]>, act: Option<Activation<'_>>, out: &mut [f32]) {
    let piece = piece(pool, out.len());
    pool.pieces(out, piece, |index, out| {
        fill(first, index * piece, out);
        finish(act, out);
    });
}

/// `out = min(max(first, low), high)`; NaN stays NaN.
pub fn clamp(pool: &ThreadPool, first: Option<&[f32]>, [low, high]: [f32; 2], out: &mut [f32]) {
    let piece = piece(pool, out.len());
    pool.pieces(out, piece, |index, out| {
        fill(first, index * piece, out);
        for v in out {
            *v = if *v < low { low } else { *v };
            *v = if *v > high { high } else { *v };
        }
    });
}

/// `out = times * first + plus`.
pub fn scale(pool: &ThreadPool, first: Option<&[f32]>, times: f32, plus: f32, out: &mut [f32]) {
    let piece = piece(pool, out.len());
    pool.pieces(out, piece, |index, out| {
        fill(first, index * piece, out);
        for v in out {
            *v = times * *v + plus;
        }
    });
}

pub(crate) fn fill(first: Option<&[f32]>, at: usize, out: &mut [f32]) {
    if let Some(first) = first {
        out.copy_from_slice(&first[at..][..out.len()]);
    }
}

fn finish(act: Option<Activation<'_>>, out: &mut [f32]) {
    if let Some(act) = act {
        act.apply(Isa::best(), out);
    }
}
