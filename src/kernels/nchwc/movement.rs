//! Kernels that only move values of blocked feature maps: concatenation, padding, subsampling.

use std::ops::Range;

use super::runs;
use crate::kernels::pad::PadShape;
use crate::kernels::threads::{Disjoint, ThreadPool};

/// Pixels per run.
const PIXELS: usize = 1024;

/// Writes one operand of a concatenation along channels: `part` channels, starting at channel `offset` of the `whole`; feature
/// maps have `plane` pixels. Operands must be written in order: each one fills its last block, and the next one allows_residual_in_place the
/// tail with its own channels.
///
/// # Panics
/// If a slice has the wrong length.
pub fn concat_part(pool: &ThreadPool, lanes: usize, [part, offset, whole]: [usize; 3], plane: usize, x: &[f32], out: &mut [f32]) {
    let (blocks, in_blocks) = (whole.div_ceil(lanes), part.div_ceil(lanes));
    let batch = if plane * in_blocks == 0 { 0 } else { x.len() / (in_blocks * lanes * plane) };
    assert_eq!((x.len(), out.len()), (batch * in_blocks * lanes * plane, batch * blocks * lanes * plane));
    assert!(offset + part <= whole);
    let first = offset / lanes;
    let touched = (offset + part).div_ceil(lanes) - first;
    let sample = in_blocks * lanes * plane;
    let out = Disjoint::new(out);
    runs(pool, batch * touched, plane, PIXELS, |map, pixels| {
        let (n, block) = (map / touched, first + map % touched);
        let from = offset.saturating_sub(block * lanes);
        let channel = block * lanes + from - offset;
        // the tail of the operand's last block is copied too, as far as it goes
        let to = lanes.min(from + in_blocks * lanes - channel);
        // SAFETY: pixels of this run only
        let out = unsafe { out.slice(((n * blocks + block) * plane + pixels.start) * lanes, pixels.len() * lanes) };
        if to < lanes {
            out.chunks_exact_mut(lanes).for_each(|pixel| pixel[to..].fill(0.0));
        }
        copy_channels(&x[n * sample..][..sample], lanes, plane, pixels, channel, out, from..to);
    });
}

/// Copies channels of a sample, starting at `channel`, for the given pixels, into the lanes `into` of `to`.
pub(in crate::internal::kernels) fn copy_channels(
    sample: &[f32],
    lanes: usize,
    plane: usize,
    pixels: Range<usize>,
    channel: usize,
    to: &mut [f32],
    into: Range<usize>,
) {
    let (mut channel, mut into) = (channel, into);
    while !into.is_empty() {
        let (block, lane) = (channel / lanes, channel % lanes);
        let count = into.len().min(lanes - lane);
        let from = &sample[(block * plane + pixels.start) * lanes..][..pixels.len() * lanes];
        if count == lanes {
            to.copy_from_slice(from);
        } else {
            for (to, from) in to.chunks_exact_mut(lanes).zip(from.chunks_exact(lanes)) {
                to[into.start..][..count].copy_from_slice(&from[lane..][..count]);
            }
        }
        channel += count;
        into.start += count;
    }
}

/// Pads channels and sides, like [`crate::kernels::nchw::movement::pad`] for NCHW.
///
/// # Panics
/// If a slice has the wrong length.
pub fn pad(pool: &ThreadPool, lanes: usize, shape: &PadShape, x: &[f32], out: &mut [f32]) {
    let [batch, channels, h, w] = shape.input;
    let [oh, ow] = shape.output();
    let before = shape.channels[0];
    let blocks = (before + channels + shape.channels[1]).div_ceil(lanes);
    let sample = channels.next_multiple_of(lanes) * h * w;
    assert_eq!((x.len(), out.len()), (batch * sample, batch * blocks * lanes * oh * ow));
    let left = shape.sides[1][0];
    let out = Disjoint::new(out);
    runs(pool, batch * blocks, oh, 1, |map, line| {
        let (n, block) = (map / blocks, map % blocks);
        // SAFETY: a row of this run only
        let out = unsafe { out.slice((map * oh + line.start) * ow * lanes, ow * lanes) };
        out.fill(0.0);
        let lane = |channel: usize| channel.saturating_sub(block * lanes).min(lanes);
        let into = lane(before)..lane(before + channels);
        let Some(y) = shape.source(0, line.start).filter(|_| !into.is_empty()) else { return };
        let channel = block * lanes + into.start - before;
        let to = &mut out[left * lanes..][..w * lanes];
        copy_channels(&x[n * sample..][..sample], lanes, h * w, y * w..(y + 1) * w, channel, to, into);
        shape.finish_row(out, lanes);
    });
}

