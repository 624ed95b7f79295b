//! The gradient of softmax.

use super::feature_maps::FeatureMaps;
use crate::kernels::{Layout, ThreadPool};

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
