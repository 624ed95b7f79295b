//! Shape inference. Elaboration, the checker, passes and exporters all call [`infer`]; nothing else computes shapes.

use thiserror::Error;

use super::{Dim, Op, PadMode, Pair, Shape, Sides, one_dimensional};

/// The largest size of a dimension, of a kernel, and of the elements of one value (2^40).
pub const MAX_ELEMENTS: u64 = 1 << 40;

/// Why an operator does not fit its operands.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ShapeError {
    /// Wrong number of operands.
    #[error("`{op}` takes {takes} operands, not {got}")]
    Arity {
        /// The operator.
        op: &'static str,
        /// The number of operands it takes, in words.
        takes: &'static str,
        /// The number of operands given.
        got: usize,
    },
    /// Needs a feature map or a vector and got the other.
    #[error("`{op}` needs a {needs}, not {got}")]
    Rank {
        /// The operator.
        op: &'static str,
        /// `feature map (channels x height x width)` or `vector of features`.
        needs: &'static str,
        /// The operand.
        got: Shape,
    },
    /// Operands of `add`, or of `mul`, differ.
    #[error("the operands of `{op}` differ: {left} and {right}")]
    Unequal {
        /// The operator.
        op: &'static str,
        /// First operand.
        left: Shape,
        /// The operand that differs.
        right: Shape,
        /// Its slot.
        slot: usize,
    },
    /// Channels or filters not divisible by groups.
    #[error("{count} {what} cannot be split into {groups} groups")]
    Groups {
        /// `channels` or `filters`.
        what: &'static str,
        /// How many.
        count: usize,
        /// Into how many.
        groups: usize,
    },
    /// The window is larger than the padded feature map.
    #[error("a window of {window} does not fit a feature map of {map} with padding {padding}")]
    Window {
        /// Extent of the (dilated) window along the axis.
        window: usize,
        /// The feature map's size along the axis.
        map: Dim,
        /// Total padding of both sides.
        padding: usize,
    },
    /// A pool's padding is as large as its window, so a window would see only padding.
    #[error("padding {padding} is as large as the window {window}")]
    PoolPadding {
        /// Padding of a side.
        padding: usize,
        /// The window, from its first to its last value.
        window: usize,
    },
    /// A dilated window that can fall entirely in the padding.
    #[error("a window with dilation {dilation} can fall entirely in the padding ({padding}) around a feature map of {map}")]
    WindowInPadding {
        /// Distance between kernel elements.
        dilation: usize,
        /// The feature map's size along the axis.
        map: Dim,
        /// Padding before the feature map.
        padding: usize,
    },
    /// Reflection padding that is not smaller than the feature map.
    #[error("reflection padding of {padding} is too large for a feature map of {map}")]
    ReflectPadding {
        /// Padding of a side.
        padding: usize,
        /// The feature map's size along the axis.
        map: Dim,
    },
    /// Channel padding in a mode other than zeros.
    #[error("`{op}` can only pad channels with zeros")]
    PadChannels {
        /// The operator.
        op: &'static str,
    },
    /// A number that must be at least 1 is 0.
    #[error("{what} must be at least 1")]
    Zero {
        /// The attribute.
        what: &'static str,
    },
    /// `ceil_mode` on a free size where the last window could start in the trailing padding and be dropped: the output size then
    /// has no form as a free [`Dim`].
    #[error("with `ceil_mode`, the output size of `{op}` on {shape} has no closed form")]
    FreeCeil {
        /// The operator.
        op: &'static str,
        /// The operand.
        shape: Shape,
    },
    /// Needs a fixed size, but height or width is free.
    #[error("`{op}` needs a fixed size, and {shape} is free")]
    Free {
        /// The operator.
        op: &'static str,
        /// The operand.
        shape: Shape,
    },
    /// A slice exceeds its operand.
    #[error("channels {start} to {} are not in {all}", start.saturating_add(*count))]
    Slice {
        /// The first channel.
        start: usize,
        /// How many.
        count: usize,
        /// Of how many.
        all: usize,
    },
    /// A 2-D window, stride or padding on a 1-D input.
    #[error("`{op}` has 2-D sizes, but its input {shape} is 1-D")]
    OneDimensional {
        /// The operator.
        op: &'static str,
        /// The operand.
        shape: Shape,
    },
    /// Too large to count.
    #[error("the value would have more than 2^40 elements")]
    TooLarge,
}

