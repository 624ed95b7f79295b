//! Sums over what a broadcast operand repeats: the gradients of such operands.

use super::linear::grad_bias;
use crate::kernels::{Layout, ThreadPool};

/// The axes of a sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SumOver {
    /// The pixels of each channel.
    Pixels,
    /// The channels of each pixel.
    Channels,
    /// Channels and pixels of each sample.
    Sample,
    /// All of it, the batch included.
    Everything,
}

/// Sums `g` over some axes, in f64. Only [`SumOver::Everything`] takes blocked values.
pub fn reduce(pool: &ThreadPool, layout: Layout, sizes: [usize; 4], over: SumOver, g: &[f32], out: &mut [f32]) {
    let [_, channels, height, width] = sizes;
    let plane = height * width;
    let total = |values: &[f32]| values.iter().map(|&v| f64::from(v)).sum::<f64>() as f32;
    match over {
        SumOver::Pixels => pool.pieces(out, 1, |map, out| out[0] = total(&g[map * plane..][..plane])),
        SumOver::Sample => pool.pieces(out, 1, |sample, out| out[0] = total(&g[sample * channels * plane..][..channels * plane])),
        SumOver::Channels => pool.pieces(out, width, |row, out| {
            let (sample, y) = (row / height, row % height);
            for (x, out) in out.iter_mut().enumerate() {
                let first = sample * channels * plane + y * width + x;
                *out = (0..channels).map(|c| f64::from(g[first + c * plane])).sum::<f64>() as f32;
            }
        }),
        SumOver::Everything => {
            let mut sums = vec![0.0; channels];
            grad_bias(pool, layout, sizes, g, &mut sums);
            out[0] = total(&sums);
        }
    }
}
