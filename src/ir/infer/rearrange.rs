//! The shapes of rearranged values.

use super::ShapeError;
use super::operands::{MAP, map_of, nonzero};
use crate::ir::rearrange::{Rearrange, Squares, reshaped};
use crate::ir::{Dim, Op, Shape, shape_text};

/// The shape of a rearranged value.
pub(super) fn rearranged(op: &Op, rearrange: &Rearrange, x: &[Dim]) -> Result<Vec<Dim>, ShapeError> {
    let free = || ShapeError::Free { op: op.word().into(), shape: Shape::Known(x.to_vec()) };
    match *rearrange {
        Rearrange::Shuffle(groups) => {
            map_of(op, x)?;
            grouped(op, groups, x)
        }
        Rearrange::SpaceToDepth(Squares { side, .. }) => {
            let (channels, map) = map_of(op, x)?;
            nonzero("the block size", &[side])?;
            let mut out = vec![Dim::Fixed(times(channels, &[side, side])?)];
            for (what, dim) in ["rows", "columns"].into_iter().zip(map) {
                out.push(Dim::Fixed(in_blocks(what, dim.fixed().ok_or_else(free)?, side)?));
            }
            Ok(out)
        }
        Rearrange::DepthToSpace(Squares { side, .. }) => {
            let (channels, map) = map_of(op, x)?;
            nonzero("the block size", &[side])?;
            let mut out = vec![Dim::Fixed(in_blocks("channels", channels, times(side, &[side])?)?)];
            for dim in map {
                out.push(dim.multiplied(side).ok_or(ShapeError::TooLarge)?);
            }
            Ok(out)
        }
        Rearrange::Transpose(axes) => {
            map_of(op, x)?;
            let out = axes.map(|axis| x[axis]).to_vec();
            // the number of channels is always known
            out[0].fixed().ok_or_else(free)?;
            Ok(out)
        }
        Rearrange::Reshape(sizes) => {
            let known = x.iter().map(|dim| dim.fixed().ok_or_else(free)).collect::<Result<Vec<_>, _>>()?;
            nonzero("a size", &sizes.map(|size| size.unwrap_or(1)))?;
            let values = times(1, &known)?;
            let to = reshaped(sizes, values);
            let fits = times(1, &to)? == values && sizes.iter().filter(|size| size.is_none()).count() <= 1;
            if !fits {
                return Err(ShapeError::Reshape { from: Shape::Known(x.to_vec()), values, to: shape_text(sizes) });
            }
            Ok(to.map(Dim::Fixed).to_vec())
        }
    }
}

/// The shape of a value in this many groups of channels or features.
pub(super) fn grouped(op: &Op, groups: usize, x: &[Dim]) -> Result<Vec<Dim>, ShapeError> {
    let shape = Shape::Known(x.to_vec());
    nonzero("groups", &[groups])?;
    match shape.channels() {
        Some(channels) => in_groups(channels, groups)?,
        None => return Err(ShapeError::Rank { op: op.word().into(), needs: MAP, got: shape }),
    }
    Ok(x.to_vec())
}

/// Refuses channels that groups do not divide.
fn in_groups(channels: usize, groups: usize) -> Result<(), ShapeError> {
    if channels.is_multiple_of(groups) { Ok(()) } else { Err(ShapeError::Groups { what: "channels", count: channels, groups }) }
}

/// How many blocks there are.
fn in_blocks(what: &'static str, count: usize, block: usize) -> Result<usize, ShapeError> {
    if count.is_multiple_of(block) { Ok(count / block) } else { Err(ShapeError::Blocks { what, count, block }) }
}

fn times(first: usize, others: &[usize]) -> Result<usize, ShapeError> {
    others.iter().try_fold(first, |product, &size| product.checked_mul(size)).ok_or(ShapeError::TooLarge)
}
