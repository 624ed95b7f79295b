//! What is counted over images.

use serde::{Deserialize, Serialize};

use super::super::images::top;
use super::confusion::Confusion;

/// What a network answers for an image: a number for each class.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Row {
    /// The probabilities.
    pub p: Vec<f32>,
    /// Their logarithms: exact where a probability is rounded to 0.
    pub log: Vec<f64>,
}

impl Row {
    /// Whether it is an answer at all.
    pub fn is_finite(&self) -> bool {
        self.p.iter().all(|p| p.is_finite())
    }

    /// The mean of several networks' probabilities.
    pub fn mean(rows: &[Row]) -> Row {
        let classes = rows.first().map_or(0, |row| row.p.len());
        let mean =
            |class: usize| rows.iter().filter_map(|row| row.p.get(class)).map(|&p| f64::from(p)).sum::<f64>() / rows.len() as f64;
        let log = |class: usize| {
            let sum = rows.iter().filter_map(|row| row.log.get(class)).copied().fold(f64::NEG_INFINITY, add);
            sum - (rows.len() as f64).ln()
        };
        Row { p: (0..classes).map(|class| mean(class) as f32).collect(), log: (0..classes).map(log).collect() }
    }
}

/// The logarithm of the sum of two numbers that are given by theirs.
pub(super) fn add(a: f64, b: f64) -> f64 {
    let larger = if a > b { a } else { b };
    if larger == f64::NEG_INFINITY { a + b } else { larger + ((a - larger).exp() + (b - larger).exp()).ln() }
}

/// Hits and loss of one network, or of all together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Tally {
    first: usize,
    five: usize,
    /// Of the images whose loss is finite.
    loss: f64,
    /// Images whose class was given the probability 0.
    #[serde(default)]
    impossible: usize,
    /// Images whose scores are not finite.
    #[serde(default)]
    not_finite: usize,
}

impl Tally {
    fn count(&mut self, class: usize, row: &Row) {
        if !row.is_finite() {
            self.not_finite += 1;
            return;
        }
        let best = top(&row.p, 5);
        self.first += usize::from(best.first() == Some(&class));
        self.five += usize::from(best.contains(&class));
        match row.log.get(class) {
            Some(log) if log.is_finite() => self.loss -= log,
            Some(_) | None => self.impossible += 1,
        }
    }

    /// The measures over so many images, at least 1.
    pub fn measures(&self, pictures: usize) -> Measures {
        let percent = |hits: usize| 100.0 * hits as f64 / pictures as f64;
        let loss = match (self.not_finite, self.impossible) {
            (0, 0) => self.loss / pictures as f64,
            (0, _) => f64::INFINITY,
            (_, _) => f64::NAN,
        };
        Measures { top1: percent(self.first), top5: percent(self.five), loss, not_finite: self.not_finite }
    }
}

/// Percentages of right answers, and the mean cross-entropy in nats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Measures {
    /// The class is the most probable one.
    pub top1: f64,
    /// The class is among the five most probable ones.
    pub top5: f64,
    /// Mean of `-ln p`, p the probability that the class was given; infinite where one of them is 0, and NaN where scores are not
    /// finite.
    pub loss: f64,
    /// Images whose scores are not finite: each counts as a wrong answer.
    pub not_finite: usize,
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

/// An image without an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct NoAnswer {
    /// Of the image in the dataset.
    pub index: usize,
    /// The network, and what in it is not finite.
    pub why: String,
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
    /// The first image that a network's scores are not finite of, and why.
    #[serde(default)]
    pub no_answer: Option<NoAnswer>,
    /// Which classes are taken for which; of all networks together.
    pub confusion: Confusion,
    /// The images whose class was given the least probability, the least first.
    pub worst: Vec<Answer>,
}

/// How many broken files are named.
const NAMED: usize = 10;

