//! A network as declared in a file: its graph, and everything needed to use it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{FrameId, Graph, NodeId, Precisions, Recipe, Shape, Value};
use crate::base::source::Span;

/// The order of an image's channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Channels {
    /// Red, green, blue: torchvision's.
    Rgb,
    /// Blue, green, red: Caffe's.
    Bgr,
    /// One channel of luminance.
    Gray,
}

/// How values between pixels are computed when an image is resized: a filter of PIL, which is scaled with the reduction (antialiasing).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resampling {
    /// A triangle, over 2 pixels: torchvision's default.
    #[default]
    Bilinear,
    /// Keys' cubic with a = -0.5, over 4 pixels: what most of timm's weights are evaluated with.
    Bicubic,
}

impl Resampling {
    /// The one with this word.
    pub fn named(word: &str) -> Option<Resampling> {
        [Resampling::Bilinear, Resampling::Bicubic].into_iter().find(|by| by.word() == word)
    }

    /// Its word in the language, as in torchvision and timm.
    pub fn word(self) -> &'static str {
        match self {
            Resampling::Bilinear => "bilinear",
            Resampling::Bicubic => "bicubic",
        }
    }
}

/// From a decoded image to the input: resize the shorter side, crop the center, scale to 0..1, subtract mean, divide by std.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preprocess {
    /// Size of the shorter side after resizing, in pixels; `None` resizes directly to the input's height and width.
    pub resize: Option<usize>,
    /// Height and width of the center crop; `None` crops to the input's size (or not at all if that is free).
    pub crop: Option<[usize; 2]>,
    /// How images are resized.
    #[serde(default)]
    pub interpolation: Resampling,
    /// Channel order.
    pub channels: Channels,
    /// Mean of values in 0..1: one per channel, or one per value of the input.
    pub mean: Vec<f32>,
    /// Standard deviation, one per channel.
    pub std: Vec<f32>,
    /// The array file of a per-pixel mean, and where it is named.
    #[serde(skip)]
    pub mean_from: Option<(PathBuf, Span)>,
}

impl Preprocess {
    /// The per-pixel mean, unless the mean is per channel: He et al. 2016, section 4.2, "the per-pixel mean subtracted".
    pub fn mean_image(&self) -> Option<&[f32]> {
        (self.mean.len() > self.std.len()).then_some(&self.mean[..])
    }
}

/// What an `expect` line asserts about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Convolutions and linear layers on the longest path.
    Layers,
    /// Learned parameters.
    Params,
    /// Multiply-adds for one image.
    Macs,
    /// The shape of an output or of a labeled value.
    Output(Option<String>),
}

/// The asserted value.
#[derive(Clone, Debug, PartialEq)]
pub enum ExpectValue {
    /// `: 25_557_032`.
    Exactly(u64),
    /// `~= 3.8e9`: within one unit of the last digit written.
    About {
        /// The parsed number.
        value: f64,
        /// One unit in its last written digit.
        unit: f64,
    },
    /// A shape.
    Shape(Shape),
}

/// An `expect` line.
#[derive(Clone, Debug, PartialEq)]
pub struct Expect {
    /// The metric.
    pub metric: Metric,
    /// The expected value.
    pub value: ExpectValue,
    /// The line.
    pub span: Span,
}

/// The shortcut policy of a stage's units (He et al. 2016, section 3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortcut {
    /// The input unchanged; shapes must match.
    Identity,
    /// Option A: subsample, and append zero channels.
    Pad {
        /// Half of the zero channels before and half after; otherwise all after.
        split: bool,
    },
    /// Option B: a projection if the dimensions change.
    Projection,
    /// Option C: always a projection.
    ProjectionAlways,
    /// No shortcut: the plain counterpart.
    None,
}

/// An `add shortcut`, expanded to the addition of `F(x)` (slot 0) and the shortcut (slot 1).
#[derive(Clone, Debug, PartialEq)]
pub struct ShortcutUse {
    /// The sum.
    pub add: NodeId,
    /// The policy in force.
    pub policy: Shortcut,
    /// Where the policy is stated; `None` if it is the default.
    pub policy_span: Option<Span>,
    /// The block's input.
    pub x: Value,
    /// The product of the strides on the block's path.
    pub stride: usize,
    /// When x and F(x) have equal dimensions, in the names of the block: `stride == 1 and in_channels == filters`.
    pub condition: Option<String>,
}

/// What a stage declares about its feature map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapRule {
    /// `map: keep`, the default.
    Keep,
    /// `map: halve`.
    Halve,
}

/// An expanded stage, on which the two design rules are checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// Its full name: `layer2`.
    pub name: String,
    /// The whole statement.
    pub span: Span,
    /// Its label.
    pub label_span: Span,
    /// The `filters` argument of its units, and where it is stated.
    pub filters: Option<(u64, Span)>,
    /// Its `map` key, and where it is stated.
    pub map: (MapRule, Option<Span>),
    /// `allow doubling`: filters may double while the feature map keeps its size.
    pub allow_doubling: bool,
    /// `allow halving`: the feature map may halve while the filters stay the same.
    pub allow_halving: bool,
    /// The input of the first instance.
    pub input: Value,
    /// The result of each instance, with its frame.
    pub instances: Vec<(FrameId, Value)>,
}

/// An elaborated network.
#[derive(Clone, Debug)]
pub struct Network {
    /// Its name in the source.
    pub name: String,
    /// Where it is declared.
    pub span: Span,
    /// The graph.
    pub graph: Graph,
    /// Its stages, in order.
    pub stages: Vec<Stage>,
    /// Its shortcuts, in order.
    pub shortcuts: Vec<ShortcutUse>,
    /// Labeled values that `expect` and `output` can refer to.
    pub labeled: Vec<(String, Value)>,
    /// Assertions; empty if `--set` changed a parameter from its default.
    pub expects: Vec<Expect>,
    /// How to prepare an image.
    pub preprocess: Option<Preprocess>,
    /// The precisions of its layers; those of the graph's nodes follow from them.
    pub precision: Precisions,
    /// Class names; empty if the file states none.
    pub labels: Vec<String>,
    /// The default weights file, resolved relative to the source file's folder, and where it is named.
    pub weights: Option<(PathBuf, Span)>,
    /// The training recipe; `None` if the file has none.
    pub recipe: Option<Recipe>,
}
