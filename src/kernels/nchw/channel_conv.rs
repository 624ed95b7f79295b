//! Convolution along the channels of values with one pixel.

use crate::kernels::threads::ThreadPool;

/// Each channel becomes the sum of its neighbors, with itself in the middle, times `weight`; beyond the ends are zeros. `x` has
/// `channels` values for each sample.
pub fn channel_conv(pool: &ThreadPool, channels: usize, x: &[f32], weight: &[f32], out: &mut [f32]) {
    let middle = weight.len() / 2;
    pool.pieces(out, channels, |sample, out| {
        let x = &x[sample * channels..][..channels];
        out.fill(0.0);
        for (k, &w) in weight.iter().enumerate() {
            // the neighbor `k - middle` further
            let (skip, from) = (middle.saturating_sub(k), k.saturating_sub(middle));
            let neighbors = x.get(from..).unwrap_or_default();
            out.iter_mut().skip(skip).zip(neighbors).for_each(|(sum, &v)| *sum += w * v);
        }
    });
}
