//! Counts and measures over images.

use serde::{Deserialize, Serialize};

use super::confusion::Confusion;
use crate::infer::top_k;

/// The probabilities that a network gives the classes of an image.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Probabilities {
    /// One for each class.
    pub p: Vec<f32>,
    /// Their logarithms: exact where a probability is rounded to 0.
    pub log: Vec<f64>,
}

impl Probabilities {
    /// Whether all of them are finite.
    pub fn is_finite(&self) -> bool {
        self.p.iter().all(|p| p.is_finite())
    }

    /// The mean of several networks' probabilities.
    pub fn mean(list: &[Probabilities]) -> Probabilities {
        let classes = list.first().map_or(0, |one| one.p.len());
        let mean =
            |class: usize| list.iter().filter_map(|one| one.p.get(class)).map(|&p| f64::from(p)).sum::<f64>() / list.len() as f64;
        let log = |class: usize| {
            let sum = list.iter().filter_map(|one| one.log.get(class)).copied().fold(f64::NEG_INFINITY, log_add_exp);
            sum - (list.len() as f64).ln()
        };
        Probabilities { p: (0..classes).map(|class| mean(class) as f32).collect(), log: (0..classes).map(log).collect() }
    }
}

/// The logarithm of the sum of two numbers that are given by their logarithms.
pub(super) fn log_add_exp(a: f64, b: f64) -> f64 {
    let larger = if a > b { a } else { b };
    if larger == f64::NEG_INFINITY { a + b } else { larger + ((a - larger).exp() + (b - larger).exp()).ln() }
}

/// Hits and loss of one network, or of the ensemble.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Tally {
    first: usize,
    five: usize,
    /// The sum over images whose loss is finite.
    loss: f64,
    /// Images whose class was given probability 0.
    #[serde(default)]
    impossible: usize,
    /// Images whose scores are not finite.
    #[serde(default)]
    not_finite: usize,
}

impl Tally {
    fn count(&mut self, class: usize, answer: &Probabilities) {
        if !answer.is_finite() {
            self.not_finite += 1;
            return;
        }
        let best = top_k(&answer.p, 5);
        self.first += usize::from(best.first() == Some(&class));
        self.five += usize::from(best.contains(&class));
        match answer.log.get(class) {
            Some(log) if log.is_finite() => self.loss -= log,
            Some(_) | None => self.impossible += 1,
        }
    }

    /// The measures over `images` images, at least 1.
    pub fn measures(&self, images: usize) -> Measures {
        let percent = |hits: usize| 100.0 * hits as f64 / images as f64;
        let loss = match (self.not_finite, self.impossible) {
            (0, 0) => self.loss / images as f64,
            (0, _) => f64::INFINITY,
            (_, _) => f64::NAN,
        };
        Measures { top1: percent(self.first), top5: percent(self.five), loss, not_finite: self.not_finite }
    }
}

/// Accuracy in percent, and the mean cross-entropy in nats.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Measures {
    /// Images whose class is the most probable one.
    pub top1: f64,
    /// Images whose class is among the five most probable ones.
    pub top5: f64,
    /// The mean of `-ln p`, p the probability of the image's class; infinite if one of them is 0, and NaN if scores are not finite.
    pub loss: f64,
    /// The number of images whose scores are not finite: each counts as wrong.
    pub not_finite: usize,
}

/// An image, and the class predicted for it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Answer {
    /// The image's index in the dataset.
    pub index: usize,
    /// Its class.
    pub class: usize,
    /// The predicted class.
    pub answer: usize,
    /// The probability of its class.
    pub truth: f32,
    /// The probability of the predicted class.
    pub probability: f32,
}

/// An image without a prediction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct NoAnswer {
    /// The image's index in the dataset.
    pub index: usize,
    /// The network, and what in it is not finite.
    pub why: String,
}

/// All counts so far.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Counts {
    /// The index of the next image.
    pub next: usize,
    /// Images that were evaluated.
    pub seen: usize,
    /// Images that could not be read.
    pub broken: usize,
    /// Why, for the first of them.
    pub reasons: Vec<String>,
    /// One for each network, and, of several, a last one for the ensemble.
    pub tallies: Vec<Tally>,
    /// The first image for which a network's scores are not finite.
    #[serde(default)]
    pub no_answer: Option<NoAnswer>,
    /// The confusion matrix of the network or the ensemble.
    pub confusion: Confusion,
    /// The images whose class was given the lowest probability, lowest first.
    pub worst: Vec<Answer>,
}

/// How many unreadable images are named.
const NAMED: usize = 10;

