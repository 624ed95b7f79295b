//! Suggests another learning rate if the loss does not fall in the first steps.

/// The number of steps that are watched; the loss is averaged over their second half.
const STEPS: u64 = 100;
/// A loss above this fraction of the loss of guessing is no better than guessing.
const THRESHOLD: f64 = 0.98;

/// Watches the first steps of a run.
#[derive(Clone, Debug)]
pub struct Watch {
    guessing: f64,
    sum: f64,
    steps: u64,
}

impl Watch {
    /// For a network with this many classes.
    pub fn new(classes: usize) -> Watch {
        Watch { guessing: (classes.max(2) as f64).ln(), sum: 0.0, steps: 0 }
    }

    /// Records the loss and learning rate of a step. Returns a message at most once.
    pub fn step(&mut self, loss: f64, lr: f64) -> Option<String> {
        self.steps += 1;
        if self.steps > STEPS {
            return None;
        }
        // the first half does not count
        if self.steps > STEPS / 2 {
            self.sum += loss;
        }
        let mean = self.sum / (STEPS / 2) as f64;
        (self.steps == STEPS && mean > THRESHOLD * self.guessing).then(|| {
            format!(
                "after {STEPS} steps the loss is {mean:.3}, no better than guessing ({:.3}). If it stays there, the learning rate of {lr} may \
                 be too large, or far too small: try --set train.optimizer.lr={}, or a warm-up",
                self.guessing,
                lr / 10.0
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Watch;

    #[test]
    fn a_loss_that_does_not_fall_is_reported_once() {
        let mut watch = Watch::new(10);
        let messages: Vec<String> = (0..500).filter_map(|_| watch.step(2.31, 0.1)).collect();
        assert_eq!(messages.len(), 1);
        assert!(messages[0].contains("2.303") && messages[0].contains("lr=0.01"), "{}", messages[0]);
        let mut falling = Watch::new(10);
        assert!((0..500).all(|i| falling.step(2.4 - f64::from(i) * 0.005, 0.1).is_none()));
    }
}
