//! Kernels that only move values: concatenation, padding, subsampling.

use crate::kernels::pad::PadShape;
use crate::kernels::threads::{Disjoint, ThreadPool, share};

/// Writes one operand of a concatenation: for each sample, `part` floats at `offset` within the `whole` of the result.
pub fn concat_part(pool: &ThreadPool, x: &[f32], part: usize, offset: usize, whole: usize, out: &mut [f32]) {
    const PIECE: usize = 16 << 10;
    let out = Disjoint::new(out);
    let pieces = part.div_ceil(PIECE);
    pool.for_each(x.len() / part.max(1) * pieces, |task, _| {
        let (sample, mine) = (task / pieces, share(part, pieces, task % pieces));
        // SAFETY: shares do not overlap
        let to = unsafe { out.slice(sample * whole + offset + mine.start, mine.len()) };
        to.copy_from_slice(&x[sample * part..][mine]);
    });
}

/// Padding, with one task per feature map of the result.
pub fn pad(pool: &ThreadPool, shape: &PadShape, x: &[f32], out: &mut [f32]) {
    let [_, channels, h, w] = shape.input;
    let [oh, ow] = shape.output();
    let all = channels + shape.channels[0] + shape.channels[1];
    pool.pieces(out, oh * ow, |map, out| {
        let (sample, channel) = (map / all, map % all);
        out.fill(0.0);
        let Some(channel) = channel.checked_sub(shape.channels[0]).filter(|&c| c < channels) else { return };
        let plane = &x[(sample * channels + channel) * h * w..][..h * w];
        for (y, to) in out.chunks_mut(ow).enumerate() {
            let Some(y) = shape.source(0, y) else { continue };
            to[shape.sides[1][0]..][..w].copy_from_slice(&plane[y * w..][..w]);
            shape.finish_row(to, 1);
        }
    });
}

/// Every `stride`-th row and column, starting with the first, with one task per feature map.
pub fn subsample(pool: &ThreadPool, input: [usize; 2], stride: [usize; 2], x: &[f32], out: &mut [f32]) {
    let [h, w] = input;
    let (oh, ow) = (h.div_ceil(stride[0]), w.div_ceil(stride[1]));
    pool.pieces(out, oh * ow, |map, out| {
        let plane = &x[map * h * w..][..h * w];
        for (to, row) in out.chunks_mut(ow).zip(plane.chunks(w).step_by(stride[0])) {
            to.iter_mut().zip(row.iter().step_by(stride[1])).for_each(|(t, &v)| *t = v);
        }
    });
}