impl Counts {
    /// Counts an image that was answered with these rows of probabilities: of each network, and of all together in the end.
    pub fn answer(&mut self, index: usize, class: usize, rows: &[Row], worst: usize) {
        self.seen += 1;
        self.tallies.resize(rows.len(), Tally::default());
        for (tally, row) in self.tallies.iter_mut().zip(rows) {
            tally.count(class, row);
        }
        // scores that are not finite are no answer: they take no class for another
        let Some(Row { p: row, .. }) = rows.last().filter(|row| row.is_finite()) else { return };
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

    fn row(p: &[f32]) -> Row {
        Row { p: p.to_vec(), log: p.iter().map(|&p| f64::from(p).ln()).collect() }
    }

    #[test]
    fn hits_and_losses_are_counted_for_each_network() {
        let mut counts = Counts::default();
        let rows = [row(&[0.5, 0.25, 0.25]), row(&[0.25, 0.5, 0.25])];
        counts.answer(0, 0, &rows, 0);
        counts.answer(1, 1, &rows, 0);
        let [one, two] = [0, 1].map(|i| counts.tallies[i].measures(2));
        assert_eq!((one.top1, one.top5), (50.0, 100.0));
        assert_eq!((one.loss, two.loss), (8f64.ln() / 2.0, 8f64.ln() / 2.0));
        // the last row's answers are those that are confused
        assert_eq!(counts.confusion.rows, [[0, 1, 0], [0, 1, 0], [0, 0, 0]]);
    }

    #[test]
    fn a_loss_is_never_made_up() {
        // a probability that is rounded to 0 has a logarithm all the same
        let mut counts = Counts::default();
        counts.answer(0, 0, &[Row { p: vec![0.0, 1.0], log: vec![-1000.0, 0.0] }], 0);
        assert_eq!(counts.tallies[0].measures(1).loss, 1000.0);
        // one that is 0 has none
        counts.answer(1, 0, &[row(&[0.0, 1.0])], 0);
        assert_eq!(counts.tallies[0].measures(2).loss, f64::INFINITY);
        // scores that are no numbers are wrong, whatever the class
        for class in [0, 1] {
            counts.answer(2 + class, class, &[row(&[f32::NAN, f32::NAN])], 4);
        }
        let measures = counts.tallies[0].measures(4);
        assert!(measures.loss.is_nan() && (measures.top1, measures.top5, measures.not_finite) == (0.0, 50.0, 2));
        assert_eq!((counts.confusion.rows[0][0], counts.confusion.rows[1][0], counts.worst.len()), (0, 0, 0));
        // and so they are when a run goes on
        let text = serde_json::to_string(&counts).unwrap();
        let again: Counts = serde_json::from_str(&text).unwrap();
        assert_eq!(again.tallies, counts.tallies);
    }

    #[test]
    fn means_of_probabilities_keep_their_logarithms() {
        let mean = Row::mean(&[row(&[0.5, 0.5]), row(&[0.25, 0.75])]);
        assert_eq!(mean.p, [0.375, 0.625]);
        assert!(mean.log.iter().zip(&mean.p).all(|(log, &p)| (log - f64::from(p).ln()).abs() < 1e-12));
        let far = Row { p: vec![0.0, 1.0], log: vec![-1000.0, 0.0] };
        assert!((Row::mean(&[far.clone(), far]).log[0] + 1000.0).abs() < 1e-9);
        assert_eq!(add(f64::NEG_INFINITY, f64::NEG_INFINITY), f64::NEG_INFINITY);
        assert!(add(f64::NAN, f64::NEG_INFINITY).is_nan() && add(f64::NEG_INFINITY, f64::NAN).is_nan());
        assert!(!Row::mean(&[row(&[f32::NAN]), row(&[1.0])]).is_finite());
    }

    #[test]
    fn the_worst_are_those_of_least_probability_in_order() {
        let mut counts = Counts::default();
        for (index, truth) in [0.9, 0.2, 0.6, 0.2, 0.1].into_iter().enumerate() {
            counts.answer(index, 0, &[row(&[truth, 1.0 - truth])], 3);
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
