//! A training recipe as data: the contents of a `train` block.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::op::Op;
use super::params::{Param, ParamRole};

/// A training recipe. Every field has a default ([`Recipe::default`]); a `train` block overrides some.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recipe {
    /// How parameters are initialized that are not read from a file.
    pub init: Init,
    /// Initializes the last norm of each residual block with weight 0, so that the block starts as the identity: Goyal et al.
    /// 2017, section 5.1; torchvision's `zero_init_residual`.
    pub zero_init_residual: bool,
    /// A file from which parameters are initialized.
    pub from: Option<WeightsFrom>,
    /// Full names of layers and scopes whose parameters are frozen. Their norms still update their running statistics, as under
    /// PyTorch's `requires_grad_(False)`, unless these are frozen too.
    pub freeze: Vec<String>,
    /// Whether the batch norms of frozen layers keep their running statistics and normalize with them, as in PyTorch's `eval()`.
    pub freeze_running_stats: bool,
    /// The optimizer.
    pub optimizer: Sgd,
    /// Samples per batch; at least 1.
    pub batch: usize,
    /// Batches whose gradients are accumulated into one step; at least 1. A step sees `batch * accumulate` samples.
    pub accumulate: usize,
    /// Training length; at least one step.
    pub length: Count,
    /// The learning rate schedule.
    pub schedule: Schedule,
    /// The warm-up before the schedule.
    pub warmup: Option<Warmup>,
    /// Stochastic depth: the drop probability of the last block, with the linear decay of Huang et al. 2016; 0 disables it.
    #[serde(default)]
    pub stochastic_depth: f64,
    /// The maximum norm of the gradient over all parameters: PyTorch's `clip_grad_norm_`.
    #[serde(alias = "clip")]
    pub clip_grad_norm: Option<f64>,
    /// The loss.
    pub loss: Loss,
    /// Augmentations of training images, in order.
    pub augment: Vec<Augment>,
    /// Whether samples are shuffled every epoch; otherwise they come in dataset order.
    pub shuffle: bool,
    /// The random seed.
    pub seed: u64,
    /// What to do with images that cannot be read.
    #[serde(alias = "broken")]
    pub on_error: OnError,
    /// How often to evaluate on the validation data; `None` disables validation. Otherwise it also runs at the end.
    pub validate: Option<Count>,
    /// How often to write a checkpoint; `None` writes one only at the end.
    pub checkpoint: Option<Count>,
}

impl Default for Recipe {
    fn default() -> Self {
        Recipe {
            init: Init::default(),
            zero_init_residual: false,
            from: None,
            freeze: Vec::new(),
            freeze_running_stats: false,
            optimizer: Sgd::default(),
            batch: 128,
            accumulate: 1,
            length: Count::Epochs(1),
            schedule: Schedule::Constant,
            warmup: None,
            stochastic_depth: 0.0,
            clip_grad_norm: None,
            loss: Loss::default(),
            augment: Vec::new(),
            shuffle: true,
            seed: 0,
            on_error: OnError::default(),
            validate: Some(Count::Epochs(1)),
            checkpoint: Some(Count::Epochs(1)),
        }
    }
}

/// A duration of training: `64_000` steps or 30 epochs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Count {
    /// Optimizer steps.
    Steps(u64),
    /// Passes over the training data.
    Epochs(u64),
}

impl Count {
    /// The number of steps, given `epoch` steps per epoch.
    pub fn steps(self, epoch: u64) -> u64 {
        match self {
            Count::Steps(n) => n,
            Count::Epochs(n) => n.saturating_mul(epoch),
        }
    }

    /// The number, whatever its unit.
    pub fn number(self) -> u64 {
        match self {
            Count::Steps(n) | Count::Epochs(n) => n,
        }
    }
}

/// Initialization of convolution and linear weights. Norms start with weight 1 and bias 0, and biases with 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// Normal with variance 2 / fan_in: He et al. 2015, equation 10. Linear layers: 1 / inputs.
    #[default]
    HeFanIn,
    /// Convolutions normal with variance 2 / (filters * kernel height * kernel width / groups): He et al. 2015, equation 14, as
    /// torchvision initializes its ResNets. Linear layers: 1 / inputs.
    HeFanOut,
}

/// How a parameter is initialized.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Initial {
    /// Normal with mean 0.
    Normal {
        /// The standard deviation.
        deviation: f64,
    },
    /// The same value everywhere.
    Constant(f32),
}

