//! From a network's output to class probabilities.

use ndarray::ArrayD;

use super::InferError;

/// A row of scores for each sample. A map of scores (a fully convolutional head) is averaged.
pub(super) fn rows(output: &ArrayD<f32>) -> Result<Vec<Vec<f32>>, InferError> {
    let [batch, classes, rest @ ..] = output.shape() else { return Err(InferError::NoClasses) };
    let positions: usize = rest.iter().product();
    let values = output.as_standard_layout();
    let values = values.as_slice().unwrap_or(&[]);
    let mean = |chunk: &[f32]| chunk.iter().sum::<f32>() / positions as f32;
    let rows = values.chunks_exact((classes * positions).max(1)).take(*batch);
    Ok(rows.map(|row| row.chunks_exact(positions.max(1)).map(mean).collect()).collect())
}

/// The logarithms of the softmax of a row of scores: exact where a probability would be rounded to 0.
pub fn log_softmax(scores: &[f32]) -> Vec<f64> {
    let max = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = scores.iter().map(|&x| (f64::from(x) - f64::from(max)).exp()).sum();
    scores.iter().map(|&x| f64::from(x) - f64::from(max) - sum.ln()).collect()
}

/// The softmax of a row of scores.
pub fn softmax(scores: &[f32]) -> Vec<f32> {
    let max = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exp: Vec<f32> = scores.iter().map(|&x| (x - max).exp()).collect();
    let sum: f32 = exp.iter().sum();
    exp.into_iter().map(|x| x / sum).collect()
}

/// The indices of the `k` largest values, largest first; of equal values the lower index.
pub fn top_k(values: &[f32], k: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]).then(a.cmp(&b)));
    order.truncate(k);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_classes_come_first_and_equals_by_index() {
        assert_eq!(top_k(&[0.1, 0.4, 0.4, 0.1], 3), [1, 2, 0]);
        assert_eq!(top_k(&[0.5], 5), [0]);
        assert_eq!(top_k(&[f32::NAN, 1.0], 2), [0, 1]);
    }

    #[test]
    fn softmax_of_large_scores_does_not_overflow() {
        assert_eq!(softmax(&[1000.0, 1000.0]), [0.5, 0.5]);
        assert_eq!(log_softmax(&[1000.0, 1000.0]), [0.5f64.ln(); 2]);
        assert_eq!(log_softmax(&[0.0, 1000.0]), [-1000.0, 0.0]);
        // a class that is ruled out takes nothing from the others
        assert_eq!(log_softmax(&[f32::NEG_INFINITY, 0.0]), [f64::NEG_INFINITY, 0.0]);
        for bad in [f32::NAN, f32::INFINITY] {
            assert!(log_softmax(&[0.0, bad]).iter().chain(&[f64::from(softmax(&[0.0, bad])[0])]).all(|p| p.is_nan()));
        }
    }
}
