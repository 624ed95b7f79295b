//! How a network is trained, as data: what its `train` block says.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A network's recipe. Every field has a default ([`Recipe::default`]); a `train` block states those that differ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recipe {
    /// How parameters begin that are not read from a file.
    pub init: Init,
    /// The last norm of each block with a shortcut begins with weight 0, so that the block begins as its shortcut: Goyal et al.
    /// 2017, section 5.1; torchvision's `zero_init_residual`.
    pub zero_init_residual: bool,
    /// A file whose tensors the parameters begin with.
    pub from: Option<WeightsFrom>,
    /// Full names of layers and scopes whose parameters stay as they are. Their norms follow each batch as the others do, as under
    /// PyTorch's `requires_grad_(False)`.
    pub freeze: Vec<String>,
    /// The optimizer.
    pub optimizer: Sgd,
    /// Samples that the network sees at once; at least 1.
    pub batch: usize,
    /// Batches whose gradients make one step; at least 1. A step sees `batch * accumulate` samples.
    pub accumulate: usize,
    /// How long; at least one step.
    pub length: Count,
    /// How the rate changes.
    pub schedule: Schedule,
    /// What comes before the schedule.
    pub warmup: Option<Warmup>,
    /// The probability with which a sample skips the last block's path: Huang et al. 2016, with their linear decay; 0 for none.
    #[serde(default)]
    pub stochastic_depth: f64,
    /// The greatest norm of the gradient of all parameters together: PyTorch's `clip_grad_norm_`.
    pub clip: Option<f64>,
    /// The loss.
    pub loss: Loss,
    /// The changes of training images, in order.
    pub augment: Vec<Augment>,
    /// Whether each epoch has an order of its own; else samples come in the dataset's.
    pub shuffle: bool,
    /// Of all that is random.
    pub seed: u64,
    /// What becomes of images that cannot be read.
    pub broken: OnBroken,
    /// How often the validation data are measured; `None`: never. At the end they always are, unless never.
    pub validate: Option<Count>,
    /// How often a checkpoint is written; `None`: at the end alone.
    pub checkpoint: Option<Count>,
}

impl Default for Recipe {
    fn default() -> Self {
        Recipe {
            init: Init::default(),
            zero_init_residual: false,
            from: None,
            freeze: Vec::new(),
            optimizer: Sgd::default(),
            batch: 128,
            accumulate: 1,
            length: Count::Epochs(1),
            schedule: Schedule::Constant,
            warmup: None,
            stochastic_depth: 0.0,
            clip: None,
            loss: Loss::default(),
            augment: Vec::new(),
            shuffle: true,
            seed: 0,
            broken: OnBroken::default(),
            validate: Some(Count::Epochs(1)),
            checkpoint: Some(Count::Epochs(1)),
        }
    }
}

/// A time in training: `64_000` steps or 30 epochs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Count {
    /// Steps of the optimizer.
    Steps(u64),
    /// Passes over the training data.
    Epochs(u64),
}

impl Count {
    /// In steps, where an epoch has `epoch` of them.
    pub fn steps(self, epoch: u64) -> u64 {
        match self {
            Count::Steps(n) => n,
            Count::Epochs(n) => n.saturating_mul(epoch),
        }
    }

    /// The number, whatever it counts.
    pub fn number(self) -> u64 {
        match self {
            Count::Steps(n) | Count::Epochs(n) => n,
        }
    }
}

/// How the weights of convolutions and linear layers begin; norms begin with weight 1 and bias 0, biases with 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// Normal with variance 2 / (inputs of a filter): He et al. 2015, equation 10. Of linear layers: 1 / inputs.
    #[default]
    HeFanIn,
    /// Convolutions normal with variance 2 / (filters * kernel height * kernel width / groups): He et al. 2015, equation 14, as
    /// torchvision's ResNets begin. Linear layers: 1 / inputs.
    HeFanOut,
}

/// A file whose tensors parameters begin with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightsFrom {
    /// The file: safetensors or PyTorch's, resolved against the source's folder.
    pub path: PathBuf,
    /// Full names of layers and scopes that begin again; what else is missing or has another size is an error.
    pub except: Vec<String>,
}

/// Stochastic gradient descent as PyTorch's `SGD`: `g += decay * w; v = momentum * v + (1 - dampening) * g`, with `dampening` 0 and the
/// first `v = g`; `w -= rate * v`, or with Nesterov's `w -= rate * (g + momentum * v)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sgd {
    /// The learning rate that the schedule begins from.
    pub rate: f64,
    /// From 0 to below 1.
    pub momentum: f64,
    /// Nesterov's.
    pub nesterov: bool,
    /// The weight decay.
    pub decay: f64,
    /// Whether weights and biases of norms decay as well.
    pub decay_norms: bool,
    /// Whether biases of convolutions and linear layers decay as well.
    pub decay_biases: bool,
}

impl Default for Sgd {
    fn default() -> Self {
        Sgd { rate: 0.1, momentum: 0.9, nesterov: false, decay: 1e-4, decay_norms: true, decay_biases: true }
    }
}

