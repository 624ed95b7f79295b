//! Sliding windows.

use super::ShapeError;
use crate::ir::{Dim, Pair, Sides};

/// Output sizes of a sliding window; `ceil` rounds up as PyTorch does.
pub(super) fn slide(
    map: &[Dim; 2],
    window: Pair,
    stride: Pair,
    pad: Sides,
    dilation: Pair,
    ceil: bool,
) -> Result<[Dim; 2], ShapeError> {
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
        let none = || match map[axis] {
            Dim::Fixed(_) => error(extent),
            free => ShapeError::FreeStride { stride: stride[axis], map: free },
        };
        let mut dim = map[axis].affine(slack, step, 1).ok_or_else(none)?;
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
