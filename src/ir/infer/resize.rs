//! Sizes of resampled feature maps.

use super::ShapeError;
use super::operands::{map_of, nonzero};
use crate::ir::{Dim, Op, Shape, Target, Upsample};

/// The sizes of an upsampling's result.
pub(super) fn upsample(op: &Op, upsample: &Upsample, dims: &[&[Dim]]) -> Result<Vec<Dim>, ShapeError> {
    let (channels, map) = map_of(op, dims[0])?;
    let [h, w] = match upsample.target {
        Target::Like => *map_of(op, dims[1])?.1,
        Target::Size(size) => {
            nonzero("`size`", &size)?;
            size.map(Dim::Fixed)
        }
        Target::Factor(factors) => {
            let free = || ShapeError::Free { op: op.word().into(), shape: Shape::Known(dims[0].to_vec()) };
            let [h, w] = [0, 1].map(|axis| match map[axis] {
                Dim::Fixed(size) => scaled(size, factors[axis]).map(Dim::Fixed),
                free if factors[axis] == 1.0 => Ok(free),
                Dim::Free { .. } => Err(free()),
            });
            [h?, w?]
        }
    };
    Ok(vec![Dim::Fixed(channels), h, w])
}

/// A size times a factor, rounded down: PyTorch's arithmetic, in f64.
fn scaled(size: usize, factor: f64) -> Result<usize, ShapeError> {
    let scaled = (size as f64 * factor).floor();
    match scaled {
        1.0..1e15 => Ok(scaled as usize),
        ..1.0 => Err(ShapeError::Zero { what: "the size that `scale_factor` leaves" }),
        _ => Err(ShapeError::TooLarge),
    }
}
