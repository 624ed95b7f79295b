//! The result of an evaluation, as data.

use super::Confusion;
use super::evaluator::Evaluator;
use super::measures::{Answer, Measures};

/// The result of an evaluation.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// Each network's name, and its measures.
    pub networks: Vec<(String, Measures)>,
    /// The measures of the network or, of several, of the ensemble.
    pub total: Measures,
    /// Images that were evaluated.
    pub images: usize,
    /// Images that could not be read.
    pub broken: usize,
    /// Images that were evaluated or could not be read.
    pub done: usize,
    /// Images of the dataset.
    pub of: usize,
    /// The confusion matrix of the network or the ensemble.
    pub confusion: Confusion,
    /// The images whose class was given the lowest probability, lowest first.
    pub worst: Vec<WorstImage>,
    /// Images evaluated per second; `None` if none was in this process.
    pub images_per_s: Option<f64>,
}

/// An image whose class was given a low probability.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct WorstImage {
    /// The image's name.
    pub name: String,
    /// Its class.
    pub class: usize,
    /// The probability of its class.
    pub probability: f32,
    /// The predicted class.
    pub predicted: usize,
    /// The probability of the predicted class.
    pub predicted_probability: f32,
}

impl Evaluator {
    /// The result so far; `None` if no image could be read.
    pub fn report(&self) -> Option<Report> {
        let measures = self.measures();
        let total = *measures.last()?;
        let titles = self.ensemble.members().iter().map(|member| member.title().to_owned());
        let counts = &self.counts;
        let worst = |answer: &Answer| WorstImage {
            name: self.data.name(answer.index),
            class: answer.class,
            probability: answer.truth,
            predicted: answer.answer,
            predicted_probability: answer.probability,
        };
        Some(Report {
            networks: titles.zip(measures).collect(),
            total,
            images: counts.seen,
            broken: counts.broken,
            done: counts.next,
            of: self.data.len(),
            confusion: counts.confusion.clone(),
            worst: counts.worst.iter().map(worst).collect(),
            images_per_s: (self.evaluated > 0).then(|| self.evaluated as f64 / self.seconds.max(1e-9)),
        })
    }

    /// Images that could not be read.
    pub fn broken(&self) -> usize {
        self.counts.broken
    }

    /// Why the first of the images that could not be read were not.
    pub fn broken_reasons(&self) -> &[String] {
        &self.counts.reasons
    }

    /// A class's name: the network's label, what the dataset calls it, or its index.
    pub fn class_name(&self, class: usize) -> String {
        let name = self.ensemble.class_names().get(class).or_else(|| self.data.classes().get(class));
        name.cloned().unwrap_or_else(|| class.to_string())
    }
}
