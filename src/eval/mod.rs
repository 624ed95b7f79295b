//! Evaluation over a labeled dataset: accuracy, loss and confusion of a network or an ensemble, over one or several views of each
//! image; and the mean and standard deviation of a dataset's images.

mod confusion;
mod ensemble;
mod error;
mod evaluator;
mod measures;
mod report;
mod state;
mod stats;

pub use confusion::Confusion;
pub use ensemble::{Ensemble, EnsembleMember};
pub use error::EvalError;
pub use evaluator::{EvalOptions, Evaluator, Progress};
pub use measures::Measures;
pub use report::{Report, WorstImage};
pub use state::Resumed;
pub use stats::{DatasetStats, StatsError, StatsOptions, dataset_stats};

use crate::data::{Crop, Views};

/// What is averaged over the views of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Average {
    /// Probabilities, as in the papers.
    #[default]
    Probabilities,
    /// The scores before the softmax.
    Logits,
}

/// Views in words: `10: corners and center, and flipped horizontally; probabilities averaged`.
pub fn describe(views: &Views, average: Average) -> String {
    let crop = match views.crop {
        Crop::Center => "the center",
        Crop::Ten => "the corners and the center",
        Crop::Whole => "the whole image",
    };
    let sizes: Vec<String> = views.scales.iter().map(usize::to_string).collect();
    let at = match &sizes[..] {
        [] => String::new(),
        [one] => format!(" at {one} pixels"),
        [rest @ .., last] => format!(" at {} and {last} pixels", rest.join(", ")),
    };
    let flipped = if views.flip || views.crop == Crop::Ten { ", and flipped horizontally" } else { "" };
    let average = match (views.count(), average) {
        (1, _) => "",
        (_, Average::Probabilities) => "; probabilities averaged",
        (_, Average::Logits) => "; logits averaged",
    };
    format!("{}: {crop}{at}{flipped}{average}", views.count())
}
