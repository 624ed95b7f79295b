//! A word about the learning rate, where the first steps show that it does not suit.

/// Steps whose mean loss is looked at.
const STEPS: u64 = 100;
/// The loss is no better than guessing above this part of it.
const PART: f64 = 0.98;

/// Watches the first steps of a run.
#[derive(Clone, Debug)]
pub struct Watch {
    guessing: f64,
    sum: f64,
    steps: u64,
}

impl Watch {
    /// For a network of so many classes.
    pub fn new(classes: usize) -> Watch {
        Watch { guessing: (classes.max(2) as f64).ln(), sum: 0.0, steps: 0 }
    }

    /// Takes a step's loss and rate; has a word to say at most once.
    pub fn step(&mut self, loss: f64, rate: f64) -> Option<String> {
        self.steps += 1;
        if self.steps > STEPS {
            return None;
        }
        // the first half is left to find the way
        if self.steps > STEPS / 2 {
            self.sum += loss;
        }
        let mean = self.sum / (STEPS / 2) as f64;
        (self.steps == STEPS && mean > PART * self.guessing).then(|| {
            format!(
                "after {STEPS} steps the loss is {mean:.3}, no better than guessing ({:.3}). If it stays so, the rate of {rate} may be too \
                 large, or far too small: try --set train.optimizer.lr={}, or a warm-up",
                self.guessing,
                rate / 10.0
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Watch;

    #[test]
    fn a_loss_that_stays_is_spoken_of_once() {
        let mut watch = Watch::new(10);
        let said: Vec<String> = (0..500).filter_map(|_| watch.step(2.31, 0.1)).collect();
        assert_eq!(said.len(), 1);
        assert!(said[0].contains("2.303") && said[0].contains("lr=0.01"), "{}", said[0]);
        let mut falling = Watch::new(10);
        assert!((0..500).all(|i| falling.step(2.4 - f64::from(i) * 0.005, 0.1).is_none()));
    }
}