impl Counts {
    /// Counts an image with the probabilities of each network and, of several, those of the ensemble at the end.
    pub fn count(&mut self, index: usize, class: usize, answers: &[Probabilities], worst: usize) {
        self.seen += 1;
        self.tallies.resize(answers.len(), Tally::default());
        for (tally, answer) in self.tallies.iter_mut().zip(answers) {
            tally.count(class, answer);
        }
        // scores that are not finite predict nothing
        let Some(Probabilities { p, .. }) = answers.last().filter(|answer| answer.is_finite()) else { return };
        let best = top_k(p, 1).first().copied().unwrap_or(0);
        self.confusion.count(class, best, p.len());
        let of = |class: usize| p.get(class).copied().unwrap_or(0.0);
        let answer = Answer { index, class, answer: best, truth: of(class), probability: of(best) };
        let place = self.worst.partition_point(|other| other.truth.total_cmp(&answer.truth).is_le());
        if place < worst {
            self.worst.insert(place, answer);
            self.worst.truncate(worst);
        }
    }

    /// Counts an image that could not be read.
    pub fn count_broken(&mut self, why: String) {
        self.broken += 1;
        if self.reasons.len() < NAMED {
            self.reasons.push(why);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(p: &[f32]) -> Probabilities {
        Probabilities { p: p.to_vec(), log: p.iter().map(|&p| f64::from(p).ln()).collect() }
    }

    #[test]
    fn hits_and_losses_are_counted_for_each_network() {
        let mut counts = Counts::default();
        let rows = [row(&[0.5, 0.25, 0.25]), row(&[0.25, 0.5, 0.25])];
        counts.count(0, 0, &rows, 0);
        counts.count(1, 1, &rows, 0);
        let [one, two] = [0, 1].map(|i| counts.tallies[i].measures(2));
        assert_eq!((one.top1, one.top5), (50.0, 100.0));
        assert_eq!((one.loss, two.loss), (8f64.ln() / 2.0, 8f64.ln() / 2.0));
        // the confusion matrix is that of the last
        assert_eq!(counts.confusion.rows, [[0, 1, 0], [0, 1, 0], [0, 0, 0]]);
    }

    #[test]
    fn a_loss_is_never_made_up() {
        // a probability that is rounded to 0 still has its logarithm
        let mut counts = Counts::default();
        counts.count(0, 0, &[Probabilities { p: vec![0.0, 1.0], log: vec![-1000.0, 0.0] }], 0);
        assert_eq!(counts.tallies[0].measures(1).loss, 1000.0);
        // one that is 0 has none
        counts.count(1, 0, &[row(&[0.0, 1.0])], 0);
        assert_eq!(counts.tallies[0].measures(2).loss, f64::INFINITY);
        // scores that are NaN are wrong, whatever the class
        for class in [0, 1] {
            counts.count(2 + class, class, &[row(&[f32::NAN, f32::NAN])], 4);
        }
        let measures = counts.tallies[0].measures(4);
        assert!(measures.loss.is_nan() && (measures.top1, measures.top5, measures.not_finite) == (0.0, 50.0, 2));
        assert_eq!((counts.confusion.rows[0][0], counts.confusion.rows[1][0], counts.worst.len()), (0, 0, 0));
        // and still are when a run is resumed
        let text = serde_json::to_string(&counts).unwrap();
        let again: Counts = serde_json::from_str(&text).unwrap();
        assert_eq!(again.tallies, counts.tallies);
    }

    #[test]
    fn means_of_probabilities_keep_their_logarithms() {
        let mean = Probabilities::mean(&[row(&[0.5, 0.5]), row(&[0.25, 0.75])]);
        assert_eq!(mean.p, [0.375, 0.625]);
        assert!(mean.log.iter().zip(&mean.p).all(|(log, &p)| (log - f64::from(p).ln()).abs() < 1e-12));
        let far = Probabilities { p: vec![0.0, 1.0], log: vec![-1000.0, 0.0] };
        assert!((Probabilities::mean(&[far.clone(), far]).log[0] + 1000.0).abs() < 1e-9);
        assert_eq!(log_add_exp(f64::NEG_INFINITY, f64::NEG_INFINITY), f64::NEG_INFINITY);
        assert!(log_add_exp(f64::NAN, f64::NEG_INFINITY).is_nan() && log_add_exp(f64::NEG_INFINITY, f64::NAN).is_nan());
        assert!(!Probabilities::mean(&[row(&[f32::NAN]), row(&[1.0])]).is_finite());
    }

    #[test]
    fn the_worst_are_those_of_least_probability_in_order() {
        let mut counts = Counts::default();
        for (index, truth) in [0.9, 0.2, 0.6, 0.2, 0.1].into_iter().enumerate() {
            counts.count(index, 0, &[row(&[truth, 1.0 - truth])], 3);
        }
        let list: Vec<(usize, usize)> = counts.worst.iter().map(|a| (a.index, a.answer)).collect();
        assert_eq!(list, [(4, 1), (1, 1), (3, 1)]);
    }

    #[test]
    fn broken_files_are_counted_and_the_first_named() {
        let mut counts = Counts::default();
        (0..25).for_each(|i| counts.count_broken(i.to_string()));
        assert_eq!((counts.broken, counts.reasons.len()), (25, NAMED));
    }
}
