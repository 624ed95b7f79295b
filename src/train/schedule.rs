//! The learning rate of each step.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use crate::ir::{Recipe, Schedule};

/// A smaller relative improvement does not count: PyTorch's `threshold`.
const THRESHOLD: f64 = 1e-4;

/// The state of a plateau schedule.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plateau {
    best: Option<f64>,
    bad: u64,
    factor: f64,
}

impl Default for Plateau {
    fn default() -> Self {
        Plateau { best: None, bad: 0, factor: 1.0 }
    }
}

/// The learning rates of a run.
#[derive(Clone, Debug)]
pub struct LrSchedule<'a> {
    recipe: &'a Recipe,
    epoch_steps: u64,
    total: u64,
}

impl LrSchedule<'_> {
    /// The schedule of a recipe, for epochs with this many steps.
    pub fn new(recipe: &Recipe, epoch_steps: u64) -> LrSchedule<'_> {
        LrSchedule { recipe, epoch_steps, total: recipe.length.steps(epoch_steps) }
    }

    /// The number of steps of the run.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The learning rate of a step, counted from 0.
    pub fn at(&self, step: u64, plateau: &Plateau) -> f64 {
        let lr = self.scheduled(step, plateau);
        let Some(warmup) = &self.recipe.warmup else { return lr };
        let length = warmup.length.steps(self.epoch_steps);
        if step >= length {
            lr
        } else if warmup.ramp {
            warmup.start_lr + (lr - warmup.start_lr) * step as f64 / length as f64
        } else {
            warmup.start_lr
        }
    }

    fn scheduled(&self, step: u64, plateau: &Plateau) -> f64 {
        let base = self.recipe.optimizer.lr;
        match &self.recipe.schedule {
            Schedule::Constant => base,
            Schedule::Steps { at, gamma } => {
                base * gamma.powi(at.iter().filter(|count| count.steps(self.epoch_steps) <= step).count() as i32)
            }
            Schedule::Cosine { eta_min } => cosine(base, *eta_min, step as f64 / self.total.max(1) as f64),
            Schedule::Plateau { min_lr, .. } => (base * plateau.factor).max(min_lr.min(base)),
            Schedule::OneCycle { pct_start, div_factor, final_div_factor } => {
                // the last step of each phase, as PyTorch counts them
                let (top, last) = (pct_start * self.total as f64 - 1.0, self.total as f64 - 1.0);
                let (first, at) = (base / div_factor, step as f64);
                if at <= top {
                    cosine(first, base, at / top)
                } else {
                    cosine(base, first / final_div_factor, ((at - top) / (last - top)).min(1.0))
                }
            }
        }
    }

    /// Updates a plateau schedule with the error of a validation.
    pub fn record(&self, error: f64, plateau: &mut Plateau) {
        let Schedule::Plateau { patience, factor, .. } = self.recipe.schedule else { return };
        if plateau.best.is_none_or(|best| error < best * (1.0 - THRESHOLD)) {
            plateau.best = Some(error);
            plateau.bad = 0;
            return;
        }
        plateau.bad += 1;
        if plateau.bad > patience {
            plateau.bad = 0;
            plateau.factor *= factor;
        }
    }
}

/// Half a cosine from one value to another, as `t` goes from 0 to 1.
fn cosine(from: f64, to: f64, t: f64) -> f64 {
    to + (from - to) * (1.0 + (PI * t).cos()) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{Count, Sgd, Warmup};

    fn recipe(schedule: Schedule, length: Count) -> Recipe {
        Recipe { schedule, length, optimizer: Sgd { lr: 0.1, ..Sgd::default() }, ..Recipe::default() }
    }

    fn lrs(recipe: &Recipe, epoch_steps: u64, at: &[u64]) -> Vec<f64> {
        let schedule = LrSchedule::new(recipe, epoch_steps);
        at.iter().map(|&step| schedule.at(step, &Plateau::default())).collect()
    }

    fn near(got: &[f64], want: &[f64]) {
        assert!(got.len() == want.len() && got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-9), "{got:?} {want:?}");
    }

    #[test]
    fn step_schedule_of_the_paper() {
        let at = vec![Count::Steps(32_000), Count::Steps(48_000)];
        let recipe = recipe(Schedule::Steps { at, gamma: 0.1 }, Count::Steps(64_000));
        near(&lrs(&recipe, 391, &[0, 31_999, 32_000, 47_999, 48_000, 63_999]), &[0.1, 0.1, 0.01, 0.01, 0.001, 0.001]);
    }

    #[test]
    fn warmup_is_constant_or_a_ramp() {
        let mut recipe = recipe(Schedule::Constant, Count::Epochs(10));
        recipe.warmup = Some(Warmup { start_lr: 0.01, length: Count::Steps(400), ramp: false });
        near(&lrs(&recipe, 391, &[0, 399, 400]), &[0.01, 0.01, 0.1]);
        recipe.warmup = Some(Warmup { start_lr: 0.0, length: Count::Epochs(2), ramp: true });
        near(&lrs(&recipe, 10, &[0, 10, 19, 20]), &[0.0, 0.05, 0.095, 0.1]);
    }

    #[test]
    fn cosine_falls_to_eta_min() {
        let recipe = recipe(Schedule::Cosine { eta_min: 0.02 }, Count::Epochs(10));
        near(&lrs(&recipe, 4, &[0, 20, 40]), &[0.1, 0.06, 0.02]);
    }

    /// `OneCycleLR(opt, max_lr=0.1, total_steps=10, pct_start=0.3, div_factor=25, final_div_factor=1e4)`.
    #[test]
    fn one_cycle_matches_pytorch() {
        let recipe = recipe(Schedule::OneCycle { pct_start: 0.3, div_factor: 25.0, final_div_factor: 1e4 }, Count::Steps(10));
        let at: Vec<u64> = (0..10).collect();
        let want =
            [0.004, 0.052, 0.1, 0.095_048_46, 0.081_174_51, 0.061_126_2, 0.038_874_2, 0.018_825_83, 0.004_951_94, 0.000_000_4];
        let got = lrs(&recipe, 1, &at);
        assert!(got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-6), "{got:?}");
    }

    #[test]
    fn a_plateau_lowers_the_learning_rate_when_patience_runs_out() {
        let recipe = recipe(Schedule::Plateau { patience: 2, factor: 0.1, min_lr: 0.005 }, Count::Epochs(10));
        let schedule = LrSchedule::new(&recipe, 1);
        let mut plateau = Plateau::default();
        let mut seen = Vec::new();
        for error in [0.5, 0.4, 0.4, 0.41, 0.399_99, 0.39, 0.4, 0.4, 0.4] {
            schedule.record(error, &mut plateau);
            seen.push(schedule.at(0, &plateau));
        }
        // the fifth is the third in a row without an improvement of at least 1e-4
        near(&seen, &[0.1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.01, 0.005]);
    }
}