/// Every `stride`-th row and column, starting with the first.
///
/// # Panics
/// If a slice has the wrong length.
pub fn subsample(pool: &ThreadPool, lanes: usize, input: [usize; 2], stride: [usize; 2], x: &[f32], out: &mut [f32]) {
    let [h, w] = input;
    let (oh, ow) = (h.div_ceil(stride[0]), w.div_ceil(stride[1]));
    let maps = if h * w == 0 { 0 } else { x.len() / (h * w * lanes) };
    assert_eq!((x.len(), out.len()), (maps * h * w * lanes, maps * oh * ow * lanes));
    let out = Disjoint::new(out);
    runs(pool, maps, oh, 1, |map, line| {
        // SAFETY: a row of this run only
        let out = unsafe { out.slice((map * oh + line.start) * ow * lanes, ow * lanes) };
        let row = &x[(map * h + line.start * stride[0]) * w * lanes..][..w * lanes];
        out.chunks_exact_mut(lanes).zip(row.chunks(stride[1] * lanes)).for_each(|(to, v)| to.copy_from_slice(&v[..lanes]));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::nchw::movement as reference;
    use crate::kernels::reference::{Numbers, blocked, plain};

    fn unwritten(lanes: usize, [n, c, h, w]: [usize; 4]) -> Vec<f32> {
        vec![f32::NAN; n * c.next_multiple_of(lanes) * h * w]
    }

    #[test]
    fn concatenates_any_channels() {
        let mut n = Numbers::new(41);
        for round in 0..80 {
            let lanes = [8, 16][round % 2];
            let pool = ThreadPool::new(1 + n.below(3)).unwrap();
            let [batch, h, w] = [1 + n.below(3), 1 + n.below(6), 1 + n.below(6)];
            let parts: Vec<usize> =
                (0..1 + n.below(5)).map(|_| if n.below(2) == 0 { 16 * (1 + n.below(2)) } else { 1 + n.below(40) }).collect();
            let whole = parts.iter().sum();
            let mut expected = vec![0.0; batch * whole * h * w];
            let mut out = unwritten(lanes, [batch, whole, h, w]);
            let mut offset = 0;
            for &part in &parts {
                let x = n.take(batch * part * h * w);
                reference::concat_part(&pool, &x, part * h * w, offset * h * w, whole * h * w, &mut expected);
                let x = blocked(&x, [batch, part, h, w], lanes);
                concat_part(&pool, lanes, [part, offset, whole], h * w, &x, &mut out);
                offset += part;
            }
            assert_eq!(plain(&out, [batch, whole, h, w], lanes), expected, "{parts:?}");
            assert!(out.iter().all(|v| v.is_finite()), "{parts:?}");
        }
    }

    #[test]
    fn pads_channels_and_sides() {
        let mut n = Numbers::new(42);
        for round in 0..80 {
            let lanes = [8, 16][round % 2];
            let pool = ThreadPool::new(1 + n.below(3)).unwrap();
            let input @ [batch, c, h, w] = [1 + n.below(3), 1 + n.below(40), 1 + n.below(6), 1 + n.below(6)];
            let shape = n.padding(input);
            let [oh, ow] = shape.output();
            let sizes @ [_, all, ..] = [batch, c + shape.channels[0] + shape.channels[1], oh, ow];
            let x = n.take(batch * c * h * w);
            let mut expected = vec![f32::NAN; batch * all * oh * ow];
            reference::pad(&pool, &shape, &x, &mut expected);
            let mut out = unwritten(lanes, sizes);
            pad(&pool, lanes, &shape, &blocked(&x, input, lanes), &mut out);
            assert_eq!(plain(&out, sizes, lanes), expected, "{shape:?}");
            assert!(out.iter().all(|v| v.is_finite()), "{shape:?}");
        }
    }

    #[test]
    fn subsamples() {
        let mut n = Numbers::new(43);
        for round in 0..40 {
            let lanes = [8, 16][round % 2];
            let pool = ThreadPool::new(1 + n.below(3)).unwrap();
            let sizes @ [batch, c, h, w] = [1 + n.below(3), 1 + n.below(40), 1 + n.below(9), 1 + n.below(9)];
            let stride = [1 + n.below(3), 1 + n.below(3)];
            let output = [batch, c, h.div_ceil(stride[0]), w.div_ceil(stride[1])];
            let x = n.take(batch * c * h * w);
            let mut expected = vec![f32::NAN; output.iter().product()];
            reference::subsample(&pool, [h, w], stride, &x, &mut expected);
            let mut out = unwritten(lanes, output);
            subsample(&pool, lanes, [h, w], stride, &blocked(&x, sizes, lanes), &mut out);
            assert_eq!(plain(&out, output, lanes), expected, "{sizes:?} {stride:?}");
        }
    }
}
