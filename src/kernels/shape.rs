//! Kernels that only move values: concatenation, padding, subsampling. Values are NCHW.

use std::ops::Range;

use super::pool::{Disjoint, Pool, share};

/// Writes one operand of a concatenation: for each sample, `part` floats to `offset` within the `whole` of the result.
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

/// What stands around a padded map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Edge {
    /// Zeros.
    Zeros,
    /// The map, mirrored at its outermost values.
    Reflect,
    /// The map's outermost values.
    Replicate,
}

/// Values around maps, and zero channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PadShape {
    /// Sizes of the operand: samples, channels, height, width.
    pub input: [usize; 4],
    /// Zero channels before and after.
    pub channels: [usize; 2],
    /// How many values: `[[top, bottom], [left, right]]`, less than the map where it is mirrored.
    pub sides: [[usize; 2]; 2],
    /// Which values.
    pub edge: Edge,
}

impl PadShape {
    /// Height and width of the result.
    pub fn output(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.input[axis + 2] + self.sides[axis][0] + self.sides[axis][1])
    }

    /// The row (axis 0) or column of the operand that stands at place `at` of the result; `None` for zeros.
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

    /// The columns left and right of the operand's.
    fn around(&self) -> impl Iterator<Item = usize> + use<> {
        let Range { start, end } = self.sides[1][0]..self.sides[1][0] + self.input[3];
        (0..start).chain(end..end + self.sides[1][1])
    }

    /// Fills what stands left and right of a row's values, of pixels of so many.
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

/// Pads, a task for each map of the result.
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

/// The pixel of a map of `from` rows (or columns) that lies nearest before pixel `at` of one of `to`: PyTorch's arithmetic for
/// `nearest`, in f32.
pub fn nearest(at: usize, from: usize, to: usize) -> usize {
    ((at as f32 * (from as f32 / to as f32)) as usize).min(from.saturating_sub(1))
}

/// Upsamples maps whose pixels have `lanes` values each (1: plain maps), a task for each map.
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

/// The gradient of [`upsample`]: each pixel of the smaller map `input` gets the sum of what was made of it.
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

/// Every `stride`-th row and column from the first, a task for each map.
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