impl Init {
    /// How a parameter of an operator is initialized.
    pub fn of(self, op: &Op, param: &Param) -> Initial {
        let fan_in = || param.shape.iter().skip(1).product::<usize>();
        let he = |gain: f64, fan: usize| Initial::Normal { deviation: (gain / fan.max(1) as f64).sqrt() };
        match (op, param.role, self) {
            (Op::Conv(_), ParamRole::Weight, Init::HeFanIn) => he(2.0, fan_in()),
            (Op::Conv(conv), ParamRole::Weight, Init::HeFanOut) => {
                he(2.0, conv.filters * conv.kernel[0] * conv.kernel[1] / conv.groups.max(1))
            }
            // each value of the result is a sum over the kernel elements that meet it: one of a stride's
            (Op::ConvTranspose(conv), ParamRole::Weight, Init::HeFanIn) => {
                let channels = param.shape.first().copied().unwrap_or(0);
                he(2.0, channels * conv.kernel[0] * conv.kernel[1] / (conv.groups * conv.stride[0] * conv.stride[1]).max(1))
            }
            (Op::ConvTranspose(_), ParamRole::Weight, Init::HeFanOut) => he(2.0, fan_in()),
            (Op::Linear(_) | Op::ChannelConv(_), ParamRole::Weight, _) => he(1.0, fan_in()),
            (Op::Elementwise(function), ParamRole::Operand(slot), _) => {
                let operand = function.operands.get(usize::from(slot));
                Initial::Constant(operand.and_then(|operand| operand.broadcast.init()).unwrap_or(0.0))
            }
            (Op::Gem(gem), ParamRole::Operand(_), _) => Initial::Constant(gem.p as f32),
            (_, ParamRole::Operand(_), _) => Initial::Constant(0.0),
            (_, ParamRole::Weight | ParamRole::Gain | ParamRole::RunningVar, _) => Initial::Constant(1.0),
            (_, ParamRole::Bias | ParamRole::RunningMean, _) => Initial::Constant(0.0),
        }
    }
}

/// A file from which parameters are initialized.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightsFrom {
    /// The file: safetensors or PyTorch's format, resolved relative to the source's folder.
    pub path: PathBuf,
    /// Full names of layers and scopes that are initialized from scratch. Any other missing tensor or size mismatch is an error.
    pub except: Vec<String>,
}

/// Stochastic gradient descent as PyTorch's `SGD`: `g += weight_decay * w; v = momentum * v + (1 - dampening) * g`, with
/// `dampening` 0 and the first `v = g`; `w -= lr * v`, or with Nesterov's `w -= lr * (g + momentum * v)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sgd {
    /// The initial learning rate of the schedule.
    #[serde(alias = "rate")]
    pub lr: f64,
    /// At least 0 and below 1.
    pub momentum: f64,
    /// Whether to use Nesterov momentum.
    pub nesterov: bool,
    /// The weight decay.
    #[serde(alias = "decay")]
    pub weight_decay: f64,
    /// Whether weight decay applies to the weights and biases of norms.
    #[serde(alias = "decay_norms")]
    pub decay_norm: bool,
    /// Whether weight decay applies to the biases of convolutions and linear layers.
    #[serde(alias = "decay_biases")]
    pub decay_bias: bool,
}

impl Default for Sgd {
    fn default() -> Self {
        Sgd { lr: 0.1, momentum: 0.9, nesterov: false, weight_decay: 1e-4, decay_norm: true, decay_bias: true }
    }
}

/// The learning rate schedule. It takes effect after the warm-up, but its steps count from the start of training.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// A constant learning rate.
    #[default]
    Constant,
    /// Multiplied by `gamma` at each milestone: PyTorch's `MultiStepLR`.
    Steps {
        /// The milestones, ascending.
        at: Vec<Count>,
        /// The factor; 0.1 in the paper.
        #[serde(alias = "times")]
        gamma: f64,
    },
    /// Cosine annealing from the learning rate to `eta_min` at the last step: Loshchilov and Hutter 2017.
    Cosine {
        /// The final learning rate.
        #[serde(alias = "end")]
        eta_min: f64,
    },
    /// Multiplied by `factor` when the validation error has not improved for `patience` validations: PyTorch's
    /// `ReduceLROnPlateau`, on the error, with a relative `threshold` of 1e-4. Without validation data, it uses the epoch's
    /// training loss.
    Plateau {
        /// Validations without improvement that are tolerated.
        patience: u64,
        /// The factor.
        #[serde(alias = "times")]
        factor: f64,
        /// The smallest learning rate.
        #[serde(alias = "least")]
        min_lr: f64,
    },
    /// Rises from `lr / div_factor` to `lr` over the first `pct_start` of the steps, then falls to
    /// `lr / div_factor / final_div_factor`, both along a cosine: Smith and Topin 2018; PyTorch's `OneCycleLR` with
    /// `cycle_momentum=False`.
    OneCycle {
        /// The fraction of the steps over which the learning rate rises, between 0 and 1.
        #[serde(alias = "rise")]
        pct_start: f64,
        /// The learning rate divided by the initial one.
        #[serde(alias = "start")]
        div_factor: f64,
        /// The initial learning rate divided by the final one.
        #[serde(alias = "end")]
        final_div_factor: f64,
    },
}

