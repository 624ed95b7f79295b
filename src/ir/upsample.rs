//! Resampling of feature maps.

use super::attrs::Pair;

/// A feature map at another size, as PyTorch's `F.interpolate` computes it (without antialiasing).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Upsample {
    /// Where new values come from.
    pub mode: Interpolation,
    /// The size of the result.
    pub target: Target,
    /// Whether the corner values of both feature maps are at the same places, rather than the corners of their pixels.
    pub align_corners: bool,
}

/// Where a new value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Interpolation {
    /// The value before it.
    Nearest,
    /// The value whose pixel contains the new one's center.
    NearestExact,
    /// The two neighbors along each axis, linearly.
    Bilinear,
    /// Four neighbors along each axis: cubic convolution with a = -0.75 (Keys 1981).
    Bicubic,
}

/// The size of a resampled feature map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// This many times the rows and columns, rounded down.
    Factor([f64; 2]),
    /// These rows and columns.
    Size(Pair),
    /// Those of a second operand.
    Like,
}

impl Interpolation {
    /// All keywords.
    pub const WORDS: &[&str] = &[
        Interpolation::Nearest.word(),
        Interpolation::NearestExact.word(),
        Interpolation::Bilinear.word(),
        Interpolation::Bicubic.word(),
    ];

    /// Its keyword in the language, by PyTorch's name.
    pub const fn word(self) -> &'static str {
        match self {
            Interpolation::Nearest => "nearest",
            Interpolation::NearestExact => "nearest_exact",
            Interpolation::Bilinear => "bilinear",
            Interpolation::Bicubic => "bicubic",
        }
    }

    /// The mode of this keyword.
    pub fn from_word(word: &str) -> Option<Interpolation> {
        let all = [Interpolation::Nearest, Interpolation::NearestExact, Interpolation::Bilinear, Interpolation::Bicubic];
        all.into_iter().find(|mode| mode.word() == word)
    }

    /// Whether every new value is one that was there.
    pub fn copies(self) -> bool {
        matches!(self, Interpolation::Nearest | Interpolation::NearestExact)
    }

    /// Where in a pixel its place is, if values are copied.
    pub fn offset(self) -> f64 {
        if self == Interpolation::NearestExact { 0.5 } else { 0.0 }
    }
}

impl Upsample {
    /// The nearest value, for this size.
    pub fn nearest(target: Target) -> Upsample {
        Upsample { mode: Interpolation::Nearest, target, align_corners: false }
    }

    /// Whether it leaves the height of a feature map of height 1 alone. A bicubic value depends on both axes.
    pub fn is_flat(&self) -> bool {
        let keeps_height = match self.target {
            Target::Factor([height, _]) => height == 1.0,
            Target::Size([height, _]) => height == 1,
            Target::Like => true,
        };
        keeps_height && self.mode != Interpolation::Bicubic
    }

    /// The step in the operand for each step along an axis of the result, given both sizes. A factor is used as it is given,
    /// even where the size was rounded down: PyTorch's default, `recompute_scale_factor=False`.
    pub fn step(&self, axis: usize, from: usize, to: usize) -> f64 {
        match self.target {
            _ if self.align_corners => {
                if to > 1 {
                    (from as f64 - 1.0) / (to as f64 - 1.0)
                } else {
                    0.0
                }
            }
            Target::Factor(factors) => 1.0 / factors[axis],
            Target::Size(_) | Target::Like => from as f64 / to as f64,
        }
    }
}
