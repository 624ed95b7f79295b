//! Gradients of operators that only move values: slicing channels, removing padding, inserting zeros between rows and columns.

use super::feature_maps::FeatureMaps;
use crate::kernels::nchwc::movement::copy_channels;
use crate::kernels::nchwc::runs;
use crate::kernels::pad::{Edge, PadShape};
use crate::kernels::threads::Disjoint;
use crate::kernels::{Layout, ThreadPool};

/// The `sizes[1]` channels of `x` starting at channel `offset`. `sizes` are those of the result: samples, channels, height, width;
/// `whole` is the number of channels of `x`.
///
/// # Panics
/// If a slice has the wrong length, or the channels are out of range.
pub fn slice(pool: &ThreadPool, layout: Layout, sizes: [usize; 4], offset: usize, whole: usize, x: &[f32], out: &mut [f32]) {
    let [batch, channels, h, w] = sizes;
    let before = [offset, whole.saturating_sub(offset + channels)];
    assert!(offset + channels <= whole, "{channels} channels from {offset} on of {whole}");
    unpad(
        pool,
        layout,
        &PadShape { input: [batch, channels, h, w], channels: before, sides: [[0; 2]; 2], edge: Edge::Zeros },
        x,
        out,
    );
}

/// The gradient of padding: the gradient inside the padding, plus that of every padded position that copies a value of the input.
/// `shape` is that of the padding, so `out` has the sizes of its operand. The tail of the last block becomes zero.
///
/// # Panics
/// If a slice has the wrong length.
pub fn unpad(pool: &ThreadPool, layout: Layout, shape: &PadShape, dy: &[f32], out: &mut [f32]) {
    let [batch, channels, h, w] = shape.input;
    let [oh, ow] = shape.output();
    let maps = FeatureMaps::new(layout, shape.input);
    let padded = FeatureMaps::new(layout, [batch, channels + shape.channels[0] + shape.channels[1], oh, ow]);
    assert_eq!((dy.len(), out.len()), (padded.len(), maps.len()));
    let lanes = maps.lanes;
    let [top, left] = [shape.sides[0][0], shape.sides[1][0]];
    let sample = padded.blocks * padded.plane * lanes;
    let out = Disjoint::new(out);
    runs(pool, maps.count(), h, 1, |map, line| {
        let (n, block) = (map / maps.blocks, map % maps.blocks);
        // SAFETY: a row of this run only
        let out = unsafe { out.slice((map * h + line.start) * w * lanes, w * lanes) };
        let count = lanes.min(channels - block * lanes);
        if shape.edge != Edge::Zeros {
            let map = &dy[map * padded.plane * lanes..][..padded.plane * lanes];
            return gather(shape, line.start, lanes, count, map, out);
        }
        if count < lanes {
            out.fill(0.0);
        }
        let pixels = (line.start + top) * ow + left;
        let channel = shape.channels[0] + block * lanes;
        copy_channels(&dy[n * sample..][..sample], lanes, padded.plane, pixels..pixels + w, channel, out, 0..count);
    });
}

/// A row of the gradient of reflection or replication padding: each value gets the sum over its copies. `dy` is a padded feature
/// map with `lanes` values per pixel, of which the first `count` are channels.
fn gather(shape: &PadShape, row: usize, lanes: usize, count: usize, dy: &[f32], out: &mut [f32]) {
    let [oh, ow] = shape.output();
    out.fill(0.0);
    for y in (0..oh).filter(|&y| shape.source(0, y) == Some(row)) {
        for (x, pixel) in dy[y * ow * lanes..][..ow * lanes].chunks(lanes).enumerate() {
            let Some(to) = shape.source(1, x) else { continue };
            out[to * lanes..][..count].iter_mut().zip(pixel).for_each(|(t, &v)| *t += v);
        }
    }
}

