//! Random numbers that depend only on a key of a few integers, not on threads or the order in which samples are read.

/// SplitMix64 (Steele, Lea and Flood 2014), with 64 bits of state and the full period.
#[derive(Clone, Debug)]
pub struct Rng(u64);

const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Rng {
    /// The generator for a key: `[seed, epoch, index]` for a sample, `[seed, epoch]` for the order of an epoch.
    pub fn of(key: &[u64]) -> Rng {
        // the length is mixed in first, so that no key is a prefix of another
        let start = mix(GAMMA.wrapping_mul(key.len() as u64 + 1));
        Rng(key.iter().fold(start, |state, &word| mix(mix(state.wrapping_add(GAMMA)) ^ mix(word.wrapping_add(GAMMA)))))
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GAMMA);
        mix(self.0)
    }

    /// Uniform in [0, 1): a multiple of 2^-53.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in [`low`, `high`).
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Uniform in `0..n`, without bias (Lemire 2019); 0 if `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        let n = n as u64;
        loop {
            let product = u128::from(self.bits()) * u128::from(n);
            // rejects the values that would make some results more likely: fewer than n of 2^64
            if n == 0 || product as u64 >= n.wrapping_neg() % n {
                return (product >> 64) as usize;
            }
        }
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Standard normal, by the Box-Muller transform.
    pub fn normal(&mut self) -> f64 {
        // 1 - unit is in (0, 1], so its logarithm is finite
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Shuffles uniformly (Fisher-Yates).
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_depend_on_every_word_of_the_key_and_their_order() {
        let first = |key: &[u64]| Rng::of(key).bits();
        assert_eq!(first(&[1, 2, 3]), first(&[1, 2, 3]));
        let keys: [&[u64]; 8] = [&[1, 2, 3], &[2, 1, 3], &[1, 3, 2], &[1, 2], &[1, 2, 0], &[0, 1, 2], &[], &[0]];
        let draws: std::collections::BTreeSet<u64> = keys.iter().map(|k| first(k)).collect();
        assert_eq!(draws.len(), keys.len());
    }

    #[test]
    fn numbers_are_uniform() {
        let mut rng = Rng::of(&[7]);
        let mut counts = [0usize; 5];
        for _ in 0..50_000 {
            counts[rng.below(5)] += 1;
        }
        // 10 000 +- 89 each: five standard deviations
        assert!(counts.iter().all(|&n| n.abs_diff(10_000) < 450), "{counts:?}");
        let mean = (0..100_000).map(|_| rng.unit()).sum::<f64>() / 1e5;
        assert!((mean - 0.5).abs() < 0.005, "{mean}");
        assert_eq!((rng.below(0), rng.below(1)), (0, 0));
    }

    /// The first draws of adjacent keys, as samples have, must be uncorrelated.
    #[test]
    fn neighboring_samples_draw_independently() {
        let draws: Vec<f64> = (0..100_000).map(|i| Rng::of(&[0, 0, i]).unit() - 0.5).collect();
        let mean = draws.iter().sum::<f64>() / 1e5;
        let product = draws.windows(2).map(|p| p[0] * p[1]).sum::<f64>() / 1e5;
        // the variance is 1/12: standard deviations of 0.0009 and 0.00026
        assert!(mean.abs() < 0.005 && product.abs() < 0.0015, "{mean} {product}");
    }

    #[test]
    fn normal_numbers_are_normal() {
        let mut rng = Rng::of(&[3]);
        let draws: Vec<f64> = (0..100_000).map(|_| rng.normal()).collect();
        let mean = draws.iter().sum::<f64>() / 1e5;
        let variance = draws.iter().map(|v| v * v).sum::<f64>() / 1e5;
        let beyond = draws.iter().filter(|v| v.abs() > 1.96).count();
        assert!(mean.abs() < 0.015 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
        assert!(beyond.abs_diff(5000) < 350, "{beyond}");
    }

    #[test]
    fn every_order_occurs() {
        let mut seen = std::collections::BTreeMap::new();
        for seed in 0..6000 {
            let mut list = [0, 1, 2];
            Rng::of(&[seed]).shuffle(&mut list);
            *seen.entry(list).or_insert(0usize) += 1;
        }
        assert_eq!(seen.len(), 6);
        assert!(seen.values().all(|&n| n.abs_diff(1000) < 150), "{seen:?}");
    }
}
