//! Softmax cross-entropy with label smoothing, and its gradient.
//!
//! With smoothing `s` over `C` classes the target of the label's class is `1 - s + s / C` and that of every other class `s / C`
//! (Szegedy et al. 2016, and PyTorch's `label_smoothing`); the loss is multiplied by a weight. Computed in double precision,
//! relative to the largest logit.

use super::feature_maps::FeatureMaps;
use crate::kernels::{Layout, ThreadPool};

/// The loss of each sample. Sizes are samples and classes of the logits; a label is a class index as a float, and an invalid
/// label gives NaN.
///
/// # Panics
/// If a slice has the wrong length.
pub fn cross_entropy(
    pool: &ThreadPool,
    layout: Layout,
    [batch, classes]: [usize; 2],
    [smoothing, weight]: [f64; 2],
    logits: &[f32],
    labels: &[f32],
    out: &mut [f32],
) {
    let row = row(layout, [batch, classes], logits, labels);
    assert_eq!(out.len(), batch);
    pool.pieces(out, 1, |sample, out| {
        let logits = &logits[sample * row..][..classes];
        let (largest, log_sum) = log_sum_exp(logits);
        let log = |&v: &f32| f64::from(v) - largest - log_sum;
        let loss = class(labels[sample], classes).map(|label| {
            let smooth = if smoothing == 0.0 { 0.0 } else { smoothing / classes as f64 * logits.iter().map(log).sum::<f64>() };
            weight * (-(1.0 - smoothing) * log(&logits[label]) - smooth)
        });
        out[0] = loss.unwrap_or(f64::NAN) as f32;
    });
}

/// The gradient of the batch's mean loss with respect to the logits: `(softmax - target) / samples`, in the layout of the logits.
///
/// # Panics
/// Like [`cross_entropy`].
pub fn cross_entropy_grad(
    pool: &ThreadPool,
    layout: Layout,
    [batch, classes]: [usize; 2],
    [smoothing, weight]: [f64; 2],
    logits: &[f32],
    labels: &[f32],
    out: &mut [f32],
) {
    let row = row(layout, [batch, classes], logits, labels);
    assert_eq!(out.len(), logits.len());
    pool.pieces(out, row, |sample, out| {
        let logits = &logits[sample * row..][..classes];
        let (out, tail) = out.split_at_mut(classes);
        tail.fill(0.0);
        let Some(label) = class(labels[sample], classes) else { return out.fill(f32::NAN) };
        let (largest, log_sum) = log_sum_exp(logits);
        for (index, (out, &v)) in out.iter_mut().zip(logits).enumerate() {
            let share = (f64::from(v) - largest - log_sum).exp();
            let target = smoothing / classes as f64 + if index == label { 1.0 - smoothing } else { 0.0 };
            *out = (weight * (share - target) / batch as f64) as f32;
        }
    });
}

/// Stride between the logits of consecutive samples, in floats.
fn row(layout: Layout, [batch, classes]: [usize; 2], logits: &[f32], labels: &[f32]) -> usize {
    let maps = FeatureMaps::new(layout, [batch, classes, 1, 1]);
    assert_eq!((logits.len(), labels.len()), (maps.len(), batch));
    maps.blocks * maps.lanes
}

/// The class of a label; `None` if the label is invalid.
fn class(label: f32, classes: usize) -> Option<usize> {
    (label >= 0.0 && label.fract() == 0.0 && (label as usize) < classes).then_some(label as usize)
}

