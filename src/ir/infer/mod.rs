//! Inference of types and shapes. Elaboration, the checker, passes and exporters all call [`infer`]; nothing else computes shapes.

mod conv_transpose;
mod error;
mod norm;
mod operands;
mod rearrange;
mod resize;
mod rows;
#[cfg(test)]
mod tests;
mod window;

pub use error::ShapeError;

use super::{Broadcast, Conv, Dim, Epilogue, Op, PadMode, Reduction, Shape, TensorType, Train, one_dimensional};
use crate::base::tensor::DType;
use conv_transpose::conv_transpose;
use norm::{sample_norm, with_channels};
use operands::{MAP, MAX_ELEMENTS, VECTOR, arity, channel_conv, elementwise, equal, groups, map_of, nonzero};
use rows::rows;
use window::slide;

/// The types of an operator's results, one for each.
pub fn infer(op: &Op, operands: &[TensorType]) -> Result<Vec<TensorType>, ShapeError> {
    if let Op::Custom(op) = op {
        return op.0.infer(operands);
    }
    let shapes: Vec<Shape> = operands.iter().map(|operand| operand.shape.clone()).collect();
    let shape = infer_shape(op, &shapes)?;
    Ok(vec![TensorType { dtype: DType::F32, rows: rows(op, operands)?, shape }])
}

