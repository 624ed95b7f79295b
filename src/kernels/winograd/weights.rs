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
use crate::kernels::blocked::pack::{Filters, Panels, flush};

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
    let units = Units::new(lanes, [filters, channels], size);
    let mut packed = Aligned::zeroed(units.panels.total())?;
    let weight = Filters::stored(weight, [filters, channels, 3, 3], 1);
    for unit in 0..units.count() {
        units.pack(unit, &weight, &mut packed[units.range(unit)]);
    }
    Ok(packed)
}

/// The units of a packed weight, each of which is packed by itself.
#[derive(Clone, Copy, Debug)]
pub struct Units {
    panels: Panels,
    lanes: usize,
    sizes: [usize; 2],
    size: Size,
}

impl Units {
    /// Of a weight `[filters, channels, 3, 3]`.
    pub fn new(lanes: usize, sizes: [usize; 2], size: Size) -> Units {
        assert!(2 * lanes <= UNIT);
        Units { panels: panels(lanes, sizes[0], sizes[1], size), lanes, sizes, size }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.panels.units()
    }

    /// The floats of one.
    pub fn range(&self, unit: usize) -> Range<usize> {
        let start = self.panels.start(unit);
        start..start + self.panels.len(unit)
    }

    /// Transforms and packs one into memory that is zero, or where the same unit was packed before.
    pub fn pack(&self, unit: usize, weight: &Filters<'_>, to: &mut [f32]) {
        let width = self.panels.width(unit) * self.lanes;
        let first = unit * 2 * self.lanes;
        let filters = first..self.sizes[0].min(first + width);
        match self.size {
            Size::F2 => pack_unit(&G2, self.sizes[1], filters, width, weight, to),
            Size::F4 => pack_unit(&G4, self.sizes[1], filters, width, weight, to),
        }
    }
}

/// The panels of a unit of `filters`, `width` wide: `G g G^T` of all its output channels together, one input channel after the
/// other.
fn pack_unit<const T: usize>(
    matrix: &[[f64; 3]; T],
    channels: usize,
    filters: Range<usize>,
    width: usize,
    weight: &Filters<'_>,
    to: &mut [f32],
) {
    let len = to.len() / (T * T);
    for channel in 0..channels {
        let mut taps = [[0.0; UNIT]; 9];
        for (lane, filter) in filters.clone().enumerate() {
            let values = weight.taps(filter, channel);
            for (tap, to) in taps.iter_mut().enumerate() {
                to[lane] = f64::from(values[weight.place(tap)]);
            }
        }
        for (i, row) in matrix.iter().enumerate() {
            let half = [0, 1, 2].map(|x| combine(row, [&taps[x], &taps[3 + x], &taps[6 + x]]));
            for (j, column) in matrix.iter().enumerate() {
                let values = combine(column, [&half[0], &half[1], &half[2]]);
                let to = &mut to[(i * T + j) * len + channel * width..][..width];
                for (to, value) in to.iter_mut().zip(values) {
                    *to = flush(value as f32);
                }
            }
        }
    }
}

fn combine(factors: &[f64; 3], values: [&[f64; UNIT]; 3]) -> [f64; UNIT] {
    std::array::from_fn(|lane| factors[0] * values[0][lane] + factors[1] * values[1][lane] + factors[2] * values[2][lane])
}
