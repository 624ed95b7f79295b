//! Gradients of activations and of softmax.

use super::feature_maps::FeatureMaps;
use crate::kernels::aligned::LINE;
use crate::kernels::{Layout, ThreadPool};

/// Maximum number of floats per task, so that they stay in the L1 cache.
const PIECE: usize = 4096;

/// The gradient of an activation's input, from its output `y`: for ReLU (otherwise it is sigmoid), `dy` where `y` is above 0 and 0 elsewhere; for sigmoid,
/// `dy * y * (1 - y)`. `dy` is `None` if it is already in `out`. Any layout.
///
/// # Panics
/// If the slices have different lengths.
pub fn act_grad(pool: &ThreadPool, relu: bool, dy: Option<&[f32]>, y: &[f32], out: &mut [f32]) {
    assert_eq!(y.len(), out.len());
    assert!(dy.is_none_or(|dy| dy.len() == out.len()));
    let tasks = out.len().div_ceil(PIECE * pool.threads()) * pool.threads();
    let piece = out.len().div_ceil(tasks.max(1)).next_multiple_of(LINE);
    pool.pieces(out, piece, |index, out| {
        let at = index * piece..index * piece + out.len();
        let y = &y[at.clone()];
        match (dy, relu) {
            (Some(dy), true) => {
                out.iter_mut().zip(&dy[at]).zip(y).for_each(|((o, &dy), &y)| *o = relu_grad(dy, y));
            }
            (None, true) => out.iter_mut().zip(y).for_each(|(o, &y)| *o = relu_grad(*o, y)),
            (Some(dy), false) => {
                out.iter_mut().zip(&dy[at]).zip(y).for_each(|((o, &dy), &y)| *o = sigmoid_grad(dy, y));
            }
            (None, false) => out.iter_mut().zip(y).for_each(|(o, &y)| *o = sigmoid_grad(*o, y)),
        }
    });
}

/// The gradient of the input `x` of `clamp`: `dy` where `x` is within the limits, inclusive (as in PyTorch), and 0 elsewhere.
/// `dy` is `None` if it is already in `out`. Any layout.
///
/// # Panics
/// If the slices have different lengths.
pub fn clamp_grad(pool: &ThreadPool, [low, high]: [f32; 2], dy: Option<&[f32]>, x: &[f32], out: &mut [f32]) {
    assert_eq!(x.len(), out.len());
    assert!(dy.is_none_or(|dy| dy.len() == out.len()));
    pool.pieces(out, PIECE, |index, out| {
        let at = index * PIECE..index * PIECE + out.len();
        if let Some(dy) = dy {
            out.copy_from_slice(&dy[at.clone()]);
        }
        out.iter_mut().zip(&x[at]).filter(|(_, x)| !(low..=high).contains(*x)).for_each(|(o, _)| *o = 0.0);
    });
}

fn relu_grad(dy: f32, y: f32) -> f32 {
    if y <= 0.0 { 0.0 } else { dy }
}

fn sigmoid_grad(dy: f32, y: f32) -> f32 {
    dy * ((1.0 - y) * y)
}

/// The gradient of softmax's input, over the channels of each pixel: `y * (dy - sum(dy * y))`. `dy` is `None` if it is already in
/// `out`. Sizes are samples, channels, height, width; the tail of the last block becomes zero.
///
/// # Panics
/// If a slice has the wrong length.
pub fn softmax_grad(pool: &ThreadPool, layout: Layout, sizes: [usize; 4], dy: Option<&[f32]>, y: &[f32], out: &mut [f32]) {
    let maps = FeatureMaps::new(layout, sizes);
    let (plane, lanes) = (maps.plane, maps.lanes);
    assert_eq!((y.len(), out.len()), (maps.len(), maps.len()));
    assert!(dy.is_none_or(|dy| dy.len() == out.len()));
    let sample = maps.blocks * plane * lanes;
    pool.pieces(out, sample, |index, out| {
        let y = &y[index * sample..][..sample];
        if let Some(dy) = dy {
            out.copy_from_slice(&dy[index * sample..][..sample]);
        }
        for pixel in 0..plane {
            let place = |channel: usize| (channel / lanes * plane + pixel) * lanes + channel % lanes;
            let dot: f64 = (0..maps.channels).map(place).map(|at| f64::from(out[at]) * f64::from(y[at])).sum();
            for at in (0..maps.channels).map(place) {
                out[at] = (f64::from(y[at]) * (f64::from(out[at]) - dot)) as f32;
            }
            for at in (maps.channels..maps.blocks * lanes).map(place) {
                out[at] = 0.0;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::super::testing::{cases, from_plain, to_plain};
    use super::*;
    use crate::kernels::reference::max_error;

    #[test]
    fn gradients_of_activations_agree_with_their_definition() {
        cases(41, 40, |n, pool, _, _, [batch, c, h, w]| {
            let len = batch * c * h * w;
            let (dy, mut y) = (n.take(len), n.take(len));
            y[n.below(len)] = 0.0;
            for relu in [true, false] {
                let of = |(&dy, &y): (&f32, &f32)| {
                    let (dy, y) = (f64::from(dy), f64::from(y));
                    if relu { dy * f64::from(u8::from(y > 0.0)) } else { dy * y * (1.0 - y) }
                };
                let expected: Vec<f64> = dy.iter().zip(&y).map(of).collect();
                let mut out = vec![f32::NAN; len];
                act_grad(pool, relu, Some(&dy), &y, &mut out);
                assert!(max_error(&out, &expected) < 1e-6);
                let mut in_place = dy.clone();
                act_grad(pool, relu, None, &y, &mut in_place);
                assert_eq!(in_place, out);
            }
        });
    }

    #[test]
    fn the_gradient_of_softmax_agrees_with_its_definition() {
        cases(42, 30, |n, pool, isa, layout, sizes @ [batch, c, h, w]| {
            let (dy, y) = (n.take(batch * c * h * w), n.take(batch * c * h * w));
            let mut expected = vec![0.0; y.len()];
            for sample in 0..batch {
                for pixel in 0..h * w {
                    let place = |channel: usize| (sample * c + channel) * h * w + pixel;
                    let dot: f64 = (0..c).map(place).map(|i| f64::from(dy[i]) * f64::from(y[i])).sum();
                    (0..c).map(place).for_each(|i| expected[i] = f64::from(y[i]) * (f64::from(dy[i]) - dot));
                }
            }
            let (dy, y) = (from_plain(layout, sizes, &dy), from_plain(layout, sizes, &y));
            let mut out = vec![f32::NAN; y.len()];
            softmax_grad(pool, layout, sizes, Some(&dy), &y, &mut out);
            assert!(out.iter().all(|v| v.is_finite()));
            assert!(max_error(&to_plain(layout, sizes, &out), &expected) < 1e-6, "{isa} {sizes:?}");
            let mut in_place = dy;
            softmax_grad(pool, layout, sizes, None, &y, &mut in_place);
            assert_eq!(in_place, out);
        });
    }
}