/// The shape of an operator's result, where it has a single one; `Unknown` if an operand is. A 1-D input, `channels x length`, is
/// handled as the feature map `channels x 1 x length`.
pub fn infer_shape(op: &Op, inputs: &[Shape]) -> Result<Shape, ShapeError> {
    if let Op::Custom(op) = op {
        let operands: Vec<TensorType> = inputs.iter().cloned().map(TensorType::per_sample).collect();
        return Ok(op.0.infer(&operands)?.into_iter().next().map_or(Shape::Unknown, |result| result.shape));
    }
    arity(op, inputs.len())?;
    if !matches!(op, Op::Input(_) | Op::Train(_)) && inputs.iter().any(Shape::is_1d) {
        return infer_one_dimensional(op, inputs);
    }
    let mut dims: Vec<&[Dim]> = Vec::with_capacity(inputs.len());
    for shape in inputs {
        match shape {
            Shape::Known(d) => dims.push(d),
            Shape::Unknown => return Ok(Shape::Unknown),
        }
    }
    let out = match op {
        Op::Input(shape) => match shape {
            // of a file that may say anything
            Shape::Known(d) if d.iter().any(|dim| matches!(dim, Dim::Free { div, times, .. } if *div < 1 || *times < 1)) => {
                return Err(ShapeError::Zero { what: "the divisor and factor of a free size" });
            }
            Shape::Known(d) => d.clone(),
            Shape::Unknown => return Ok(Shape::Unknown),
        },
        Op::Conv(c) => {
            let (channels, map) = map_of(op, dims[0])?;
            nonzero("filters", &[c.filters])?;
            nonzero("the kernel", &c.kernel)?;
            nonzero("the stride", &c.stride)?;
            nonzero("the dilation", &c.dilation)?;
            groups(c.groups, channels, c.filters)?;
            let [h, w] = slide(map, c.kernel, c.stride, c.pad, c.dilation, false)?;
            let out = vec![Dim::Fixed(c.filters), h, w];
            if c.epilogue.residual {
                equal(op, &out, dims[1], 1)?;
            }
            out
        }
        Op::SampleNorm(norm) => sample_norm(op, norm, dims[0])?,
        Op::L2Norm(_) => with_channels(op, dims[0])?.to_vec(),
        Op::OverChannels(_) => [&[Dim::Fixed(1)], &with_channels(op, dims[0])?[1..]].concat(),
        Op::ConvTranspose(conv) => conv_transpose(op, conv, dims[0])?,
        Op::ChannelConv(kernel) => channel_conv(op, *kernel, dims[0])?,
        Op::BatchNorm(_) | Op::Softmax(None) | Op::Dropout(_) => dims[0].to_vec(),
        Op::Softmax(Some(groups)) => rearrange::grouped(op, *groups, dims[0])?,
        Op::Elementwise(function) => elementwise(op, function, &dims)?,
        Op::Concat => {
            let mut channels = 0usize;
            for (slot, d) in dims.iter().enumerate() {
                let fits = d.len() == dims[0].len() && d.iter().zip(dims[0]).skip(1).all(|(a, b)| a.agrees(*b));
                let unequal = || ShapeError::Unequal {
                    op: op.word().into(),
                    left: Shape::Known(dims[0].to_vec()),
                    right: Shape::Known(d.to_vec()),
                    slot,
                };
                let count = d.first().and_then(|d| d.fixed()).filter(|_| fits).ok_or_else(unequal)?;
                channels = channels.checked_add(count).ok_or(ShapeError::TooLarge)?;
            }
            let mut out = dims[0].to_vec();
            out[0] = Dim::Fixed(channels);
            out
        }
        Op::Pool(p) => {
            let (channels, map) = map_of(op, dims[0])?;
            nonzero("the window", &p.kernel)?;
            nonzero("the stride", &p.stride)?;
            nonzero("the dilation", &p.dilation())?;
            let extent = p.extent();
            for (sides, window) in p.pad.iter().zip(extent) {
                if let Some(&padding) = sides.iter().find(|&&n| n >= window) {
                    return Err(ShapeError::PoolPadding { padding, window });
                }
            }
            // a dilated window that starts in the leading padding can skip over a small feature map
            for (axis, &dilation) in p.dilation().iter().enumerate() {
                if map[axis].fixed().is_some_and(|n| n < p.min_map_size(axis)) {
                    return Err(ShapeError::WindowInPadding { dilation, map: map[axis], padding: p.pad[axis][0] });
                }
            }
            // PyTorch drops a last window that starts in the trailing padding, which a free size cannot express
            let drops =
                (0..2).any(|axis| p.pad[axis][1].saturating_add(p.stride[axis]) > extent[axis] && map[axis].fixed().is_none());
            if p.ceil && drops {
                return Err(ShapeError::FreeCeil { op: op.word().into(), shape: inputs[0].clone() });
            }
            let [h, w] = slide(map, p.kernel, p.stride, p.pad, p.dilation(), p.ceil)?;
            vec![Dim::Fixed(channels), h, w]
        }
        Op::AdaptiveAvgPool(size) => {
            let (channels, _) = map_of(op, dims[0])?;
            nonzero("the output size", size)?;
            vec![Dim::Fixed(channels), Dim::Fixed(size[0]), Dim::Fixed(size[1])]
        }
        Op::GlobalMaxPool | Op::Gem(_) => {
            let (channels, _) = map_of(op, dims[0])?;
            vec![Dim::Fixed(channels), Dim::Fixed(1), Dim::Fixed(1)]
        }
        Op::Flatten => {
            let mut features = 1usize;
            for d in dims[0] {
                let n = d.fixed().ok_or_else(|| ShapeError::Free { op: op.word().into(), shape: inputs[0].clone() })?;
                features = features.checked_mul(n).ok_or(ShapeError::TooLarge)?;
            }
            vec![Dim::Fixed(features)]
        }
        Op::Linear(l) => {
            nonzero("features", &[l.features])?;
            if dims[0].len() != 1 {
                return Err(ShapeError::Rank { op: op.word().into(), needs: VECTOR, got: inputs[0].clone() });
            }
            let out = vec![Dim::Fixed(l.features)];
            if l.epilogue.residual {
                equal(op, &out, dims[1], 1)?;
            }
            out
        }
        Op::Pad(p) => {
            let (channels, map) = map_of(op, dims[0])?;
            if p.mode != PadMode::Zeros && p.channels != [0, 0] {
                return Err(ShapeError::PadChannels { op: op.word().into() });
            }
            for (map, sides) in map.iter().zip(p.sides) {
                let padding = sides[0].max(sides[1]);
                if p.mode == PadMode::Reflect && map.fixed().is_some_and(|n| padding >= n) {
                    return Err(ShapeError::ReflectPadding { padding, map: *map });
                }
            }
            let [h, w] = slide(map, [1, 1], [1, 1], p.sides, [1, 1], false)?;
            let channels =
                channels.checked_add(p.channels[0]).and_then(|n| n.checked_add(p.channels[1])).ok_or(ShapeError::TooLarge)?;
            vec![Dim::Fixed(channels), h, w]
        }
        Op::Crop(sides) => {
            let (channels, map) = map_of(op, dims[0])?;
            vec![Dim::Fixed(channels), without(map[0], sides[0])?, without(map[1], sides[1])?]
        }
        Op::Subsample(stride) => {
            let (channels, map) = map_of(op, dims[0])?;
            nonzero("the stride", stride)?;
            let [h, w] = slide(map, [1, 1], *stride, [[0; 2]; 2], [1, 1], false)?;
            vec![Dim::Fixed(channels), h, w]
        }
        Op::Upsample(upsample) => resize::upsample(op, upsample, &dims)?,
        Op::Slice(range) => {
            let rank = || ShapeError::Rank { op: op.word().into(), needs: MAP, got: inputs[0].clone() };
            let all = inputs[0].channels().ok_or_else(rank)?;
            if range.is_empty() || range.end > all {
                return Err(ShapeError::Slice { start: range.start, count: range.len(), all });
            }
            [&[Dim::Fixed(range.len())], &dims[0][1..]].concat()
        }
        Op::Rearrange(rearrange) => rearrange::rearranged(op, rearrange, dims[0])?,
        Op::Train(train) => infer_train(train, op, &dims)?,
        Op::Custom(_) => return Ok(Shape::Unknown),
    };
    let elements = out.iter().try_fold(1u64, |n, d| n.checked_mul(d.fixed().unwrap_or(1) as u64));
    if elements.is_none_or(|n| n > MAX_ELEMENTS) {
        return Err(ShapeError::TooLarge);
    }
    Ok(Shape::Known(out))
}

