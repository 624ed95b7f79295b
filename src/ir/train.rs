//! Operators that only training steps use: losses, norms with batch statistics, and gradients.
//!
//! `x` is an operand of the operator being differentiated, `y` its result, and `dy` and `dx` the gradients of the loss with
//! respect to them. A value is *unbatched* if it belongs to the whole batch: statistics, and parameter gradients.

use serde::{Deserialize, Serialize};

use super::infer::{MAP, VECTOR, equal, map_of};
use super::{Act, BatchNorm, Clamp, Conv, Dim, Epilogue, Pad, Pair, ParamRole, Pool, Shape, ShapeError, infer};
use crate::ir::Op;

/// A training operator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
        /// `dy` is the gradient after this activation, whose result is recomputed from `x`.
        act: Option<Act>,
    },
    /// `(x, dy, stats, sums)` to `dx` of a norm, where `sums` is the result of [`Train::NormGradParams`].
    NormGradInput {
        /// The norm.
        norm: BatchNorm,
        /// As in [`Train::NormGradParams`].
        act: Option<Act>,
    },
    /// `(dy, y)` to `dx` of an activation.
    ActGrad(Act),
    /// `(dy[, other])` to `dx` of a convolution, optionally added to another gradient of its operand.
    ConvGradInput {
        /// The convolution. Its epilogue belongs to the gradient: only the residual, set by the fusion pass.
        conv: Conv,
        /// Channels, height and width of its operand.
        input: [usize; 3],
    },
    /// `(x, dy)` to the unbatched gradient of a convolution's weight.
    ConvGradWeight(Conv),
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
    /// `count` channels (or features) from `start`: the gradient of one operand of a concatenation.
    Slice {
        /// The first.
        start: usize,
        /// How many.
        count: usize,
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
    /// `(dy)` to `dx` of a nearest-neighbor upsampling: the sum over the copies of each pixel.
    UpsampleGrad {
        /// Height and width of its operand.
        input: Pair,
    },
    /// `(dy, x)` to `dx` of a clamp: `dy` where `x` is within the limits, inclusive.
    ClampGrad(Clamp),
    /// `(x, dy)` to `C x 1 x 1`: the sum of their product over each channel, the gradient of a per-channel factor.
    SumPlane,
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
            Train::ActGrad(Act::Relu) => "relu-grad",
            Train::ActGrad(Act::Sigmoid) => "sigmoid-grad",
            Train::ConvGradInput { .. } => "conv-grad-input",
            Train::ConvGradWeight(_) => "conv-grad-weight",
            Train::BiasGrad => "bias-grad",
            Train::LinearGradInput { .. } => "linear-grad-input",
            Train::LinearGradWeight => "linear-grad-weight",
            Train::MaxPoolGrad(_) => "maxpool-grad",
            Train::AvgPoolGrad { .. } | Train::AdaptiveAvgPoolGrad { .. } => "avgpool-grad",
            Train::Slice { .. } => "slice",
            Train::Unpad(_) => "unpad",
            Train::SubsampleGrad { .. } => "subsample-grad",
            Train::UpsampleGrad { .. } => "upsample-grad",
            Train::ClampGrad(_) => "clamp-grad",
            Train::SumPlane => "sum-plane",
            Train::Unflatten(_) => "unflatten",
            Train::SoftmaxGrad => "softmax-grad",
            Train::Dropout { per_sample: true, .. } => "drop-samples",
            Train::Dropout { per_sample: false, .. } => "dropout-train",
            Train::CrossEntropy { .. } => "cross-entropy",
            Train::CrossEntropyGrad { .. } => "cross-entropy-grad",
        }
    }

    /// Whether its result has a batch dimension.
    pub fn is_batched(&self) -> bool {
        match self {
            Train::NormStats
            | Train::NormGradParams { .. }
            | Train::ConvGradWeight(_)
            | Train::BiasGrad
            | Train::LinearGradWeight => false,
            Train::BatchNorm { .. }
            | Train::NormGradInput { .. }
            | Train::ActGrad(_)
            | Train::ConvGradInput { .. }
            | Train::LinearGradInput { .. }
            | Train::MaxPoolGrad(_)
            | Train::AvgPoolGrad { .. }
            | Train::AdaptiveAvgPoolGrad { .. }
            | Train::Slice { .. }
            | Train::Unpad(_)
            | Train::SubsampleGrad { .. }
            | Train::UpsampleGrad { .. }
            | Train::ClampGrad(_)
            | Train::SumPlane
            | Train::Unflatten(_)
            | Train::SoftmaxGrad
            | Train::Dropout { .. }
            | Train::CrossEntropy { .. }
            | Train::CrossEntropyGrad { .. } => true,
        }
    }

    /// Whether the operand in a slot has a batch dimension.
    pub fn takes_batched(&self, slot: usize) -> bool {
        match self {
            Train::BatchNorm { .. } => slot != 1,
            Train::NormGradParams { .. } | Train::NormGradInput { .. } => slot < 2,
            _ => true,
        }
    }

    /// Its epilogue, if it supports one.
    pub fn epilogue_mut(&mut self) -> Option<&mut Epilogue> {
        match self {
            Train::BatchNorm { epilogue, .. } => Some(epilogue),
            // a strided 1x1 convolution is followed by zero-insertion, and padding beyond the kernel's reach by cropping
            Train::ConvGradInput { conv, .. } => {
                let reach = [0, 1].map(|axis| conv.dilation[axis] * (conv.kernel[axis].saturating_sub(1)));
                let ends =
                    (conv.stride == [1, 1] || conv.kernel != [1, 1]) && (0..2).all(|axis| conv.pad[axis][0] <= reach[axis]);
                ends.then_some(&mut conv.epilogue)
            }
            Train::NormStats
            | Train::NormGradParams { .. }
            | Train::NormGradInput { .. }
            | Train::ActGrad(_)
            | Train::ConvGradWeight(_)
            | Train::BiasGrad
            | Train::LinearGradInput { .. }
            | Train::LinearGradWeight
            | Train::MaxPoolGrad(_)
            | Train::AvgPoolGrad { .. }
            | Train::AdaptiveAvgPoolGrad { .. }
            | Train::Slice { .. }
            | Train::Unpad(_)
            | Train::SubsampleGrad { .. }
            | Train::UpsampleGrad { .. }
            | Train::ClampGrad(_)
            | Train::SumPlane
            | Train::Unflatten(_)
            | Train::SoftmaxGrad
            | Train::Dropout { .. }
            | Train::CrossEntropy { .. }
            | Train::CrossEntropyGrad { .. } => None,
        }
    }

    pub(super) fn operands(&self) -> usize {
        match self {
            Train::ConvGradInput { conv, .. } => 1 + usize::from(conv.epilogue.residual),
            Train::NormStats
            | Train::BiasGrad
            | Train::LinearGradInput { .. }
            | Train::AvgPoolGrad { .. }
            | Train::AdaptiveAvgPoolGrad { .. }
            | Train::Slice { .. }
            | Train::Unpad(_)
            | Train::SubsampleGrad { .. }
            | Train::UpsampleGrad { .. }
            | Train::Unflatten(_)
            | Train::Dropout { .. } => 1,
            Train::BatchNorm { epilogue, .. } => 2 + usize::from(epilogue.residual),
            Train::ActGrad(_)
            | Train::ClampGrad(_)
            | Train::ConvGradWeight(_)
            | Train::LinearGradWeight
            | Train::MaxPoolGrad(_)
            | Train::SumPlane
            | Train::SoftmaxGrad
            | Train::CrossEntropy { .. }
            | Train::CrossEntropyGrad { .. } => 2,
            Train::NormGradParams { .. } => 3,
            Train::NormGradInput { .. } => 4,
        }
    }

    /// The shape of its result, as [`infer`](super::infer()) computes it; the number of operands is already checked.
    pub(super) fn infer(&self, op: &Op, dims: &[&[Dim]]) -> Result<Vec<Dim>, ShapeError> {
        let channels = |slot: usize| {
            let got = Shape::Known(dims[slot].to_vec());
            got.channels().ok_or(ShapeError::Rank { op: op.word(), needs: MAP, got })
        };
        let pair = |slot: usize| equal(op, &[Dim::Fixed(2), Dim::Fixed(channels(0)?)], dims[slot], slot);
        let vector = |slot: usize| match dims[slot] {
            [n] => n.fixed().ok_or_else(|| ShapeError::Free { op: op.word(), shape: Shape::Known(vec![*n]) }),
            other => Err(ShapeError::Rank { op: op.word(), needs: VECTOR, got: Shape::Known(other.to_vec()) }),
        };
        // the gradient with respect to an operand has the operand's shape, given a gradient of the result's shape
        let back = |forward: Op, x: Vec<Dim>, dy: usize| {
            let y = infer(&forward, &[Shape::Known(x.clone())])?;
            equal(op, y.dims().unwrap_or_default(), dims[dy], dy)?;
            Ok(x)
        };
        let fixed = |sizes: &[usize]| sizes.iter().map(|&n| Dim::Fixed(n)).collect::<Vec<_>>();
        Ok(match self {
            Train::NormStats => fixed(&[2, channels(0)?]),
            Train::BatchNorm { epilogue, .. } => {
                pair(1)?;
                if epilogue.residual {
                    equal(op, dims[0], dims[2], 2)?;
                }
                dims[0].to_vec()
            }
            Train::NormGradParams { .. } => {
                equal(op, dims[0], dims[1], 1)?;
                pair(2)?;
                dims[2].to_vec()
            }
            Train::NormGradInput { .. } => {
                equal(op, dims[0], dims[1], 1)?;
                pair(2)?;
                pair(3)?;
                dims[0].to_vec()
            }
            Train::ActGrad(_) | Train::ClampGrad(_) | Train::SoftmaxGrad => {
                equal(op, dims[0], dims[1], 1)?;
                dims[0].to_vec()
            }
            Train::ConvGradInput { conv, input } => {
                let dx = back(Op::Conv(plain(conv)), fixed(input), 0)?;
                if conv.epilogue.residual {
                    equal(op, &dx, dims[1], 1)?;
                }
                dx
            }
            Train::ConvGradWeight(conv) => {
                back(Op::Conv(plain(conv)), dims[0].to_vec(), 1)?;
                fixed(&[conv.filters, channels(0)? / conv.groups, conv.kernel[0], conv.kernel[1]])
            }
            Train::BiasGrad => fixed(&[channels(0)?]),
            Train::LinearGradInput { inputs } => {
                vector(0)?;
                fixed(&[*inputs])
            }
            Train::LinearGradWeight => fixed(&[vector(1)?, vector(0)?]),
            Train::MaxPoolGrad(pool) => back(Op::Pool(*pool), dims[0].to_vec(), 1)?,
            Train::AvgPoolGrad { pool, input: [h, w] } => back(Op::Pool(*pool), fixed(&[channels(0)?, *h, *w]), 0)?,
            Train::AdaptiveAvgPoolGrad { input: [h, w] } => {
                let (channels, map) = map_of(op, dims[0])?;
                let [Some(oh), Some(ow)] = map.map(Dim::fixed) else {
                    return Err(ShapeError::Free { op: op.word(), shape: Shape::Known(dims[0].to_vec()) });
                };
                back(Op::AdaptiveAvgPool([oh, ow]), fixed(&[channels, *h, *w]), 0)?
            }
            Train::Slice { start, count } => {
                let all = channels(0)?;
                if *count == 0 || start.checked_add(*count).is_none_or(|end| end > all) {
                    return Err(ShapeError::Slice { start: *start, count: *count, all });
                }
                [&[Dim::Fixed(*count)], &dims[0][1..]].concat()
            }
            Train::Unpad(pad) => {
                let (channels, map) = map_of(op, dims[0])?;
                let small = |n: Dim, [a, b]: [usize; 2]| {
                    let padding = a.saturating_add(b);
                    let error = ShapeError::Window { window: 1, map: n, padding };
                    n.affine(i64::try_from(padding).map_or(i64::MIN, |p| -p), 1, 0).ok_or(error)
                };
                vec![small(Dim::Fixed(channels), pad.channels)?, small(map[0], pad.sides[0])?, small(map[1], pad.sides[1])?]
            }
            Train::SubsampleGrad { stride, input: [h, w] } => back(Op::Subsample(*stride), fixed(&[channels(0)?, *h, *w]), 0)?,
            Train::UpsampleGrad { input: [h, w] } => {
                let (channels, _) = map_of(op, dims[0])?;
                fixed(&[channels, *h, *w])
            }
            Train::SumPlane => {
                let (channels, _) = map_of(op, dims[0])?;
                equal(op, dims[0], dims[1], 1)?;
                fixed(&[channels, 1, 1])
            }
            Train::Unflatten(map) => back(Op::Flatten, fixed(map), 0)?,
            Train::Dropout { .. } => dims[0].to_vec(),
            Train::CrossEntropy { .. } | Train::CrossEntropyGrad { .. } => {
                vector(0)?;
                equal(op, &[Dim::Fixed(1)], dims[1], 1)?;
                if matches!(self, Train::CrossEntropy { .. }) { fixed(&[1]) } else { dims[0].to_vec() }
            }
        })
    }

    /// The parameters that it reads from its layer.
    pub(super) fn params(&self, inputs: &[Shape]) -> Vec<(ParamRole, Vec<usize>)> {
        let channels = inputs.first().and_then(Shape::channels).unwrap_or(0);
        let norm = |bias: bool| {
            let roles = [ParamRole::Weight, ParamRole::Bias];
            roles[..1 + usize::from(bias)].iter().map(|&role| (role, vec![channels])).collect()
        };
        match self {
            Train::BatchNorm { .. } => norm(true),
            Train::NormGradParams { act: None, .. } => Vec::new(),
            Train::NormGradParams { act: Some(_), .. } => norm(true),
            Train::NormGradInput { act, .. } => norm(act.is_some()),
            Train::ConvGradInput { conv, input } => {
                let shape = vec![conv.filters, input[0] / conv.groups.max(1), conv.kernel[0], conv.kernel[1]];
                vec![(ParamRole::Weight, shape)]
            }
            Train::LinearGradInput { inputs } => vec![(ParamRole::Weight, vec![channels, *inputs])],
            Train::NormStats
            | Train::ActGrad(_)
            | Train::ConvGradWeight(_)
            | Train::BiasGrad
            | Train::LinearGradWeight
            | Train::MaxPoolGrad(_)
            | Train::AvgPoolGrad { .. }
            | Train::AdaptiveAvgPoolGrad { .. }
            | Train::Slice { .. }
            | Train::Unpad(_)
            | Train::SubsampleGrad { .. }
            | Train::UpsampleGrad { .. }
            | Train::ClampGrad(_)
            | Train::SumPlane
            | Train::Unflatten(_)
            | Train::SoftmaxGrad
            | Train::Dropout { .. }
            | Train::CrossEntropy { .. }
            | Train::CrossEntropyGrad { .. } => Vec::new(),
        }
    }
}

