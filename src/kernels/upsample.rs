//! Upsampling to the nearest pixel, and its gradient, in any layout.

use super::threads::ThreadPool;

/// The row (or column) in a feature map of size `from` for position `at` in one of size `to`: the arithmetic of PyTorch's
/// `nearest`, in f32.
pub fn nearest(at: usize, from: usize, to: usize) -> usize {
    ((at as f32 * (from as f32 / to as f32)) as usize).min(from.saturating_sub(1))
}

/// Upsampling of feature maps whose pixels have `lanes` values (1 for NCHW), with one task per feature map.
pub fn upsample(pool: &ThreadPool, lanes: usize, input: [usize; 2], output: [usize; 2], x: &[f32], out: &mut [f32]) {
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
pub fn upsample_grad(pool: &ThreadPool, lanes: usize, input: [usize; 2], output: [usize; 2], dy: &[f32], out: &mut [f32]) {
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
