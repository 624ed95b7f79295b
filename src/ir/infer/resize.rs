//! Sizes of resampled feature maps.

use super::ShapeError;
use super::operands::{map_of, nonzero};
use crate::ir::{Dim, Op, Shape, Target, Upsample};

/// Free sizes times a whole factor from here on are too large.
const MAX_FACTOR: f64 = 1e9;

/// What divides a free size exactly as its factor does.
const SHRINKS: [i64; 5] = [2, 4, 8, 16, 32];

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
                size if factors[axis].fract() == 0.0 && factors[axis] < MAX_FACTOR => {
                    size.multiplied(factors[axis] as usize).ok_or(ShapeError::TooLarge)
                }
                size if SHRINKS.iter().any(|divisor| factors[axis] == 1.0 / *divisor as f64) => {
                    size.affine(0, (1.0 / factors[axis]) as i64, 0).ok_or(ShapeError::TooLarge)
                }
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