/// A size without these many at both ends.
fn without(size: Dim, [before, after]: [usize; 2]) -> Result<Dim, ShapeError> {
    let cropped = before.saturating_add(after);
    let error = ShapeError::Cropped { cropped, size };
    i64::try_from(cropped).ok().and_then(|cropped| size.affine(-cropped, 1, 0)).ok_or(error)
}

/// Shape inference for operators with 1-D operands.
fn infer_one_dimensional(op: &Op, inputs: &[Shape]) -> Result<Shape, ShapeError> {
    if inputs.contains(&Shape::Unknown) {
        return Ok(Shape::Unknown);
    }
    let map = inputs.iter().find(|shape| shape.dims().is_some_and(|dims| dims.len() == 3));
    if let (Some(map), Some(other)) = (map, inputs.iter().find(|shape| shape.is_1d())) {
        return Err(ShapeError::Unequal { op: op.word().into(), left: other.clone(), right: map.clone(), slot: 1 });
    }
    if !op.is_flat() {
        return Err(ShapeError::OneDimensional { op: op.word().into(), shape: inputs[0].clone() });
    }
    let lifted: Vec<Shape> = inputs.iter().map(one_dimensional::lift).collect();
    Ok(one_dimensional::drop_height(&infer_shape(op, &lifted).map_err(|error| one_dimensional::lower(error, inputs))?))
}

