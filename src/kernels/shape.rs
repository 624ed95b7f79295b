//! Kernels that only move values: concatenation, padding, subsampling. Values are NCHW.

use std::ops::Range;

use super::pool::{Disjoint, Pool, share};

/// Writes one operand of a concatenation: for each sample, `part` floats at `offset` within the `whole` of the result.
pub fn concat_part(pool: &Pool, x: &[f32], part: usize, offset: usize, whole: usize, out: &mut [f32]) {
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

/// The values around a padded feature map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Edge {
    /// Zeros.
    Zeros,
    /// The feature map reflected at its outermost values.
    Reflect,
    /// The outermost values, repeated.
    Replicate,
}

/// Padding of height and width, and zero channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PadShape {
    /// Sizes of the operand: samples, channels, height, width.
    pub input: [usize; 4],
    /// Zero channels before and after.
    pub channels: [usize; 2],
    /// Number of values: `[[top, bottom], [left, right]]`; for reflection less than the size of the feature map.
    pub sides: [[usize; 2]; 2],
    /// The padding mode.
    pub edge: Edge,
}

impl PadShape {
    /// Height and width of the result.
    pub fn output(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.input[axis + 2] + self.sides[axis][0] + self.sides[axis][1])
    }

    /// The row (axis 0) or column of the operand at position `at` of the result; `None` for zeros.
    pub fn source(&self, axis: usize, at: usize) -> Option<usize> {
        let (before, len) = (self.sides[axis][0], self.input[axis + 2]);
        let inside = at.checked_sub(before).filter(|&i| i < len);
        match self.edge {
            Edge::Zeros => inside,
            Edge::Replicate => Some(at.saturating_sub(before).min(len.saturating_sub(1))),
            Edge::Reflect if at < before => Some(before - at),
            Edge::Reflect => inside.or((2 * (before + len)).checked_sub(before + at + 2)),
        }
    }

    /// The padding columns left and right of the operand's columns.
    fn around(&self) -> impl Iterator<Item = usize> + use<> {
        let Range { start, end } = self.sides[1][0]..self.sides[1][0] + self.input[3];
        (0..start).chain(end..end + self.sides[1][1])
    }

    /// Fills the padding left and right of a row, for pixels with `lanes` values.
    pub fn finish_row(&self, row: &mut [f32], lanes: usize) {
        if self.edge == Edge::Zeros {
            return;
        }
        for at in self.around() {
            if let Some(from) = self.source(1, at) {
                let from = (from + self.sides[1][0]) * lanes;
                row.copy_within(from..from + lanes, at * lanes);
            }
        }
    }
}

/// Padding, with one task per feature map of the result.
pub fn pad(pool: &Pool, shape: &PadShape, x: &[f32], out: &mut [f32]) {
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

/// The row (or column) in a feature map of size `from` for position `at` in one of size `to`: the arithmetic of PyTorch's
/// `nearest`, in f32.
pub fn nearest(at: usize, from: usize, to: usize) -> usize {
    ((at as f32 * (from as f32 / to as f32)) as usize).min(from.saturating_sub(1))
}

/// Upsampling of feature maps whose pixels have `lanes` values (1 for NCHW), with one task per feature map.
pub fn upsample(pool: &Pool, lanes: usize, input: [usize; 2], output: [usize; 2], x: &[f32], out: &mut [f32]) {
    let ([h, w], [oh, ow]) = (input, output);
    pool.pieces(out, oh * ow * lanes, |map, out| {
        let map = &x[map * h * w * lanes..][..h * w * lanes];
        for (y, to) in out.chunks_mut(ow * lanes).enumerate() {
            let row = &map[nearest(y, h, oh) * w * lanes..][..w * lanes];
            for (x, to) in to.chunks_mut(lanes).enumerate() {
                to.copy_from_slice(&row[nearest(x, w, ow) * lanes..][..lanes]);
            }
        }
    });
}

/// The gradient of [`upsample`]: each pixel of the smaller feature map `input` gets the sum over its copies.
pub fn upsample_grad(pool: &Pool, lanes: usize, input: [usize; 2], output: [usize; 2], dy: &[f32], out: &mut [f32]) {
    let ([h, w], [oh, ow]) = (input, output);
    pool.pieces(out, h * w * lanes, |map, out| {
        out.fill(0.0);
        for (y, row) in dy[map * oh * ow * lanes..][..oh * ow * lanes].chunks(ow * lanes).enumerate() {
            let to = &mut out[nearest(y, h, oh) * w * lanes..][..w * lanes];
            for (x, pixel) in row.chunks(lanes).enumerate() {
                let to = &mut to[nearest(x, w, ow) * lanes..][..lanes];
                to.iter_mut().zip(pixel).for_each(|(t, &v)| *t += v);
            }
        }
    });
}

/// Every `stride`-th row and column, starting with the first, with one task per feature map.
pub fn subsample(pool: &Pool, input: [usize; 2], stride: [usize; 2], x: &[f32], out: &mut [f32]) {
    let [h, w] = input;
    let (oh, ow) = (h.div_ceil(stride[0]), w.div_ceil(stride[1]));
    pool.pieces(out, oh * ow, |map, out| {
        let plane = &x[map * h * w..][..h * w];
        for (to, row) in out.chunks_mut(ow).zip(plane.chunks(w).step_by(stride[0])) {
            to.iter_mut().zip(row.iter().step_by(stride[1])).for_each(|(t, &v)| *t = v);
        }
    });
}