/// The convolution without its epilogue.
fn plain(conv: &Conv) -> Conv {
    Conv { epilogue: Epilogue::default(), ..*conv }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conv() -> Conv {
        Conv {
            filters: 8,
            kernel: [3, 3],
            stride: [2, 2],
            pad: [[1, 1]; 2],
            dilation: [1, 1],
            groups: 2,
            bias: false,
            epilogue: Epilogue::default(),
        }
    }

    #[test]
    fn a_gradient_has_the_shape_of_its_value() {
        let infer_one = |op: Train, shapes: &[&[usize]]| {
            let shapes: Vec<Shape> = shapes.iter().map(|s| Shape::fixed(s)).collect();
            infer(&Op::Train(op), &shapes)
        };
        let input = Train::ConvGradInput { conv: conv(), input: [4, 9, 7] };
        assert_eq!(infer_one(input.clone(), &[&[8, 5, 4]]), Ok(Shape::fixed(&[4, 9, 7])));
        assert!(infer_one(input, &[&[8, 5, 5]]).is_err());
        assert_eq!(infer_one(Train::ConvGradWeight(conv()), &[&[4, 9, 7], &[8, 5, 4]]), Ok(Shape::fixed(&[8, 2, 3, 3])));
        assert_eq!(infer_one(Train::LinearGradWeight, &[&[5], &[3]]), Ok(Shape::fixed(&[3, 5])));
        assert_eq!(infer_one(Train::Unpad(Pad::channels([1, 2])), &[&[5, 3, 3]]), Ok(Shape::fixed(&[2, 3, 3])));
        assert!(infer_one(Train::Unpad(Pad::channels([3, 2])), &[&[5, 3, 3]]).is_err());
        assert!(infer_one(Train::Slice { start: 3, count: 3 }, &[&[5]]).is_err());
        assert_eq!(infer_one(Train::Unflatten([2, 3, 1]), &[&[6]]), Ok(Shape::fixed(&[2, 3, 1])));
        assert!(infer_one(Train::Unflatten([2, 3, 1]), &[&[7]]).is_err());
        assert!(infer_one(Train::CrossEntropy { smoothing: 0.0, weight: 1.0 }, &[&[10], &[10]]).is_err());
    }
}