pub(super) const MAP: &str = "feature map (channels x height x width)";
pub(super) const VECTOR: &str = "vector of features";

pub(super) fn map_of<'a>(op: &Op, shape: &'a [Dim]) -> Result<(usize, &'a [Dim; 2]), ShapeError> {
    if let [Dim::Fixed(c), rest @ ..] = shape
        && let Ok(map) = <&[Dim; 2]>::try_from(rest)
    {
        return Ok((*c, map));
    }
    Err(ShapeError::Rank { op: op.word(), needs: MAP, got: Shape::Known(shape.to_vec()) })
}

fn nonzero(what: &'static str, values: &[usize]) -> Result<(), ShapeError> {
    if values.contains(&0) { Err(ShapeError::Zero { what }) } else { Ok(()) }
}

/// Output sizes of a sliding window; `ceil` rounds up as PyTorch does.
fn slide(map: &[Dim; 2], window: Pair, stride: Pair, pad: Sides, dilation: Pair, ceil: bool) -> Result<[Dim; 2], ShapeError> {
    let mut out = *map;
    for axis in 0..2 {
        let error = |window| ShapeError::Window { window, map: map[axis], padding: pad[axis][0].saturating_add(pad[axis][1]) };
        let extent = (window[axis] - 1).checked_mul(dilation[axis]).and_then(|n| n.checked_add(1)).ok_or(error(usize::MAX))?;
        let padding = pad[axis][0].checked_add(pad[axis][1]).ok_or(error(extent))?;
        let limit = 1usize << 40;
        if extent > limit || padding > limit || stride[axis] > limit {
            return Err(ShapeError::TooLarge);
        }
        let slack = padding as i64 - extent as i64;
        let step = stride[axis] as i64;
        // a window that does not fit even once is an error, not an output of one; rounding up, it may lack less than a stride
        let slack = slack + if ceil { step - 1 } else { 0 };
        if let Dim::Fixed(n) = map[axis]
            && (n as i64) + slack < 0
        {
            return Err(error(extent));
        }
        let mut dim = map[axis].affine(slack, step, 1).ok_or(error(extent))?;
        if ceil && let (Dim::Fixed(n), Dim::Fixed(o)) = (map[axis], dim) {
            // PyTorch: the last window must start inside the feature map or its leading padding
            if (o - 1) * stride[axis] >= n + pad[axis][0] {
                dim = Dim::Fixed(o - 1);
            }
        }
        out[axis] = dim;
    }
    Ok(out)
}

