//! Upsampling to the nearest pixel, and its gradient, in any layout.

use super::threads::ThreadPool;

/// The row (or column) in a feature map of size `from` for position `at` in the result, where a step of the result is `step` in the
/// feature map: the arithmetic of PyTorch's `nearest`, in f32; of its `nearest-exact` for pixels' centers, with an `offset` of 0.5.
pub fn nearest(at: usize, from: usize, step: f32, offset: f32) -> usize {
    (((at as f32 + offset) * step) as usize).min(from.saturating_sub(1))
}

/// A feature map at another size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Nearest {
    /// Height and width.
    pub input: [usize; 2],
    /// Height and width of the result.
    pub output: [usize; 2],
    /// The step in the feature map for each step in the result, along each axis.
    pub step: [f32; 2],
    /// Where in a pixel its place is: 0.5 for the center.
    pub offset: f32,
}

/// Upsampling of feature maps whose pixels have `lanes` values (1 for NCHW), with one task per feature map.
pub fn upsample(pool: &ThreadPool, lanes: usize, shape: &Nearest, x: &[f32], out: &mut [f32]) {
    let Nearest { input: [h, w], output: [oh, ow], step, offset } = *shape;
    pool.pieces(out, oh * ow * lanes, |map, out| {
        let map = &x[map * h * w * lanes..][..h * w * lanes];
        for (y, to) in out.chunks_mut(ow * lanes).enumerate() {
            let row = &map[nearest(y, h, step[0], offset) * w * lanes..][..w * lanes];
            for (x, to) in to.chunks_mut(lanes).enumerate() {
                to.copy_from_slice(&row[nearest(x, w, step[1], offset) * lanes..][..lanes]);
            }
        }
    });
}

/// The gradient of [`upsample`]: each pixel of the smaller feature map gets the sum over its copies.
pub fn upsample_grad(pool: &ThreadPool, lanes: usize, shape: &Nearest, dy: &[f32], out: &mut [f32]) {
    let Nearest { input: [h, w], output: [oh, ow], step, offset } = *shape;
    pool.pieces(out, h * w * lanes, |map, out| {
        out.fill(0.0);
        for (y, row) in dy[map * oh * ow * lanes..][..oh * ow * lanes].chunks(ow * lanes).enumerate() {
            let to = &mut out[nearest(y, h, step[0], offset) * w * lanes..][..w * lanes];
            for (x, pixel) in row.chunks(lanes).enumerate() {
                let to = &mut to[nearest(x, w, step[1], offset) * lanes..][..lanes];
                to.iter_mut().zip(pixel).for_each(|(t, &v)| *t += v);
            }
        }
    });
}