/// The shape of a training operator's result; the number of operands is already checked.
fn infer_train(train: &Train, op: &Op, dims: &[&[Dim]]) -> Result<Vec<Dim>, ShapeError> {
    let channels = |slot: usize| {
        let got = Shape::Known(dims[slot].to_vec());
        got.channels().ok_or(ShapeError::Rank { op: op.word().into(), needs: MAP, got })
    };
    let pair = |slot: usize| equal(op, &[Dim::Fixed(2), Dim::Fixed(channels(0)?)], dims[slot], slot);
    let vector = |slot: usize| match dims[slot] {
        [n] => n.fixed().ok_or_else(|| ShapeError::Free { op: op.word().into(), shape: Shape::Known(vec![*n]) }),
        other => Err(ShapeError::Rank { op: op.word().into(), needs: VECTOR, got: Shape::Known(other.to_vec()) }),
    };
    // the gradient with respect to an operand has the operand's shape, given a gradient of the result's shape
    let back = |forward: Op, x: Vec<Dim>, dy: usize| {
        let y = infer_shape(&forward, &[Shape::Known(x.clone())])?;
        equal(op, y.dims().unwrap_or_default(), dims[dy], dy)?;
        Ok(x)
    };
    let fixed = |sizes: &[usize]| sizes.iter().map(|&n| Dim::Fixed(n)).collect::<Vec<_>>();
    Ok(match train {
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
        Train::SampleNormGradParams(norm) => {
            equal(op, dims[0], dims[1], 1)?;
            let got = Shape::Known(dims[0].to_vec());
            let sizes = got.sizes().ok_or_else(|| ShapeError::Free { op: op.word().into(), shape: got })?;
            fixed(&[&[2], &norm.param_shape(&sizes)[..]].concat())
        }
        Train::MaxOverChannelsGrad => back(Op::OverChannels(Reduction::Max), dims[0].to_vec(), 1)?,
        Train::SoftmaxGrad | Train::SampleNormGradInput(_) | Train::L2NormGrad { .. } => {
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
        Train::StandardizeGrad { conv, channels, gains } => {
            let weight = fixed(&[conv.filters, channels / conv.groups, conv.kernel[0], conv.kernel[1]]);
            equal(op, &weight, dims[0], 0)?;
            if *gains { fixed(&[conv.filters, 1, 1, 1]) } else { weight }
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
                return Err(ShapeError::Free { op: op.word().into(), shape: Shape::Known(dims[0].to_vec()) });
            };
            back(Op::AdaptiveAvgPool([oh, ow]), fixed(&[channels, *h, *w]), 0)?
        }
        Train::Unpad(pad) => {
            let (channels, map) = map_of(op, dims[0])?;
            vec![without(Dim::Fixed(channels), pad.channels)?, without(map[0], pad.sides[0])?, without(map[1], pad.sides[1])?]
        }
        Train::SubsampleGrad { stride, input: [h, w] } => back(Op::Subsample(*stride), fixed(&[channels(0)?, *h, *w]), 0)?,
        Train::UpsampleGrad { input: [h, w], .. } => {
            let (channels, _) = map_of(op, dims[0])?;
            fixed(&[channels, *h, *w])
        }
        Train::SumPlane => {
            let (channels, _) = map_of(op, dims[0])?;
            equal(op, dims[0], dims[1], 1)?;
            fixed(&[channels, 1, 1])
        }
        Train::Reduce(broadcast) => match (broadcast, dims[0]) {
            (Broadcast::Full, dims) => dims.to_vec(),
            (Broadcast::Channel, [channels, ..]) => vec![*channels, Dim::Fixed(1), Dim::Fixed(1)],
            (Broadcast::Pixel, [_, height, width]) => vec![Dim::Fixed(1), *height, *width],
            (Broadcast::Scalar, [_, _, _]) => fixed(&[1; 3]),
            (Broadcast::Parameter { .. }, _) => fixed(&[channels(0)?]),
            (Broadcast::Scalar | Broadcast::Shared { .. }, _) => fixed(&[1]),
            (Broadcast::Channel | Broadcast::Pixel, other) => {
                return Err(ShapeError::Rank { op: op.word().into(), needs: MAP, got: Shape::Known(other.to_vec()) });
            }
        },
        Train::Unflatten(map) => back(Op::Flatten, fixed(map), 0)?,
        Train::Dropout { .. } => dims[0].to_vec(),
        Train::CrossEntropy { .. } | Train::CrossEntropyGrad { .. } => {
            vector(0)?;
            equal(op, &[Dim::Fixed(1)], dims[1], 1)?;
            if matches!(train, Train::CrossEntropy { .. }) { fixed(&[1]) } else { dims[0].to_vec() }
        }
    })
}

/// The convolution without its epilogue.
fn plain(conv: &Conv) -> Conv {
    Conv { epilogue: Epilogue::default(), ..*conv }
}
