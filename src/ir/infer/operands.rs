//! What operators demand of their operands.

use super::ShapeError;
use crate::ir::{Arity, Broadcast, Dim, Elementwise, Op, Operand, Shape};

/// The largest size of a dimension, of a kernel, and of the elements of one value (2^40).
pub(super) const MAX_ELEMENTS: u64 = 1 << 40;

pub(super) const MAP: &str = "feature map (channels x height x width)";
pub(super) const VECTOR: &str = "vector of features";
const ONE_PIXEL: &str = "value with one pixel (channels x 1 x 1), or a vector of features";

/// The largest kernel of a convolution over channels.
const MAX_CHANNEL_KERNEL: usize = 1 << 24;

pub(super) fn map_of<'a>(op: &Op, shape: &'a [Dim]) -> Result<(usize, &'a [Dim; 2]), ShapeError> {
    if let [Dim::Fixed(c), rest @ ..] = shape
        && let Ok(map) = <&[Dim; 2]>::try_from(rest)
    {
        return Ok((*c, map));
    }
    Err(ShapeError::Rank { op: op.word().into(), needs: MAP, got: Shape::Known(shape.to_vec()) })
}

/// The shape of a convolution over channels, which has no other axes.
pub(super) fn channel_conv(op: &Op, kernel: usize, shape: &[Dim]) -> Result<Vec<Dim>, ShapeError> {
    match shape {
        [Dim::Fixed(_)] | [Dim::Fixed(_), Dim::Fixed(1), Dim::Fixed(1)] if kernel > MAX_CHANNEL_KERNEL => {
            Err(ShapeError::TooLarge)
        }
        [Dim::Fixed(_)] | [Dim::Fixed(_), Dim::Fixed(1), Dim::Fixed(1)] => Ok(shape.to_vec()),
        other => Err(ShapeError::Rank { op: op.word().into(), needs: ONE_PIXEL, got: Shape::Known(other.to_vec()) }),
    }
}

pub(super) fn nonzero(what: &'static str, values: &[usize]) -> Result<(), ShapeError> {
    if values.contains(&0) { Err(ShapeError::Zero { what }) } else { Ok(()) }
}

/// Whether channels and filters can be split into groups.
pub(super) fn groups(groups: usize, channels: usize, filters: usize) -> Result<(), ShapeError> {
    nonzero("groups", &[groups])?;
    match [("channels", channels), ("filters", filters)].into_iter().find(|(_, count)| !count.is_multiple_of(groups)) {
        Some((what, count)) => Err(ShapeError::Groups { what, count, groups }),
        None => Ok(()),
    }
}

/// Accepts shapes that are equal, or whose free sizes can be. The latter is a condition on the input size, which `check::sizes`
/// reports; the result has the first operand's shape.
pub(super) fn equal(op: &Op, left: &[Dim], right: &[Dim], slot: usize) -> Result<(), ShapeError> {
    if left.len() == right.len() && left.iter().zip(right).all(|(a, b)| a.agrees(*b)) {
        return Ok(());
    }
    Err(ShapeError::Unequal {
        op: op.word().into(),
        left: Shape::Known(left.to_vec()),
        right: Shape::Known(right.to_vec()),
        slot,
    })
}

/// Numbers of operands in words.
const COUNTS: [&str; 5] = ["no", "one", "two", "three", "four"];

/// The result of an elementwise function, which has the shape of its first operand.
pub(super) fn elementwise(op: &Op, function: &Elementwise, dims: &[&[Dim]]) -> Result<Vec<Dim>, ShapeError> {
    let is_first = |x: &Operand| x.broadcast == Broadcast::Full;
    let is_valid = function.program.operands() == function.operands.len() && function.operands.first().is_some_and(is_first);
    let Some(&first) = dims.first().filter(|_| is_valid) else {
        // a damaged artifact
        return Err(ShapeError::Arity { op: op.word().into(), takes: "other", got: dims.len() });
    };
    let per_channel = function.operands.iter().any(|o| matches!(o.broadcast, Broadcast::Parameter { .. }));
    if per_channel && first.first().and_then(|dim| dim.fixed()).is_none() {
        return Err(ShapeError::Rank { op: op.word().into(), needs: MAP, got: Shape::Known(first.to_vec()) });
    }
    for (slot, (operand, &shape)) in function.values().map(|slot| &function.operands[slot]).zip(dims).enumerate().skip(1) {
        let one = Dim::Fixed(1);
        let needed = match (operand.broadcast, first) {
            (Broadcast::Channel, [channels, _, _]) => vec![*channels, one, one],
            (Broadcast::Pixel, [_, height, width]) => vec![one, *height, *width],
            (Broadcast::Scalar, [_, _, _]) => vec![one; 3],
            (Broadcast::Scalar, [_]) => vec![one],
            (Broadcast::Full, _) => {
                equal(op, first, shape, slot)?;
                continue;
            }
            _ => Vec::new(),
        };
        if needed.len() != shape.len() || !needed.iter().zip(shape).all(|(a, b)| a.agrees(*b)) {
            return Err(ShapeError::Broadcast {
                op: op.word().into(),
                operand: operand.name.as_str().into(),
                needs: operand.broadcast.shape(),
                shapes: Box::new([first, shape].map(|dims| Shape::Known(dims.to_vec()))),
                slot,
            });
        }
    }
    Ok(first.to_vec())
}

/// Checks the number of operands.
pub(super) fn arity(op: &Op, got: usize) -> Result<(), ShapeError> {
    let (fits, takes) = match op.arity() {
        Arity::Exactly(count) => (got == count, COUNTS.get(count).copied().unwrap_or("other")),
        Arity::AtLeast(count) => (got >= count, "two or more"),
    };
    if fits { Ok(()) } else { Err(ShapeError::Arity { op: op.word().into(), takes, got }) }
}
