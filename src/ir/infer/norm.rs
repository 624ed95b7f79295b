//! Norms of each sample.

use super::ShapeError;
use super::operands::{MAP, map_of, nonzero};
use crate::ir::{Dim, NormOver, Op, SampleNorm, Shape};

/// The operand, if the number of its channels is known.
pub(super) fn with_channels<'a>(op: &Op, x: &'a [Dim]) -> Result<&'a [Dim], ShapeError> {
    let got = Shape::Known(x.to_vec());
    if got.channels().is_some() { Ok(x) } else { Err(ShapeError::Rank { op: op.word().into(), needs: MAP, got }) }
}

/// The result, which has the operand's shape.
pub(super) fn sample_norm(op: &Op, norm: &SampleNorm, x: &[Dim]) -> Result<Vec<Dim>, ShapeError> {
    let got = || Shape::Known(x.to_vec());
    let channels = got().channels().ok_or_else(|| ShapeError::Rank { op: op.word().into(), needs: MAP, got: got() })?;
    match norm.over {
        NormOver::Channels => {}
        // each value has its weight
        NormOver::All if norm.affine && got().sizes().is_none() => {
            return Err(ShapeError::Free { op: op.word().into(), shape: got() });
        }
        NormOver::All => {}
        NormOver::Groups(groups) => {
            nonzero("groups", &[groups])?;
            if channels % groups != 0 {
                return Err(ShapeError::Groups { what: "channels", count: channels, groups });
            }
        }
        // the only value of a channel would be its mean
        NormOver::Places => {
            map_of(op, x)?;
        }
    }
    Ok(x.to_vec())
}
