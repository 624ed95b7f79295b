//! Weight standardization (Qiao et al. 2019), and its gradient. Sums are in f64: a filter has few elements next to the pixels that it is
//! multiplied with.

use super::threads::ThreadPool;

/// How a weight is standardized.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standardization {
    /// Elements per filter.
    pub fan_in: usize,
    /// Added to the variance.
    pub eps: f64,
    /// The factor of each filter besides its gain.
    pub scale: f64,
}

impl Standardization {
    /// Each filter of `weight` with mean 0 and variance 1, times its gain, if there are any, and the common factor.
    pub fn run(&self, pool: &ThreadPool, weight: &[f32], gains: Option<&[f32]>, out: &mut [f32]) {
        self.filters(pool, out, |filter, out| {
            self.filter(self.part(weight, filter), self.factor(gains, filter), out);
        });
    }

    /// A single filter, with this factor.
    pub fn filter(&self, weight: &[f32], factor: f64, out: &mut [f32]) {
        let (mean, inverse) = self.statistics(weight);
        out.iter_mut().zip(weight).for_each(|(out, &w)| *out = ((f64::from(w) - mean) * inverse * factor) as f32);
    }

    /// The factor of a filter, with its gain if there are any.
    pub fn factor(&self, gains: Option<&[f32]>, filter: usize) -> f64 {
        self.scale * gains.map_or(1.0, |gains| f64::from(gains[filter]))
    }

    /// The gradient of the weight, from that of the standardized one.
    pub fn grad_weight(&self, pool: &ThreadPool, weight: &[f32], gains: Option<&[f32]>, dy: &[f32], out: &mut [f32]) {
        self.filters(pool, out, |filter, out| {
            let (weight, dy) = (self.part(weight, filter), self.part(dy, filter));
            let (mean, inverse) = self.statistics(weight);
            let [sum, product] = sums(weight, dy, mean, inverse).map(|sum| sum / self.fan_in as f64);
            let factor = self.factor(gains, filter) * inverse;
            for ((out, &w), &dy) in out.iter_mut().zip(weight).zip(dy) {
                *out = ((f64::from(dy) - sum - (f64::from(w) - mean) * inverse * product) * factor) as f32;
            }
        });
    }

    /// The gradient of the gains.
    pub fn grad_gains(&self, weight: &[f32], dy: &[f32], out: &mut [f32]) {
        for (filter, out) in out.iter_mut().enumerate() {
            let (weight, dy) = (self.part(weight, filter), self.part(dy, filter));
            let (mean, inverse) = self.statistics(weight);
            let [_, product] = sums(weight, dy, mean, inverse);
            *out = (product * self.scale) as f32;
        }
    }

    fn filters(&self, pool: &ThreadPool, out: &mut [f32], task: impl Fn(usize, &mut [f32]) + Sync) {
        pool.pieces(out, self.fan_in.max(1), task);
    }

    fn part<'a>(&self, values: &'a [f32], filter: usize) -> &'a [f32] {
        &values[filter * self.fan_in..][..self.fan_in]
    }

    /// The mean, and the inverse of the deviation.
    fn statistics(&self, weight: &[f32]) -> (f64, f64) {
        let count = weight.len().max(1) as f64;
        let mean = weight.iter().map(|&w| f64::from(w)).sum::<f64>() / count;
        let variance = weight.iter().map(|&w| (f64::from(w) - mean).powi(2)).sum::<f64>() / count;
        (mean, 1.0 / (variance + self.eps).sqrt())
    }
}

/// The sum of a gradient, and of its products with the normalized filter.
fn sums(weight: &[f32], dy: &[f32], mean: f64, inverse: f64) -> [f64; 2] {
    weight.iter().zip(dy).fold([0.0; 2], |[sum, product], (&w, &dy)| {
        let dy = f64::from(dy);
        [sum + dy, product + dy * (f64::from(w) - mean) * inverse]
    })
}