/// The shape of an operator's result; `Unknown` if an operand is. A 1-D input, `channels x length`, is handled as
/// the feature map `channels x 1 x length`.
pub fn infer(op: &Op, inputs: &[Shape]) -> Result<Shape, ShapeError> {
    arity(op, inputs.len())?;
    if !matches!(op, Op::Input(_) | Op::Train(_)) && inputs.iter().any(one_dimensional::is_1d) {
        return one_dimensional::infer(op, inputs);
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
            Shape::Known(d) => d.clone(),
            Shape::Unknown => return Ok(Shape::Unknown),
        },
        Op::Conv(c) => {
            let (channels, map) = map_of(op, dims[0])?;
            nonzero("filters", &[c.filters])?;
            nonzero("the kernel", &c.kernel)?;
            nonzero("the stride", &c.stride)?;
            nonzero("the dilation", &c.dilation)?;
            nonzero("groups", &[c.groups])?;
            for (what, count) in [("channels", channels), ("filters", c.filters)] {
                if count % c.groups != 0 {
                    return Err(ShapeError::Groups { what, count, groups: c.groups });
                }
            }
            let [h, w] = slide(map, c.kernel, c.stride, c.pad, c.dilation, false)?;
            let out = vec![Dim::Fixed(c.filters), h, w];
            if c.epilogue.residual {
                equal(op, &out, dims[1], 1)?;
            }
            out
        }
        Op::BatchNorm(_) | Op::Act(_) | Op::Softmax | Op::Dropout(_) | Op::Clamp(_) | Op::Scale(_) => dims[0].to_vec(),
        Op::Add => {
            for (slot, other) in dims.iter().enumerate().skip(1) {
                equal(op, dims[0], other, slot)?;
            }
            dims[0].to_vec()
        }
        Op::Mul => {
            let gate = dims[1];
            let per_channel = gate.len() == 3 && dims[0].len() == 3 && gate[0] == dims[0][0] && gate[1..] == [Dim::Fixed(1); 2];
            if !per_channel {
                equal(op, dims[0], gate, 1)?;
            }
            dims[0].to_vec()
        }
        Op::Concat => {
            let mut channels = 0usize;
            for (slot, d) in dims.iter().enumerate() {
                let fits = d.len() == dims[0].len() && d.iter().zip(dims[0]).skip(1).all(|(a, b)| a.agrees(*b));
                let unequal = || ShapeError::Unequal {
                    op: op.word(),
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
                return Err(ShapeError::FreeCeil { op: op.word(), shape: inputs[0].clone() });
            }
            let [h, w] = slide(map, p.kernel, p.stride, p.pad, p.dilation(), p.ceil)?;
            vec![Dim::Fixed(channels), h, w]
        }
        Op::AdaptiveAvgPool(size) => {
            let (channels, _) = map_of(op, dims[0])?;
            nonzero("the output size", size)?;
            vec![Dim::Fixed(channels), Dim::Fixed(size[0]), Dim::Fixed(size[1])]
        }
        Op::GlobalMaxPool => {
            let (channels, _) = map_of(op, dims[0])?;
            vec![Dim::Fixed(channels), Dim::Fixed(1), Dim::Fixed(1)]
        }
        Op::Flatten => {
            let mut features = 1usize;
            for d in dims[0] {
                let n = d.fixed().ok_or_else(|| ShapeError::Free { op: op.word(), shape: inputs[0].clone() })?;
                features = features.checked_mul(n).ok_or(ShapeError::TooLarge)?;
            }
            vec![Dim::Fixed(features)]
        }
        Op::Linear(l) => {
            nonzero("features", &[l.features])?;
            if dims[0].len() != 1 {
                return Err(ShapeError::Rank { op: op.word(), needs: VECTOR, got: inputs[0].clone() });
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
                return Err(ShapeError::PadChannels { op: op.word() });
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
        Op::Subsample(stride) => {
            let (channels, map) = map_of(op, dims[0])?;
            nonzero("the stride", stride)?;
            let [h, w] = slide(map, [1, 1], *stride, [[0; 2]; 2], [1, 1], false)?;
            vec![Dim::Fixed(channels), h, w]
        }
        Op::Upsample(None) => {
            let (channels, _) = map_of(op, dims[0])?;
            let (_, [h, w]) = map_of(op, dims[1])?;
            vec![Dim::Fixed(channels), *h, *w]
        }
        Op::Upsample(Some(times)) => {
            let (channels, map) = map_of(op, dims[0])?;
            nonzero("the factor", times)?;
            let mut out = vec![Dim::Fixed(channels)];
            for (dim, &times) in map.iter().zip(times) {
                let size = match dim {
                    Dim::Fixed(n) => Dim::Fixed(n.checked_mul(times).ok_or(ShapeError::TooLarge)?),
                    free if times == 1 => *free,
                    Dim::Free { .. } => return Err(ShapeError::Free { op: op.word(), shape: inputs[0].clone() }),
                };
                out.push(size);
            }
            out
        }
        Op::Train(train) => train.infer(op, &dims)?,
    };
    let elements = out.iter().try_fold(1u64, |n, d| n.checked_mul(d.fixed().unwrap_or(1) as u64));
    if elements.is_none_or(|n| n > MAX_ELEMENTS) {
        return Err(ShapeError::TooLarge);
    }
    Ok(Shape::Known(out))
}

/// Accepts shapes that are equal, or whose free sizes can be. The latter is a condition on the input size, which `check::sizes`
/// reports; the result has the first operand's shape.
pub(super) fn equal(op: &Op, left: &[Dim], right: &[Dim], slot: usize) -> Result<(), ShapeError> {
    if left.len() == right.len() && left.iter().zip(right).all(|(a, b)| a.agrees(*b)) {
        return Ok(());
    }
    Err(ShapeError::Unequal { op: op.word(), left: Shape::Known(left.to_vec()), right: Shape::Known(right.to_vec()), slot })
}

/// Checks the number of operands.
pub fn arity(op: &Op, got: usize) -> Result<(), ShapeError> {
    let (fits, takes) = match op {
        Op::Input(_) => (got == 0, "no"),
        Op::Conv(super::Conv { epilogue, .. }) | Op::Linear(super::Linear { epilogue, .. }) => {
            if epilogue.residual {
                (got == 2, "two")
            } else {
                (got == 1, "one")
            }
        }
        Op::BatchNorm(_)
        | Op::Act(_)
        | Op::Pool(_)
        | Op::AdaptiveAvgPool(_)
        | Op::GlobalMaxPool
        | Op::Flatten
        | Op::Softmax
        | Op::Dropout(_)
        | Op::Pad(_)
        | Op::Subsample(_)
        | Op::Upsample(Some(_))
        | Op::Clamp(_)
        | Op::Scale(_) => (got == 1, "one"),
        Op::Upsample(None) => (got == 2, "two"),
        Op::Add | Op::Concat => (got >= 2, "two or more"),
        Op::Mul => (got == 2, "two"),
        Op::Train(train) => {
            let takes = train.operands();
            (got == takes, ["no", "one", "two", "three", "four"].get(takes).copied().unwrap_or("other"))
        }
    };
    if fits { Ok(()) } else { Err(ShapeError::Arity { op: op.word(), takes, got }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{Axis, Conv, Epilogue, Linear, Pad, Pool, PoolKind};

    fn conv(filters: usize, k: usize, stride: usize, pad: usize) -> Conv {
        Conv {
            filters,
            kernel: [k; 2],
            stride: [stride; 2],
            pad: [[pad; 2]; 2],
            dilation: [1; 2],
            groups: 1,
            bias: false,
            epilogue: Epilogue::default(),
        }
    }

    fn pool(k: usize, stride: usize, pad: usize, ceil: bool) -> Op {
        Op::Pool(Pool { kind: PoolKind::MAX, kernel: [k; 2], stride: [stride; 2], pad: [[pad; 2]; 2], ceil })
    }

    fn shape(op: &Op, dims: &[usize]) -> Result<Shape, ShapeError> {
        infer(op, &[Shape::fixed(dims)])
    }

    #[test]
    fn windows_slide_as_in_pytorch() {
        assert_eq!(shape(&Op::Conv(conv(64, 7, 2, 3)), &[3, 224, 224]), Ok(Shape::fixed(&[64, 112, 112])));
        assert_eq!(shape(&Op::Conv(conv(64, 3, 2, 1)), &[3, 7, 8]), Ok(Shape::fixed(&[64, 4, 4])));
        assert_eq!(shape(&Op::Conv(Conv { dilation: [2, 2], ..conv(8, 3, 1, 2) }), &[3, 9, 5]), Ok(Shape::fixed(&[8, 9, 5])));
        assert_eq!(shape(&pool(3, 2, 1, false), &[64, 112, 112]), Ok(Shape::fixed(&[64, 56, 56])));
        // ceil_mode: 7 -> 4, and a last window that would start in the trailing padding is dropped (torch: 6 -> 3, not 4)
        assert_eq!(shape(&pool(2, 2, 0, true), &[8, 7, 7]), Ok(Shape::fixed(&[8, 4, 4])));
        assert_eq!(shape(&pool(2, 2, 1, true), &[8, 5, 5]), Ok(Shape::fixed(&[8, 3, 3])));
        assert_eq!(shape(&pool(2, 2, 1, true), &[8, 6, 6]), Ok(Shape::fixed(&[8, 4, 4])));
    }

    #[test]
    fn sizes_that_are_rounded_up_are_pytorchs() {
        // max_pool1d(zeros(1, 1, n), kernel, stride, padding, dilation, ceil_mode=True) for n of 1 to 8; 0 where it is an error, or a window
        // sees no value
        for ((kernel, stride, pad, dilation), sizes) in [
            ((2, 1, 0, 1), [0, 1, 2, 3, 4, 5, 6, 7]),
            ((2, 2, 0, 1), [1, 1, 2, 2, 3, 3, 4, 4]),
            ((2, 3, 0, 1), [1, 1, 1, 2, 2, 2, 3, 3]),
            ((3, 1, 0, 1), [0, 0, 1, 2, 3, 4, 5, 6]),
            ((3, 2, 0, 1), [0, 1, 1, 2, 2, 3, 3, 4]),
            ((3, 2, 1, 1), [1, 2, 2, 3, 3, 4, 4, 5]),
            ((3, 4, 0, 1), [1, 1, 1, 1, 2, 2, 2, 2]),
            ((3, 4, 1, 1), [1, 1, 1, 2, 2, 2, 2, 3]),
            ((2, 3, 1, 1), [1, 1, 2, 2, 2, 3, 3, 3]),
            ((2, 2, 0, 2), [0, 1, 1, 2, 2, 3, 3, 4]),
            ((2, 4, 0, 2), [1, 1, 1, 1, 2, 2, 2, 2]),
            ((3, 3, 0, 2), [0, 0, 1, 1, 1, 2, 2, 2]),
            ((3, 2, 1, 2), [0, 1, 1, 2, 2, 3, 3, 4]),
        ] {
            let kind = PoolKind::Max { dilation: [1, dilation] };
            let pad = [[0; 2], [pad; 2]];
            let pool = Pool { kind, kernel: [1, kernel], stride: [1, stride], pad, ceil: true };
            for (n, size) in (1..).zip(sizes) {
                let found = shape(&Op::Pool(pool), &[3, 1, n]).ok();
                assert_eq!(found, (size > 0).then(|| Shape::fixed(&[3, 1, size])), "{pool:?} of {n}");
            }
        }
    }

    #[test]
    fn a_window_larger_than_the_padded_map_is_an_error() {
        let error = shape(&Op::Conv(conv(8, 5, 1, 1)), &[3, 2, 9]);
        assert_eq!(error, Err(ShapeError::Window { window: 5, map: Dim::Fixed(2), padding: 2 }));
        // stride 2 must not turn "does not fit" into an output of one by rounding towards zero
        assert!(matches!(shape(&Op::Conv(conv(8, 3, 2, 0)), &[3, 2, 2]), Err(ShapeError::Window { .. })));
    }

    #[test]
    fn absurd_numbers_are_errors_not_overflows() {
        let huge = usize::MAX;
        for op in [
            Op::Conv(Conv { filters: huge, ..conv(1, 3, 1, 1) }),
            Op::Conv(Conv { dilation: [huge; 2], ..conv(1, 3, 1, 1) }),
            Op::Conv(Conv { stride: [huge; 2], ..conv(1, 3, 1, 1) }),
            Op::Conv(conv(1, huge, 1, huge)),
            Op::Conv(conv(1, 1, 1, huge)),
            Op::Conv(conv(1, 0, 1, 0)),
            Op::Conv(Conv { groups: 0, ..conv(1, 1, 1, 0) }),
            Op::Pad(Pad { channels: [huge, huge], ..Pad::zeros([[huge; 2]; 2]) }),
            Op::Subsample([0, 0]),
            Op::AdaptiveAvgPool([huge, huge]),
            pool(0, 1, 0, false),
            pool(3, 0, 1, true),
        ] {
            assert!(shape(&op, &[3, 8, 8]).is_err(), "{op:?}");
        }
        assert!(shape(&Op::Flatten, &[huge, huge, huge]).is_err());
    }

    #[test]
    fn free_sizes_stay_free_and_known_ones_do_not() {
        let x = Shape::Known(vec![Dim::Fixed(3), Dim::axis(Axis::H), Dim::axis(Axis::W)]);
        let y = infer(&Op::Conv(conv(64, 7, 2, 3)), &[x]).unwrap();
        assert_eq!(y.to_string(), "64 x ceil(H/2) x ceil(W/2)");
        let y = infer(&pool(3, 2, 1, false), &[y]).unwrap();
        assert_eq!(y.to_string(), "64 x ceil(H/4) x ceil(W/4)");
        assert!(matches!(infer(&Op::Flatten, std::slice::from_ref(&y)), Err(ShapeError::Free { .. })));
        assert_eq!(infer(&Op::AdaptiveAvgPool([1, 1]), &[y]), Ok(Shape::fixed(&[64, 1, 1])));
    }

    #[test]
    fn free_sizes_that_can_be_equal_may_be_added() {
        let x = Shape::Known(vec![Dim::Fixed(8), Dim::axis(Axis::H), Dim::axis(Axis::W)]);
        let up = infer(&pool(3, 2, 1, false), std::slice::from_ref(&x)).unwrap(); // ceil(H/2)
        let down = infer(&pool(2, 2, 0, false), std::slice::from_ref(&x)).unwrap(); // H/2
        assert_eq!(infer(&Op::Add, &[up.clone(), down.clone()]), Ok(up.clone()));
        assert_eq!(infer(&Op::Concat, &[down.clone(), up]).map(|s| s.channels()), Ok(Some(16)));
        // offsets that differ by the divisor are never equal; different divisors eventually diverge
        let shifted = infer(&pool(2, 2, 1, false), std::slice::from_ref(&x)).unwrap(); // (H+2)/2
        assert!(matches!(infer(&Op::Add, &[down.clone(), shifted]), Err(ShapeError::Unequal { .. })));
        assert!(matches!(infer(&Op::Add, &[x, down]), Err(ShapeError::Unequal { .. })));
    }

    #[test]
    fn a_failed_shape_silences_what_follows() {
        let linear = Op::Linear(Linear { features: 10, bias: true, epilogue: Epilogue::default() });
        assert_eq!(infer(&linear, &[Shape::Unknown]), Ok(Shape::Unknown));
        assert_eq!(infer(&Op::Add, &[Shape::fixed(&[4]), Shape::Unknown]), Ok(Shape::Unknown));
    }

    #[test]
    fn the_extent_of_a_window_includes_its_dilation() {
        let pool = |dilation, pad, ceil| {
            let kind = PoolKind::Max { dilation: [dilation; 2] };
            Op::Pool(Pool { kind, kernel: [3; 2], stride: [2; 2], pad: [[pad; 2]; 2], ceil })
        };
        // torch.nn.functional.max_pool2d(torch.zeros(1, 2, 12, 9), 3, 2, padding, dilation, ceil_mode).shape
        assert_eq!(shape(&pool(2, 0, false), &[2, 12, 9]), Ok(Shape::fixed(&[2, 4, 3])));
        assert_eq!(shape(&pool(2, 0, true), &[2, 12, 9]), Ok(Shape::fixed(&[2, 5, 3])));
        assert_eq!(shape(&pool(3, 1, false), &[2, 12, 9]), Ok(Shape::fixed(&[2, 4, 3])));
        assert!(matches!(shape(&pool(2, 5, false), &[2, 12, 9]), Err(ShapeError::PoolPadding { padding: 5, window: 5 })));
        assert!(shape(&pool(4, 0, false), &[2, 12, 8]).is_err());
        assert!(shape(&pool(0, 0, false), &[2, 12, 8]).is_err());
        // windows that see only padding, by hand: kernel elements at -4 and 0, -3 and 1, -2 and 2, -1 and 3 on a feature map of 3
        let two = |pad, map| {
            let kind = PoolKind::Max { dilation: [4; 2] };
            let op = Op::Pool(Pool { kind, kernel: [2; 2], stride: [1; 2], pad: [[pad; 2]; 2], ceil: false });
            shape(&op, &[2, map, map])
        };
        assert!(matches!(two(4, 3), Err(ShapeError::WindowInPadding { dilation: 4, padding: 4, .. })));
        assert_eq!(two(4, 4), Ok(Shape::fixed(&[2, 8, 8])));
        for (dilation, pad, stride, map) in (0..3000).map(|i| (1 + i % 5, i / 5 % 7, 1 + i / 35 % 3, 1 + i / 105 % 9)) {
            let kind = PoolKind::Max { dilation: [dilation; 2] };
            let pool = Pool { kind, kernel: [3; 2], stride: [stride; 2], pad: [[pad; 2]; 2], ceil: false };
            let Ok(out) =
                infer(&Op::Pool(Pool { pad: [[0; 2]; 2], ..pool }), &[Shape::fixed(&[1, map + 2 * pad, 1 + 2 * dilation])])
            else {
                continue;
            };
            let windows = out.sizes().unwrap()[1];
            let sees = |o: usize| (0..3).any(|k| (pad..pad + map).contains(&(o * stride + k * dilation)));
            if pad <= 2 * dilation {
                let min = pool.min_map_size(0);
                assert!(map < min || (0..windows).all(sees), "{pool:?} {map}");
                assert!(map + 1 != min || !(0..windows).all(sees), "{pool:?} {map}");
            }
        }
    }

    #[test]
    fn reflection_padding_is_smaller_than_the_map() {
        let pad = |mode, sides| Op::Pad(Pad { mode, ..Pad::zeros(sides) });
        assert_eq!(shape(&pad(PadMode::Reflect, [[3, 0], [1, 2]]), &[2, 4, 3]), Ok(Shape::fixed(&[2, 7, 6])));
        assert!(matches!(
            shape(&pad(PadMode::Reflect, [[4, 0], [1, 2]]), &[2, 4, 3]),
            Err(ShapeError::ReflectPadding { padding: 4, .. })
        ));
        assert_eq!(shape(&pad(PadMode::Replicate, [[4, 9], [0, 0]]), &[2, 4, 3]), Ok(Shape::fixed(&[2, 17, 3])));
        let channels = Op::Pad(Pad { mode: PadMode::Reflect, ..Pad::channels([1, 0]) });
        assert!(matches!(shape(&channels, &[2, 4, 3]), Err(ShapeError::PadChannels { .. })));
    }

    #[test]
    fn additions_need_equal_dimensions_and_gates_may_be_per_channel() {
        let x = Shape::fixed(&[8, 4, 4]);
        assert!(matches!(infer(&Op::Add, &[x.clone(), Shape::fixed(&[8, 1, 1])]), Err(ShapeError::Unequal { slot: 1, .. })));
        assert_eq!(infer(&Op::Mul, &[x.clone(), Shape::fixed(&[8, 1, 1])]), Ok(x.clone()));
        assert!(infer(&Op::Mul, &[Shape::fixed(&[8, 1, 1]), x.clone()]).is_err());
        assert_eq!(infer(&Op::Concat, &[x.clone(), Shape::fixed(&[3, 4, 4])]), Ok(Shape::fixed(&[11, 4, 4])));
        assert!(infer(&Op::Concat, &[x, Shape::fixed(&[3, 4, 5])]).is_err());
    }
}