/// How the rate changes; after the warm-up, but counted from the beginning.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Not at all.
    #[default]
    Constant,
    /// Multiplied by `times` at each of the moments, which rise: PyTorch's `MultiStepLR`.
    Steps {
        /// When.
        at: Vec<Count>,
        /// By what; 0.1 in the paper.
        times: f64,
    },
    /// Half a cosine from the rate to `end` at the last step: Loshchilov and Hutter 2017.
    Cosine {
        /// The rate in the end.
        end: f64,
    },
    /// Multiplied by `times` where the validation error has not improved for `patience` validations: PyTorch's
    /// `ReduceLROnPlateau`, on the error, with `threshold` 1e-4 relative. Without validation data, the epoch's training loss.
    Plateau {
        /// Validations without an improvement that are borne.
        patience: u64,
        /// By what.
        times: f64,
        /// The least rate.
        least: f64,
    },
    /// Up from `rate / start` to the rate over the first `rise` of the steps, down to `rate / start / end`, both along a cosine: Smith and
    /// Topin 2018; PyTorch's `OneCycleLR` with `cycle_momentum=False`.
    OneCycle {
        /// The part of the steps on which the rate rises, between 0 and 1.
        rise: f64,
        /// What the rate is divided by in the beginning.
        start: f64,
        /// What the first rate is divided by in the end.
        end: f64,
    },
}

/// The rate in the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Warmup {
    /// The rate at the first step.
    pub rate: f64,
    /// How long.
    pub length: Count,
    /// Whether it rises evenly to the schedule's rate (Goyal et al. 2017, section 2.2); else it stays until the end of the warm-up (He et
    /// al. 2016, section 4.2, for ResNet-110).
    pub rises: bool,
}

/// Cross-entropy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Loss {
    /// Label smoothing: this much of the target is spread evenly over all classes; from 0 to below 1. Szegedy et al. 2016, section 7.
    pub smoothing: f64,
    /// The weight of the cross-entropy of each further output that gives scores of the same classes: of auxiliary classifiers. Szegedy et
    /// al. 2015, section 5: 0.3.
    #[serde(default)]
    pub auxiliary: f64,
}

/// A change of a training image, drawn again each time that the image is read. A recipe lists them, and they are applied in that
/// order, except that [`Augment::Lighting`] adds to the finished image as it is normalized, and [`Augment::Cutout`] comes last.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Augment {
    /// Pads all sides with black, then cuts out a rectangle at a place drawn evenly: torchvision's
    /// `RandomCrop(crop, padding=pad)`. He et al. 2016, section 4.2: 4 pixels, 32 x 32.
    PadCrop {
        /// Pixels on each side.
        pad: usize,
        /// Height and width of what is cut out.
        crop: [usize; 2],
    },
    /// Mirrors left and right: torchvision's `RandomHorizontalFlip`.
    Flip {
        /// How often, from 0 to 1.
        probability: f32,
    },
    /// Resizes the shorter side to a size drawn evenly, then cuts out a rectangle at a place drawn evenly: Simonyan and Zisserman
    /// 2015, section 3.1; He et al. 2016, section 3.4, with 256 to 480 pixels and 224 x 224.
    ScaleJitter {
        /// The least size of the shorter side, in pixels.
        min: usize,
        /// The greatest, included.
        max: usize,
        /// Height and width of what is cut out.
        crop: [usize; 2],
    },
    /// Cuts out a rectangle of random area and shape and resizes it: torchvision's `RandomResizedCrop`, after Szegedy et al. 2015,
    /// section 6. Its defaults there: scale 0.08 to 1, ratio 3/4 to 4/3.
    RandomResizedCrop {
        /// Height and width of the result.
        size: [usize; 2],
        /// The area cut out, as a part of the image's: drawn evenly between these.
        scale: [f32; 2],
        /// Its width divided by its height: the logarithm is drawn evenly between these two's.
        ratio: [f32; 2],
    },
    /// Adds a multiple of each principal component of ImageNet's colors to all pixels: Krizhevsky et al. 2012, section 4.1, with
    /// the components of `fb.resnet.torch`. Color images alone.
    Lighting {
        /// Of the normal factors; 0.1 in the paper.
        deviation: f32,
    },
    /// Blends with black, with the mean gray and with the gray image, in random order: torchvision's
    /// `ColorJitter(brightness, contrast, saturation)`. Each factor is drawn evenly from `max(0, 1 - x)` to `1 + x`; 0 leaves out.
    ColorJitter {
        /// Of the blend with black.
        brightness: f32,
        /// Of the blend with the mean gray.
        contrast: f32,
        /// Of the blend with the gray image; nothing happens to a gray image.
        saturation: f32,
    },
    /// Sets a square to 0 after normalization, its center drawn evenly within the image, so that it may reach over the edge:
    /// DeVries and Taylor 2017, section 3.
    Cutout {
        /// The square's side, in pixels.
        size: usize,
    },
}

impl Augment {
    /// As a `train` block names it.
    pub fn name(&self) -> &'static str {
        match self {
            Augment::PadCrop { .. } => "pad and crop",
            Augment::Flip { .. } => "flip",
            Augment::ScaleJitter { .. } => "scale jitter",
            Augment::RandomResizedCrop { .. } => "random resized crop",
            Augment::Lighting { .. } => "lighting",
            Augment::ColorJitter { .. } => "color jitter",
            Augment::Cutout { .. } => "cutout",
        }
    }
}

/// What becomes of an image that cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnBroken {
    /// It is named, counted and left out of its batch.
    Skip,
    /// It ends the run.
    #[default]
    Fatal,
}
