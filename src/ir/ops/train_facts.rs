//! Facts about the operators of training steps, with one default each, as in `facts`.

use crate::ir::attrs::{Conv, Epilogue};
use crate::ir::dim::Shape;
use crate::ir::params::ParamRole;
use crate::ir::train::Train;

impl Train {
    /// Its epilogue, if it has one.
    pub fn epilogue(&self) -> Option<&Epilogue> {
        match self {
            Train::BatchNorm { epilogue, .. } => Some(epilogue),
            Train::ConvGradInput { conv, .. } => Some(&conv.epilogue),
            _ => None,
        }
    }

    /// Its epilogue, if it supports one.
    pub fn epilogue_mut(&mut self) -> Option<&mut Epilogue> {
        match self {
            Train::BatchNorm { epilogue, .. } => Some(epilogue),
            // a strided 1x1 convolution is followed by zero-insertion, and padding beyond the kernel's reach by cropping
            Train::ConvGradInput { conv, .. } => {
                let reach = [0, 1].map(|axis| conv.dilation[axis] * (conv.kernel[axis].saturating_sub(1)));
                let ends = (conv.stride == [1, 1] || conv.kernel != [1, 1])
                    && (0..2).all(|axis| conv.pad[axis].iter().all(|&pad| pad <= reach[axis]));
                ends.then_some(&mut conv.epilogue)
            }
            _ => None,
        }
    }

    /// The number of operands without a residual.
    pub(super) fn operands(&self) -> usize {
        match self {
            Train::BatchNorm { .. }
            | Train::SampleNormGradParams(_)
            | Train::SampleNormGradInput(_)
            | Train::L2NormGrad { .. }
            | Train::MaxOverChannelsGrad
            | Train::ConvGradWeight(_)
            | Train::LinearGradWeight
            | Train::MaxPoolGrad(_)
            | Train::SumPlane
            | Train::SoftmaxGrad
            | Train::CrossEntropy { .. }
            | Train::CrossEntropyGrad { .. } => 2,
            Train::NormGradParams { .. } => 3,
            Train::NormGradInput { .. } => 4,
            _ => 1,
        }
    }

    /// The parameters that it reads from its layer; `operand` is the first one, with its channels.
    pub(super) fn params(&self, operand: &Shape, channels: usize) -> Vec<(ParamRole, Vec<usize>)> {
        let weight = (ParamRole::Weight, vec![channels]);
        let bias = (ParamRole::Bias, vec![channels]);
        match self {
            Train::BatchNorm { .. } | Train::NormGradParams { relu: true, .. } | Train::NormGradInput { relu: true, .. } => {
                vec![weight, bias]
            }
            Train::NormGradInput { relu: false, .. } => vec![weight],
            Train::ConvGradInput { conv, input } => weight_and_gain(conv, input[0]),
            Train::StandardizeGrad { conv, channels, .. } => weight_and_gain(conv, *channels),
            Train::SampleNormGradInput(norm) if norm.affine => {
                operand.sizes().map(|sizes| (ParamRole::Weight, norm.param_shape(&sizes))).into_iter().collect()
            }
            Train::LinearGradInput { inputs } => vec![(ParamRole::Weight, vec![channels, *inputs])],
            _ => Vec::new(),
        }
    }
}

/// The weight of a convolution of this many channels, and the gains of its filters.
fn weight_and_gain(conv: &Conv, channels: usize) -> Vec<(ParamRole, Vec<usize>)> {
    let weight = vec![conv.filters, channels / conv.groups.max(1), conv.kernel[0], conv.kernel[1]];
    let gain = conv.standardize.and_then(|standardize| standardize.gain);
    let gain = gain.map(|_| (ParamRole::Gain, vec![conv.filters, 1, 1, 1]));
    std::iter::once((ParamRole::Weight, weight)).chain(gain).collect()
}
