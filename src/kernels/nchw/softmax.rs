//! Softmax over channels.

use crate::kernels::threads::ThreadPool;

/// Softmax over the `channels` of each sample, whose feature maps have `plane` elements; `x` is `None` if it is already in `out`.
pub fn softmax(pool: &ThreadPool, x: Option<&[f32]>, channels: usize, plane: usize, out: &mut [f32]) {
    let sample = channels * plane;
    pool.pieces(out, sample, |index, out| {
        if let Some(x) = x {
            out.copy_from_slice(&x[index * sample..][..sample]);
        }
        for i in 0..plane {
            let max = out[i..].iter().step_by(plane).copied().fold(f32::NEG_INFINITY, f32::max);
            let mut sum = 0f64;
            for v in out[i..].iter_mut().step_by(plane) {
                *v = (*v - max).exp();
                sum += f64::from(*v);
            }
            let scale = (1.0 / sum) as f32;
            for v in out[i..].iter_mut().step_by(plane) {
                *v *= scale;
            }
        }
    });
}
