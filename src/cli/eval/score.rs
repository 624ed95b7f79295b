//! What is counted over images.

use serde::{Deserialize, Serialize};

use super::super::images::top;
use super::confusion::Confusion;

/// Hits and loss of one network, or of all together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Tally {
    first: usize,
    five: usize,
    loss: f64,
}

impl Tally {
    fn count(&mut self, class: usize, row: &[f32]) {
        let best = top(row, 5);
        self.first += usize::from(best.first() == Some(&class));
        self.five += usize::from(best.contains(&class));
        // no probability is taken for less than the least number
        let probability = row.get(class).copied().unwrap_or(0.0).max(f32::MIN_POSITIVE);
        self.loss -= f64::from(probability).ln();
    }

    /// The measures over so many images, at least 1.
    pub fn measures(&self, pictures: usize) -> Measures {
        let percent = |hits: usize| 100.0 * hits as f64 / pictures as f64;
        Measures { top1: percent(self.first), top5: percent(self.five), loss: self.loss / pictures as f64 }
    }
}

/// Percentages of right answers, and the mean cross-entropy in nats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Measures {
    /// The class is the most probable one.
    pub top1: f64,
    /// The class is among the five most probable ones.
    pub top5: f64,
    /// Mean of `-ln p`, p the probability that the class was given.
    pub loss: f64,
}

/// An image and how it was answered.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Answer {
    /// Of the image in the dataset.
    pub index: usize,
    /// Its class.
    pub class: usize,
    /// The class taken for it.
    pub answer: usize,
    /// The probability that its class was given.
    pub truth: f32,
    /// The probability that the answer was given.
    pub probability: f32,
}

/// All that is counted.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Counts {
    /// The first image that was not looked at yet.
    pub next: usize,
    /// Images that were answered.
    pub seen: usize,
    /// Images that could not be read.
    pub broken: usize,
    /// What was wrong with the first of them.
    pub reasons: Vec<String>,
    /// Of each network, and, of several, of all together behind them.
    pub tallies: Vec<Tally>,
    /// Which classes are taken for which; of all networks together.
    pub confusion: Confusion,
    /// The images whose class was given the least probability, the least first.
    pub worst: Vec<Answer>,
}

/// How many broken files are named.
const NAMED: usize = 10;

impl Counts {
    /// Counts an image that was answered with these rows of probabilities: of each network, and of all together in the end.
    pub fn answer(&mut self, index: usize, class: usize, rows: &[Vec<f32>], worst: usize) {
        self.seen += 1;
        self.tallies.resize(rows.len(), Tally::default());
        for (tally, row) in self.tallies.iter_mut().zip(rows) {
            tally.count(class, row);
        }
        let Some(row) = rows.last() else { return };
        let best = top(row, 1).first().copied().unwrap_or(0);
        self.confusion.count(class, best, row.len());
        let of = |class: usize| row.get(class).copied().unwrap_or(0.0);
        let answer = Answer { index, class, answer: best, truth: of(class), probability: of(best) };
        let place = self.worst.partition_point(|other| other.truth.total_cmp(&answer.truth).is_le());
        if place < worst {
            self.worst.insert(place, answer);
            self.worst.truncate(worst);
        }
    }

    /// Counts an image that could not be read.
    pub fn broken(&mut self, why: String) {
        self.broken += 1;
        if self.reasons.len() < NAMED {
            self.reasons.push(why);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_and_losses_are_counted_for_each_network() {
        let mut counts = Counts::default();
        counts.answer(0, 0, &[vec![0.5, 0.25, 0.25], vec![0.25, 0.5, 0.25]], 0);
        counts.answer(1, 1, &[vec![0.5, 0.25, 0.25], vec![0.25, 0.5, 0.25]], 0);
        let [one, two] = [0, 1].map(|i| counts.tallies[i].measures(2));
        assert_eq!((one.top1, one.top5), (50.0, 100.0));
        assert_eq!((one.loss, two.loss), (8f64.ln() / 2.0, 8f64.ln() / 2.0));
        // the last row's answers are those that are confused
        assert_eq!(counts.confusion.rows, [[0, 1, 0], [0, 1, 0], [0, 0, 0]]);
        // a class that was thought impossible costs much, and no infinity
        counts.answer(2, 0, &[vec![0.0, 1.0], vec![0.0, 1.0]], 0);
        assert!(counts.tallies[0].measures(3).loss.is_finite());
    }

    #[test]
    fn the_worst_are_those_of_least_probability_in_order() {
        let mut counts = Counts::default();
        for (index, truth) in [0.9, 0.2, 0.6, 0.2, 0.1].into_iter().enumerate() {
            counts.answer(index, 0, &[vec![truth, 1.0 - truth]], 3);
        }
        let list: Vec<(usize, usize)> = counts.worst.iter().map(|a| (a.index, a.answer)).collect();
        assert_eq!(list, [(4, 1), (1, 1), (3, 1)]);
    }

    #[test]
    fn broken_files_are_counted_and_the_first_named() {
        let mut counts = Counts::default();
        (0..25).for_each(|i| counts.broken(i.to_string()));
        assert_eq!((counts.broken, counts.reasons.len()), (25, NAMED));
    }
}
