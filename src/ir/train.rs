//! Operators that only training steps use: losses, norms with batch statistics, and gradients.
//!
//! `x` is an operand of the operator being differentiated, `y` its result, and `dy` and `dx` the gradients of the loss with
//! respect to them. A value is *unbatched* if it belongs to the whole batch ([`Rows::PerBatch`](super::Rows)): statistics, and parameter gradients.

use super::Broadcast;
use super::attrs::{BatchNorm, Conv, Epilogue, Pad, Pair, Pool, SampleNorm};
use super::upsample::Upsample;

/// A training operator.
#[derive(Clone, Debug, PartialEq)]
pub enum Train {
    /// `x` to unbatched `[2, C]`: the batch mean of each channel, then its biased variance.
    NormStats,
    /// `(x, stats[, residual])` to `x` normalized by those statistics, with the epilogue applied.
    BatchNorm {
        /// The norm.
        norm: BatchNorm,
        /// Set by the fusion pass.
        epilogue: Epilogue,
    },
    /// `(x, dy, stats)` to unbatched `[2, C]`: the gradients of a norm's weight and bias.
    NormGradParams {
        /// The norm.
        norm: BatchNorm,
        /// Whether `dy` is the gradient after a ReLU, whose result is recomputed from `x`.
        relu: bool,
    },
    /// `(x, dy, stats, sums)` to `dx` of a norm, where `sums` is the result of [`Train::NormGradParams`].
    NormGradInput {
        /// The norm.
        norm: BatchNorm,
        /// As in [`Train::NormGradParams`].
        relu: bool,
    },
    /// `(x, dy)` to unbatched `[2, …]`: the gradients of the weight and bias of a norm of each sample.
    SampleNormGradParams(SampleNorm),
    /// `(x, dy)` to `dx` of a norm of each sample.
    SampleNormGradInput(SampleNorm),
    /// `(x, dy)` to `dx` of values over their Euclidean norm.
    L2NormGrad {
        /// The smallest norm that is divided by.
        eps: f64,
    },
    /// `(x, dy)` to `dx` of a maximum over channels: the first of the largest ones gets the gradient.
    MaxOverChannelsGrad,
    /// `(dy[, other])` to `dx` of a convolution, optionally added to another gradient of its operand.
    ConvGradInput {
        /// The convolution. Its epilogue belongs to the gradient: only the residual, set by the fusion pass.
        conv: Conv,
        /// Channels, height and width of its operand.
        input: [usize; 3],
    },
    /// `(x, dy)` to the unbatched gradient of a convolution's weight.
    ConvGradWeight(Conv),
    /// `(dw)`, the gradient of a convolution's standardized weight, to that of the weight or of the gains.
    StandardizeGrad {
        /// The convolution.
        conv: Conv,
        /// Channels of its operand.
        channels: usize,
        /// Whether it is the gradient of the gains.
        gains: bool,
    },
    /// `(dy)` to unbatched `[C]`: the gradient of the bias of a convolution or linear layer.
    BiasGrad,
    /// `(dy)` to `dx` of a linear layer with that many inputs.
    LinearGradInput {
        /// Features of its operand.
        inputs: usize,
    },
    /// `(x, dy)` to the unbatched gradient of a linear layer's weight.
    LinearGradWeight,
    /// `(x, dy)` to `dx` of a max pool: each window passes its gradient to the first maximum in row-major order.
    MaxPoolGrad(Pool),
    /// `(dy)` to `dx` of an average pool.
    AvgPoolGrad {
        /// The pool.
        pool: Pool,
        /// Height and width of its operand.
        input: Pair,
    },
    /// `(dy)` to `dx` of an average pool to a fixed size.
    AdaptiveAvgPoolGrad {
        /// Height and width of its operand.
        input: Pair,
    },
    /// The inverse of zero padding: crops the padding off.
    Unpad(Pad),
    /// `(dy)` to `dx` of a subsampling, with zeros for the skipped positions.
    SubsampleGrad {
        /// The step.
        stride: Pair,
        /// Height and width of its operand.
        input: Pair,
    },
    /// `(dy)` to `dx` of an upsampling, its transpose: each pixel gets its share of every value that was made from it.
    UpsampleGrad {
        /// The upsampling.
        upsample: Upsample,
        /// Height and width of its operand.
        input: Pair,
    },
    /// `(x, dy)` to `C x 1 x 1`: the sum of their product over each channel, the gradient of a per-channel factor.
    SumPlane,
    /// `(g)` to the sum over what a broadcast operand repeats: the gradient of that operand. Learned operands sum over the batch
    /// too, so that their gradient is unbatched.
    Reduce(Broadcast),
    /// `C H W` features to a feature map of that many channels, rows and columns.
    Unflatten([usize; 3]),
    /// `(dy, y)` to `dx` of a softmax.
    SoftmaxGrad,
    /// Zero with probability `p`, otherwise `x / (1 - p)`. The choice depends only on the seed, step, key, sample and element,
    /// so that the gradient is the same operator on `dy`.
    Dropout {
        /// The probability, below 1.
        p: f64,
        /// Whether whole samples are dropped: stochastic depth.
        per_sample: bool,
        /// Distinguishes the dropouts of a network.
        key: u64,
    },
    /// `(logits, labels)` to `[1]`: a sample's cross-entropy against its class, with label smoothing.
    CrossEntropy {
        /// The share distributed evenly over all classes (label smoothing).
        smoothing: f64,
        /// The weight of the loss.
        weight: f64,
    },
    /// `(logits, labels)` to the gradient of the batch's mean cross-entropy with respect to the logits.
    CrossEntropyGrad {
        /// As in [`Train::CrossEntropy`].
        smoothing: f64,
        /// As there.
        weight: f64,
    },
}

impl Train {
    /// Its name in dumps and messages.
    pub fn word(&self) -> &'static str {
        match self {
            Train::NormStats => "norm-stats",
            Train::BatchNorm { .. } => "norm-train",
            Train::NormGradParams { .. } => "norm-grad-params",
            Train::NormGradInput { .. } => "norm-grad-input",
            Train::SampleNormGradParams(_) => "sample-norm-grad-params",
            Train::L2NormGrad { .. } => "l2norm-grad",
            Train::MaxOverChannelsGrad => "max-over-channels-grad",
            Train::SampleNormGradInput(_) => "sample-norm-grad-input",
            Train::ConvGradInput { .. } => "conv-grad-input",
            Train::ConvGradWeight(_) => "conv-grad-weight",
            Train::StandardizeGrad { .. } => "standardize-grad",
            Train::BiasGrad => "bias-grad",
            Train::LinearGradInput { .. } => "linear-grad-input",
            Train::LinearGradWeight => "linear-grad-weight",
            Train::MaxPoolGrad(_) => "maxpool-grad",
            Train::AvgPoolGrad { .. } | Train::AdaptiveAvgPoolGrad { .. } => "avgpool-grad",
            Train::Unpad(_) => "unpad",
            Train::SubsampleGrad { .. } => "subsample-grad",
            Train::UpsampleGrad { .. } => "upsample-grad",
            Train::SumPlane => "sum-plane",
            Train::Reduce(_) => "reduce",
            Train::Unflatten(_) => "unflatten",
            Train::SoftmaxGrad => "softmax-grad",
            Train::Dropout { per_sample: true, .. } => "drop-samples",
            Train::Dropout { per_sample: false, .. } => "dropout-train",
            Train::CrossEntropy { .. } => "cross-entropy",
            Train::CrossEntropyGrad { .. } => "cross-entropy-grad",
        }
    }
}
