//! What operators demand of their operands.

use super::ShapeError;
use crate::ir::{Arity, Dim, Op, Shape};

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

pub(super) fn nonzero(what: &'static str, values: &[usize]) -> Result<(), ShapeError> {
    if values.contains(&0) { Err(ShapeError::Zero { what }) } else { Ok(()) }
}

/// Accepts shapes that are equal, or whose free sizes can be. The latter is a condition on the input size, which `check::sizes`
/// reports; the result has the first operand's shape.
pub(super) fn equal(op: &Op, left: &[Dim], right: &[Dim], slot: usize) -> Result<(), ShapeError> {
    if left.len() == right.len() && left.iter().zip(right).all(|(a, b)| a.agrees(*b)) {
        return Ok(());
    }
    Err(ShapeError::Unequal { op: op.word(), left: Shape::Known(left.to_vec()), right: Shape::Known(right.to_vec()), slot })
}

/// Numbers of operands in words.
const COUNTS: [&str; 5] = ["no", "one", "two", "three", "four"];

/// Checks the number of operands.
pub(super) fn arity(op: &Op, got: usize) -> Result<(), ShapeError> {
    let (fits, takes) = match op.arity() {
        Arity::Exactly(count) => (got == count, COUNTS.get(count).copied().unwrap_or("other")),
        Arity::AtLeast(count) => (got >= count, "two or more"),
    };
    if fits { Ok(()) } else { Err(ShapeError::Arity { op: op.word(), takes, got }) }
}