/// The gradient of subsampling: `dy` at every `stride`-th row and column, starting with the first, and zeros in between. `sizes`
/// are those of the result: samples, channels, height, width.
///
/// # Panics
/// If a slice has the wrong length.
pub fn upsample(pool: &ThreadPool, layout: Layout, sizes: [usize; 4], stride: [usize; 2], dy: &[f32], out: &mut [f32]) {
    let [_, _, h, w] = sizes;
    let [oh, ow] = [h.div_ceil(stride[0]), w.div_ceil(stride[1])];
    let maps = FeatureMaps::new(layout, sizes);
    let lanes = maps.lanes;
    assert_eq!((dy.len(), out.len()), (maps.count() * oh * ow * lanes, maps.len()));
    let out = Disjoint::new(out);
    runs(pool, maps.count(), h, 1, |map, line| {
        // SAFETY: a row of this run only
        let out = unsafe { out.slice((map * h + line.start) * w * lanes, w * lanes) };
        out.fill(0.0);
        if line.start.is_multiple_of(stride[0]) {
            let dy = &dy[(map * oh + line.start / stride[0]) * ow * lanes..][..ow * lanes];
            for (to, from) in out.chunks_mut(stride[1] * lanes).zip(dy.chunks_exact(lanes)) {
                to[..lanes].copy_from_slice(from);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::super::testing::{cases, from_plain, to_plain};
    use super::*;
    use crate::kernels::nchw::movement as forward;

    /// Checks that `gradient(dy) . x = forward(x) . dy`: these operators are linear, and their gradients are their transposes.
    /// Values are small integers, so that sums are exact.
    fn transposed(x: &[f32], gradient: &[f32], y: &[f32], dy: &[f32]) -> bool {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        x.len() == gradient.len() && dot(x, gradient) == dot(y, dy)
    }

    fn integers(values: Vec<f32>) -> Vec<f32> {
        values.into_iter().map(|v| (v * 6.0).round()).collect()
    }

    #[test]
    fn the_inside_of_padding() {
        cases(81, 60, |n, pool, isa, layout, input @ [batch, c, h, w]| {
            let shape = n.padding(input);
            let [oh, ow] = shape.output();
            let sizes = [batch, c + shape.channels[0] + shape.channels[1], oh, ow];
            let (x, dy) = (integers(n.take(batch * c * h * w)), integers(n.take(sizes.iter().product())));
            let mut y = vec![0.0; dy.len()];
            forward::pad(pool, &shape, &x, &mut y);
            let mut dx = vec![f32::NAN; layout.len(input).unwrap()];
            unpad(pool, layout, &shape, &from_plain(layout, sizes, &dy), &mut dx);
            assert!(dx.iter().all(|v| v.is_finite()), "{isa} {shape:?}");
            assert!(transposed(&x, &to_plain(layout, input, &dx), &y, &dy), "{isa} {shape:?}");
        });
    }

    #[test]
    fn parts_of_the_channels() {
        cases(82, 60, |n, pool, isa, layout, sizes @ [batch, c, h, w]| {
            let offset = n.below(40);
            let whole = offset + c + n.below(40);
            let dy = n.take(batch * whole * h * w);
            let expected: Vec<f32> =
                (0..batch).flat_map(|sample| &dy[(sample * whole + offset) * h * w..][..c * h * w]).copied().collect();
            let mut out = vec![f32::NAN; layout.len(sizes).unwrap()];
            slice(pool, layout, sizes, offset, whole, &from_plain(layout, [batch, whole, h, w], &dy), &mut out);
            assert!(out.iter().all(|v| v.is_finite()), "{isa} {sizes:?}");
            assert_eq!(to_plain(layout, sizes, &out), expected, "{isa} {sizes:?} {offset} {whole}");
        });
    }

    #[test]
    fn zeros_between_rows_and_columns() {
        cases(83, 60, |n, pool, isa, layout, sizes @ [batch, c, h, w]| {
            let stride = [1 + n.below(3), 1 + n.below(3)];
            let small = [batch, c, h.div_ceil(stride[0]), w.div_ceil(stride[1])];
            let (x, dy) = (integers(n.take(batch * c * h * w)), integers(n.take(small.iter().product())));
            let mut y = vec![0.0; dy.len()];
            forward::subsample(pool, [h, w], stride, &x, &mut y);
            let mut dx = vec![f32::NAN; layout.len(sizes).unwrap()];
            upsample(pool, layout, sizes, stride, &from_plain(layout, small, &dy), &mut dx);
            assert!(dx.iter().all(|v| v.is_finite()), "{isa} {sizes:?}");
            assert!(transposed(&x, &to_plain(layout, sizes, &dx), &y, &dy), "{isa} {sizes:?} {stride:?}");
        });
    }
}
