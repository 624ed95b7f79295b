//! Options of an evaluation.

use crate::data::{Crop, Views};

/// Options of an evaluation.
#[derive(Clone, Debug)]
pub struct EvalOptions {
    /// The views of each image.
    pub views: Views,
    /// What is averaged over views.
    pub average: Average,
    /// Images in a run, of the network's own input size.
    pub batch: usize,
    /// How many of the worst images are listed.
    pub worst: usize,
    /// Whether an image that cannot be read is an error. Otherwise it is counted and left out.
    pub fail_on_broken: bool,
    /// At most so many images; of a resumed evaluation so many more.
    pub limit: Option<usize>,
    /// Whether each image's probabilities are kept.
    pub keep_scores: bool,
}

impl Default for EvalOptions {
    fn default() -> EvalOptions {
        EvalOptions {
            views: Views::default(),
            average: Average::default(),
            batch: 16,
            worst: 0,
            fail_on_broken: false,
            limit: None,
            keep_scores: false,
        }
    }
}

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