/// Learning rate warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Warmup {
    /// The learning rate at the first step.
    #[serde(alias = "rate")]
    pub start_lr: f64,
    /// Its length.
    pub length: Count,
    /// Whether it rises linearly to the schedule's learning rate (Goyal et al. 2017, section 2.2); otherwise it stays constant
    /// until the end of the warm-up (He et al. 2016, section 4.2, for ResNet-110).
    #[serde(alias = "rises")]
    pub ramp: bool,
}

/// Cross-entropy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Loss {
    /// Label smoothing: this much of the target is distributed evenly over all classes; at least 0 and below 1. Szegedy et al.
    /// 2016, section 7.
    #[serde(alias = "smoothing")]
    pub label_smoothing: f64,
    /// The loss weight of each further output that scores the same classes, such as an auxiliary classifier. Szegedy et
    /// al. 2015, section 5: 0.3.
    #[serde(default)]
    pub auxiliary: f64,
}

/// An augmentation of a training image, drawn again each time the image is read. A recipe lists them, and they are applied in
/// that order, except that [`Augment::Lighting`] adds to the finished image as it is normalized, and [`Augment::Cutout`] comes
/// last.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Augment {
    /// Pads all sides with black, then takes a uniformly random crop: torchvision's
    /// `RandomCrop(crop, padding=pad)`. He et al. 2016, section 4.2: 4 pixels, 32 x 32.
    PadCrop {
        /// Pixels on each side.
        pad: usize,
        /// Height and width of the crop.
        crop: [usize; 2],
    },
    /// Flips horizontally: torchvision's `RandomHorizontalFlip`.
    Flip {
        /// The probability of a flip, from 0 to 1.
        probability: f32,
    },
    /// Resizes the shorter side to a uniformly random size, then takes a uniformly random crop: Simonyan and Zisserman
    /// 2015, section 3.1; He et al. 2016, section 3.4, with 256 to 480 pixels and 224 x 224.
    ScaleJitter {
        /// The minimum size of the shorter side, in pixels.
        min: usize,
        /// The maximum, inclusive.
        max: usize,
        /// Height and width of the crop.
        crop: [usize; 2],
    },
    /// Crops a rectangle of random area and aspect ratio and resizes it: torchvision's `RandomResizedCrop`, after Szegedy et al.
    /// 2015, section 6. Its defaults there: scale 0.08 to 1, ratio 3/4 to 4/3.
    RandomResizedCrop {
        /// Height and width of the result.
        size: [usize; 2],
        /// Range of the crop's area as a fraction of the image's, drawn uniformly.
        scale: [f32; 2],
        /// Range of its width divided by its height, drawn log-uniformly.
        ratio: [f32; 2],
    },
    /// Adds a multiple of each principal component of ImageNet's colors to all pixels: Krizhevsky et al. 2012, section 4.1, with
    /// the components of `fb.resnet.torch`. Only for color images.
    Lighting {
        /// Standard deviation of the normal factors; 0.1 in the paper.
        deviation: f32,
    },
    /// Blends with black, with the mean gray and with the gray image, in random order: torchvision's
    /// `ColorJitter(brightness, contrast, saturation)`. Each factor is drawn uniformly from `max(0, 1 - x)` to `1 + x`; 0
    /// disables one.
    ColorJitter {
        /// Strength of the blend with black.
        brightness: f32,
        /// Strength of the blend with the mean gray.
        contrast: f32,
        /// Strength of the blend with the gray image; a gray image stays unchanged.
        saturation: f32,
    },
    /// Sets a square to 0 after normalization. Its center is uniformly random in the image, so it may extend beyond the edge:
    /// DeVries and Taylor 2017, section 3.
    Cutout {
        /// The square's side, in pixels.
        size: usize,
    },
}

impl Augment {
    /// Its name in messages.
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

/// What to do with an image that cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnError {
    /// Report it, count it, and leave it out of its batch.
    Skip,
    /// Stop the run.
    #[default]
    Fatal,
}
