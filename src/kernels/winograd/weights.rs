//! Weights, transformed and in the order in which the products read them.
//!
//! The panels are those of the direct convolution ([`Panels`]) with the points in place of the taps, and another order within: a
//! unit has a panel for each point, `[input channels][output channels of the unit]`, the input channels filled up to whole
//! blocks. Points of a unit lie together.

use std::collections::TryReserveError;
use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};
use std::ops::Range;

use super::Size;
use crate::kernels::Aligned;
use crate::kernels::blocked::pack::Panels;

/// `G` for the points 0, 1, -1, infinity.
const G2: [[f64; 3]; 4] = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];

/// `G` for the points 0, ±√½, ±√2, infinity: `[1, a, a²]` over the product of the distances to the other points, which is 1,
/// -3/2 twice, 6 twice; ±√½ halved, since `A` doubles it.
const G4: [[f64; 3]; 6] = [
    [1.0, 0.0, 0.0],
    [-1.0 / 3.0, -FRAC_1_SQRT_2 / 3.0, -1.0 / 6.0],
    [-1.0 / 3.0, FRAC_1_SQRT_2 / 3.0, -1.0 / 6.0],
    [1.0 / 6.0, SQRT_2 / 6.0, 1.0 / 3.0],
    [1.0 / 6.0, -SQRT_2 / 6.0, 1.0 / 3.0],
    [0.0, 0.0, 1.0],
];

/// Output channels of a unit, at most.
const UNIT: usize = 32;

/// How the channels of a weight `[filters, channels, 3, 3]` fall into units.
pub(super) fn panels(lanes: usize, filters: usize, channels: usize, size: Size) -> Panels {
    Panels::new(lanes, filters, channels, 1, size.points(), false)
}

/// Floats of a packed weight.
pub fn packed_len(lanes: usize, [filters, channels]: [usize; 2], size: Size) -> usize {
    panels(lanes, filters, channels, size).total()
}

/// Transforms a weight `[filters, channels, 3, 3]` in f64, rounds once, and packs it; subnormal numbers become zero.
///
/// # Errors
/// Where there is no memory for it.
pub fn pack(lanes: usize, [filters, channels]: [usize; 2], size: Size, weight: &[f32]) -> Result<Aligned, TryReserveError> {
    let panels = panels(lanes, filters, channels, size);
    assert!(2 * lanes <= UNIT);
    assert_eq!(weight.len(), filters * channels * 9);
    let mut packed = Aligned::zeroed(panels.total())?;
    for unit in 0..panels.units() {
        let to = &mut packed[panels.start(unit)..][..panels.len(unit)];
        let width = panels.width(unit) * lanes;
        let first = unit * 2 * lanes;
        let filters = first..filters.min(first + width);
        match size {
            Size::F2 => pack_unit(&G2, channels, filters, width, weight, to),
            Size::F4 => pack_unit(&G4, channels, filters, width, weight, to),
        }
    }
    Ok(packed)
}

/// The panels of a unit of `filters`, `width` wide: `G g G^T` of all its output channels together, one input channel after the
/// other.
fn pack_unit<const T: usize>(
    matrix: &[[f64; 3]; T],
    channels: usize,
    filters: Range<usize>,
    width: usize,
    weight: &[f32],
    to: &mut [f32],
) {
    let len = to.len() / (T * T);
    for channel in 0..channels {
        let mut taps = [[0.0; UNIT]; 9];
        for (lane, filter) in filters.clone().enumerate() {
            for (tap, &value) in taps.iter_mut().zip(&weight[(filter * channels + channel) * 9..][..9]) {
                tap[lane] = f64::from(value);
            }
        }
        for (i, row) in matrix.iter().enumerate() {
            let half = [0, 1, 2].map(|x| combine(row, [&taps[x], &taps[3 + x], &taps[6 + x]]));
            for (j, column) in matrix.iter().enumerate() {
                let values = combine(column, [&half[0], &half[1], &half[2]]);
                let to = &mut to[(i * T + j) * len + channel * width..][..width];
                for (to, value) in to.iter_mut().zip(values) {
                    let value = value as f32;
                    *to = if value.is_subnormal() { 0.0 } else { value };
                }
            }
        }
    }
}

fn combine(factors: &[f64; 3], values: [&[f64; UNIT]; 3]) -> [f64; UNIT] {
    std::array::from_fn(|lane| factors[0] * values[0][lane] + factors[1] * values[1][lane] + factors[2] * values[2][lane])
}
