//! The one shape law. Elaboration, the checker, passes, exporters all call [`infer`]; nothing else computes a shape.

use super::{Dim, Op, Pair, PoolKind, Shape, Sides};
use thiserror::Error;

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
        /// What it takes, in words.
        takes: &'static str,
        /// What it got.
        got: usize,
    },
    /// Needs a map or a vector and got the other.
    #[error("`{op}` needs a {needs}, not {got}")]
    Rank {
        /// The operator.
        op: &'static str,
        /// `map (channels x height x width)` or `vector of features`.
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
        /// The one that differs.
        right: Shape,
        /// Its slot.
        slot: usize,
    },
    /// Channels or filters not divisible by groups.
    #[error("{what} {count} cannot be split into {groups} groups")]
    Groups {
        /// `channels` or `filters`.
        what: &'static str,
        /// How many.
        count: usize,
        /// Into how many.
        groups: usize,
    },
    /// The window is larger than the padded map.
    #[error("a window of {window} does not fit a map of {map} with padding {padding}")]
    Window {
        /// Extent of the (dilated) window along the axis.
        window: usize,
        /// The map's size along the axis.
        map: Dim,
        /// Both sides' padding.
        padding: usize,
    },
    /// Padding of a pool is more than half its window (a window would see padding alone).
    #[error("padding {padding} is more than half of the window {window}")]
    PoolPadding {
        /// Padding of a side.
        padding: usize,
        /// The window.
        window: usize,
    },
    /// A number that must be at least 1 is 0.
    #[error("{what} must be at least 1")]
    Zero {
        /// Which attribute.
        what: &'static str,
    },
    /// Needs a fixed size where height or width is free.
    #[error("`{op}` needs a fixed size, and {shape} is free")]
    Free {
        /// The operator.
        op: &'static str,
        /// The operand.
        shape: Shape,
    },
    /// Too large to count.
    #[error("the value would have more than 2^40 elements")]
    TooLarge,
}

const MAP: &str = "map (channels x height x width)";
const VECTOR: &str = "vector of features";

fn map_of<'a>(op: &Op, shape: &'a [Dim]) -> Result<(usize, &'a [Dim; 2]), ShapeError> {
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

/// Output sizes of a sliding window; `ceil` rounds up as torch does.
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
        // a window that does not fit even once is an error, not an output of one
        if let Dim::Fixed(n) = map[axis]
            && (n as i64) + slack < 0
        {
            return Err(error(extent));
        }
        let mut dim = map[axis].affine(slack + if ceil { step - 1 } else { 0 }, step, 1).ok_or(error(extent))?;
        if ceil && let (Dim::Fixed(n), Dim::Fixed(o)) = (map[axis], dim) {
            // torch: the last window starts inside the map or its leading padding
            if (o - 1) * stride[axis] >= n + pad[axis][0] {
                dim = Dim::Fixed(o - 1);
            }
        }
        out[axis] = dim;
    }
    Ok(out)
}

/// The shape of an operator's result. Operands that are `Unknown` make it `Unknown`.
pub fn infer(op: &Op, inputs: &[Shape]) -> Result<Shape, ShapeError> {
    arity(op, inputs.len())?;
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
        Op::Norm(_) | Op::Act(_) | Op::Softmax | Op::Dropout(_) => dims[0].to_vec(),
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
                let fits = d.len() == dims[0].len() && d[1..] == dims[0][1..];
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
            for axis in 0..2 {
                for side in 0..2 {
                    if p.pad[axis][side] > p.kernel[axis] / 2 {
                        return Err(ShapeError::PoolPadding { padding: p.pad[axis][side], window: p.kernel[axis] });
                    }
                }
            }
            debug_assert!(matches!(p.kind, PoolKind::Max | PoolKind::Avg { .. }));
            let [h, w] = slide(map, p.kernel, p.stride, p.pad, [1, 1], p.ceil)?;
            vec![Dim::Fixed(channels), h, w]
        }
        Op::AdaptiveAvgPool(size) => {
            let (channels, _) = map_of(op, dims[0])?;
            nonzero("the output size", size)?;
            vec![Dim::Fixed(channels), Dim::Fixed(size[0]), Dim::Fixed(size[1])]
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
    };
    let elements = out.iter().try_fold(1u64, |n, d| n.checked_mul(d.fixed().unwrap_or(1) as u64));
    if elements.is_none_or(|n| n > MAX_ELEMENTS) {
        return Err(ShapeError::TooLarge);
    }
    Ok(Shape::Known(out))
}

fn equal(op: &Op, left: &[Dim], right: &[Dim], slot: usize) -> Result<(), ShapeError> {
    if left == right {
        return Ok(());
    }
    Err(ShapeError::Unequal { op: op.word(), left: Shape::Known(left.to_vec()), right: Shape::Known(right.to_vec()), slot })
}

/// Whether an operator takes that many operands.
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
        Op::Norm(_)
        | Op::Act(_)
        | Op::Pool(_)
        | Op::AdaptiveAvgPool(_)
        | Op::Flatten
        | Op::Softmax
        | Op::Dropout(_)
        | Op::Pad(_)
        | Op::Subsample(_) => (got == 1, "one"),
        Op::Add | Op::Concat => (got >= 2, "two or more"),
        Op::Mul => (got == 2, "two"),
    };
    if fits { Ok(()) } else { Err(ShapeError::Arity { op: op.word(), takes, got }) }
}