/// The largest logit, and the log of the sum of exponentials relative to it.
fn log_sum_exp(logits: &[f32]) -> (f64, f64) {
    let largest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    (largest, logits.iter().map(|&v| (f64::from(v) - largest).exp()).sum::<f64>().ln())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{cases, from_plain, to_plain};
    use super::*;

    /// The definition: cross-entropy of the target distribution and the softmax.
    fn loss(logits: &[f64], label: usize, smoothing: f64) -> f64 {
        let total: f64 = logits.iter().map(|v| v.exp()).sum();
        let target = |i: usize| smoothing / logits.len() as f64 + (1.0 - smoothing) * f64::from(u8::from(i == label));
        -logits.iter().enumerate().map(|(i, v)| target(i) * (v.exp() / total).ln()).sum::<f64>()
    }

    #[test]
    fn agree_with_the_definition_and_its_differences() {
        cases(51, 30, |n, pool, isa, layout, [batch, classes, ..]| {
            let (smoothing, weight) = ([0.0, 0.1, 1.0][n.below(3)], [1.0, 0.3][n.below(2)]);
            let logits: Vec<f32> = n.take(batch * classes).iter().map(|v| v * 8.0).collect();
            let labels: Vec<f32> = (0..batch).map(|_| n.below(classes) as f32).collect();
            let sizes = [batch, classes, 1, 1];
            let converted = from_plain(layout, sizes, &logits);
            let (mut losses, mut grad) = (vec![f32::NAN; batch], vec![f32::NAN; converted.len()]);
            cross_entropy(pool, layout, [batch, classes], [smoothing, weight], &converted, &labels, &mut losses);
            cross_entropy_grad(pool, layout, [batch, classes], [smoothing, weight], &converted, &labels, &mut grad);
            assert!(grad.iter().all(|v| v.is_finite()));
            let grad = to_plain(layout, sizes, &grad);
            for sample in 0..batch {
                let row: Vec<f64> = logits[sample * classes..][..classes].iter().map(|&v| f64::from(v)).collect();
                let label = labels[sample] as usize;
                let expected = weight * loss(&row, label, smoothing);
                assert!((f64::from(losses[sample]) - expected).abs() < 1e-6 * (1.0 + expected.abs()), "{isa}");
                for i in 0..classes {
                    let moved = |by: f64| {
                        let mut row = row.clone();
                        row[i] += by;
                        weight * loss(&row, label, smoothing)
                    };
                    let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5 / batch as f64;
                    assert!((f64::from(grad[sample * classes + i]) - slope).abs() < 1e-7 + 1e-6 * slope.abs(), "{isa}");
                }
            }
        });
    }

    #[allow(clippy::excessive_precision, reason = "as PyTorch prints them")]
    const LOSSES: [f32; 2] = [1.07126367, 100.0];
    #[allow(clippy::excessive_precision, reason = "as PyTorch prints them")]
    const GRAD: [f32; 6] = [0.285207778, -0.00163722411, -0.283570558, 0.483333319, -0.466666669, -0.0166666675];

    #[test]
    fn agrees_with_pytorch() {
        // cross_entropy(logits, labels, reduction="none", label_smoothing=0.1), and the gradient of its mean
        let pool = ThreadPool::new(1).unwrap();
        let (logits, labels) = ([1.0, -2.0, 0.5, 100.0, 0.0, -100.0], [2.0, 1.0]);
        let (mut losses, mut grad) = ([0.0; 2], [0.0; 6]);
        cross_entropy(&pool, Layout::Nchw, [2, 3], [0.1, 1.0], &logits, &labels, &mut losses);
        cross_entropy_grad(&pool, Layout::Nchw, [2, 3], [0.1, 1.0], &logits, &labels, &mut grad);
        let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-6 * b.abs().max(0.1));
        assert!(close(&losses, &LOSSES), "{losses:?}");
        assert!(close(&grad, &GRAD), "{grad:?}");
    }

    #[test]
    fn an_invalid_label_gives_nan() {
        let pool = ThreadPool::new(1).unwrap();
        let logits = [1.0, 2.0, 3.0];
        for label in [3.0, -1.0, 0.5, f32::NAN, f32::INFINITY] {
            let (mut loss, mut grad) = ([0.0], [0.0; 3]);
            cross_entropy(&pool, Layout::Nchw, [1, 3], [0.0, 1.0], &logits, &[label], &mut loss);
            cross_entropy_grad(&pool, Layout::Nchw, [1, 3], [0.0, 1.0], &logits, &[label], &mut grad);
            assert!(loss[0].is_nan() && grad.iter().all(|v| v.is_nan()));
        }
    }
}
