//! Sizes of transposed convolutions.

use super::ShapeError;
use super::operands::{MAX_ELEMENTS, groups, map_of, nonzero};
use crate::ir::{ConvTranspose, Dim, Op};

/// The sizes of a transposed convolution's result.
pub(super) fn conv_transpose(op: &Op, conv: &ConvTranspose, dims: &[Dim]) -> Result<Vec<Dim>, ShapeError> {
    let (channels, map) = map_of(op, dims)?;
    nonzero("filters", &[conv.filters])?;
    nonzero("the kernel", &conv.kernel)?;
    nonzero("the stride", &conv.stride)?;
    nonzero("the dilation", &conv.dilation)?;
    groups(conv.groups, channels, conv.filters)?;
    let size = |axis: usize| {
        let (stride, dilation, padding) = (conv.stride[axis], conv.dilation[axis], conv.output_padding[axis]);
        if padding >= stride.max(dilation) {
            return Err(ShapeError::OutputPadding { padding, stride, dilation });
        }
        along(conv, axis, map[axis])
    };
    Ok(vec![Dim::Fixed(conv.filters), size(0)?, size(1)?])
}

/// The size along an axis.
fn along(conv: &ConvTranspose, axis: usize, size: Dim) -> Result<Dim, ShapeError> {
    let sum = |a: usize, b: usize| a.checked_add(b).filter(|&n| n as u64 <= MAX_ELEMENTS);
    let product = |a: usize, b: usize| a.checked_mul(b).filter(|&n| n as u64 <= MAX_ELEMENTS);
    let more = product(conv.dilation[axis], conv.kernel[axis] - 1).and_then(|reach| sum(reach, conv.output_padding[axis]));
    let (more, padding) = (more.ok_or(ShapeError::TooLarge)?, sum(conv.pad[axis][0], conv.pad[axis][1]));
    let padding = padding.ok_or(ShapeError::TooLarge)?;
    let Dim::Fixed(n) = size else {
        let stride = conv.stride[axis];
        let moved = i64::try_from(stride).ok().and_then(|stride| (more as i64 - padding as i64 + 1).checked_sub(stride));
        let whole = size.multiplied(stride).zip(moved).and_then(|(size, moved)| size.affine(moved, 1, 0));
        return whole.ok_or(ShapeError::TooLarge);
    };
    let whole = product(n - 1, conv.stride[axis]).and_then(|last| sum(last, more)).and_then(|last| sum(last, 1));
    let whole = whole.ok_or(ShapeError::TooLarge)?;
    match whole.checked_sub(padding) {
        None | Some(0) => Err(ShapeError::NothingLeft { padding, size: whole }),
        Some(left) => Ok(Dim::Fixed(left)),
    }
}
