//! Norms of each sample, by their definition.

use super::array::Array;
use super::ops::greater;
use crate::ir::{NormOver, Reduction, SampleNorm};

/// The normalized values before weight and bias, and the reciprocal of each value's deviation.
pub(super) struct Hat {
    pub values: Vec<f64>,
    pub inverse: Vec<f64>,
    /// The values that are normalized together, by index.
    sets: Vec<Vec<usize>>,
}

impl Hat {
    pub fn new(norm: &SampleNorm, x: &Array) -> Hat {
        let sets = sets(norm.over, x);
        let (mut values, mut inverse) = (x.data.clone(), x.data.clone());
        for set in &sets {
            let mean = mean(set, |i| x.data[i]);
            let variance = self::mean(set, |i| (x.data[i] - mean).powi(2));
            let scale = 1.0 / (variance + norm.eps).sqrt();
            for &i in set {
                values[i] = (x.data[i] - mean) * scale;
                inverse[i] = scale;
            }
        }
        Hat { values, inverse, sets }
    }

    /// With `g = weight * dy`: `inverse * (g - mean(g) - xhat * mean(g * xhat))`.
    pub fn grad_input(&self, g: &[f64]) -> Vec<f64> {
        let mut dx = g.to_vec();
        for set in &self.sets {
            let (sum, product) = (mean(set, |i| g[i]), mean(set, |i| g[i] * self.values[i]));
            for &i in set {
                dx[i] = self.inverse[i] * (g[i] - sum - self.values[i] * product);
            }
        }
        dx
    }
}

fn mean(set: &[usize], of: impl Fn(usize) -> f64) -> f64 {
    set.iter().map(|&i| of(i)).sum::<f64>() / set.len() as f64
}

/// The indices of the values that share a mean.
fn sets(over: NormOver, x: &Array) -> Vec<Vec<usize>> {
    let (_, channels, plane) = x.planes();
    let key = |i: usize| {
        let (sample, channel, place) = (i / (channels * plane), i / plane % channels, i % plane);
        match over {
            NormOver::Channels => sample * plane + place,
            NormOver::All => sample,
            NormOver::Groups(groups) => sample * groups + channel / (channels / groups),
            NormOver::Places => sample * channels + channel,
        }
    };
    let mut sets = Vec::new();
    for i in 0..x.data.len() {
        let key = key(i);
        if sets.len() <= key {
            sets.resize(key + 1, Vec::new());
        }
        sets[key].push(i);
    }
    sets
}

/// The index of the weight of a value.
pub(super) fn learned(norm: &SampleNorm, x: &Array, i: usize) -> usize {
    let (_, channels, plane) = x.planes();
    if norm.over == NormOver::All { i % (channels * plane) } else { i / plane % channels }
}

/// A value times the weight, if there is one.
pub(super) fn weighted(norm: &SampleNorm, x: &Array, values: &[f64], weight: Option<&[f64]>) -> Vec<f64> {
    let factor = |i: usize| weight.map_or(1.0, |weight| weight[learned(norm, x, i)]);
    values.iter().enumerate().map(|(i, v)| v * factor(i)).collect()
}

/// The norm.
pub(super) fn sample_norm(norm: &SampleNorm, x: &Array, weight: Option<&[f64]>, bias: Option<&[f64]>) -> Vec<f64> {
    let mut y = weighted(norm, x, &Hat::new(norm, x).values, weight);
    if let Some(bias) = bias {
        y.iter_mut().enumerate().for_each(|(i, y)| *y += bias[learned(norm, x, i)]);
    }
    y
}

/// The gradients of the weights, then those of the biases.
pub(super) fn grad_params(norm: &SampleNorm, x: &Array, dy: &[f64], len: usize) -> Vec<f64> {
    let hat = Hat::new(norm, x);
    let mut sums = vec![0.0; len];
    for (i, dy) in dy.iter().enumerate() {
        let at = learned(norm, x, i);
        sums[at] += dy * hat.values[i];
        sums[len / 2 + at] += dy;
    }
    sums
}

/// The mean or maximum of each place's channels.
pub(super) fn over_channels(reduction: Reduction, x: &Array) -> Vec<f64> {
    let places = sets(NormOver::Channels, x);
    let one = |set: &Vec<usize>| match reduction {
        Reduction::Mean => mean(set, |i| x.data[i]),
        Reduction::Max => set.iter().map(|&i| x.data[i]).fold(f64::NEG_INFINITY, greater),
    };
    places.iter().map(one).collect()
}

/// The gradient of the maximum: that of the result for the first of the largest values.
pub(super) fn max_grad(x: &Array, dy: &[f64]) -> Vec<f64> {
    let mut dx = vec![0.0; x.data.len()];
    for (set, dy) in sets(NormOver::Channels, x).iter().zip(dy) {
        let first = set.iter().copied().reduce(|best, i| {
            let (v, best_v) = (x.data[i], x.data[best]);
            if v > best_v || (v.is_nan() && !best_v.is_nan()) { i } else { best }
        });
        first.into_iter().for_each(|i| dx[i] = *dy);
    }
    dx
}

/// Each place's channels over their norm, or over the smallest norm.
pub(super) fn l2_norm(eps: f64, x: &Array) -> Vec<f64> {
    let mut y = x.data.clone();
    for set in sets(NormOver::Channels, x) {
        let norm = set.iter().map(|&i| x.data[i].powi(2)).sum::<f64>().sqrt();
        set.iter().for_each(|&i| y[i] /= norm.max(eps));
    }
    y
}

/// The gradient: `(dy - y * sum(y * dy)) / norm`, and `dy / eps` below the smallest norm.
pub(super) fn l2_norm_grad(eps: f64, x: &Array, dy: &[f64]) -> Vec<f64> {
    let y = l2_norm(eps, x);
    let mut dx = dy.to_vec();
    for set in sets(NormOver::Channels, x) {
        let norm = set.iter().map(|&i| x.data[i].powi(2)).sum::<f64>().sqrt();
        let along = if norm > eps { set.iter().map(|&i| y[i] * dy[i]).sum::<f64>() } else { 0.0 };
        set.iter().for_each(|&i| dx[i] = (dy[i] - y[i] * along) / norm.max(eps));
    }
    dx
}
