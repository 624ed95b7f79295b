//! Weights, transformed and in the order in which the products read them.
//!
//! Output channels are taken in units: two blocks of `lanes` at a time, and one where the number of blocks is odd. A unit has a
//! panel for each point, `[input channels][output channels of the unit]`, the input channels filled up to whole blocks. Panels
//! lie one behind the other, points of a unit together.

use std::collections::TryReserveError;
use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};

use super::Size;
use crate::kernels::Aligned;

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

/// How the channels fall into blocks and units.
#[derive(Clone, Copy, Debug)]
pub(super) struct Panels {
    lanes: usize,
    filters: usize,
    channels: usize,
    size: Size,
}

impl Panels {
    pub fn new(lanes: usize, filters: usize, channels: usize, size: Size) -> Panels {
        assert!(2 * lanes <= UNIT);
        Panels { lanes, filters, channels, size }
    }

    /// Input channels, filled up.
    fn depth(&self) -> usize {
        self.channels.next_multiple_of(self.lanes)
    }

    /// Units of output channels.
    pub fn units(&self) -> usize {
        self.filters.div_ceil(2 * self.lanes)
    }

    /// Blocks of output channels of a unit: 2, or 1.
    pub fn width(&self, unit: usize) -> usize {
        (self.filters.div_ceil(self.lanes) - 2 * unit).min(2)
    }

    /// Floats of a unit's panel of one point.
    pub fn len(&self, unit: usize) -> usize {
        self.depth() * self.width(unit) * self.lanes
    }

    /// Where its panels begin.
    pub fn start(&self, unit: usize) -> usize {
        unit * self.size.points() * self.depth() * 2 * self.lanes
    }

    /// Floats of all panels.
    pub fn total(&self) -> usize {
        self.size.points() * self.depth() * self.filters.next_multiple_of(self.lanes)
    }
}

/// Floats of a packed weight.
pub fn packed_len(lanes: usize, [filters, channels]: [usize; 2], size: Size) -> usize {
    Panels::new(lanes, filters, channels, size).total()
}

/// Transforms a weight `[filters, channels, 3, 3]` in f64, rounds once, and packs it; subnormal numbers become zero.
///
/// # Errors
/// Where there is no memory for it.
pub fn pack(lanes: usize, [filters, channels]: [usize; 2], size: Size, weight: &[f32]) -> Result<Aligned, TryReserveError> {
    let panels = Panels::new(lanes, filters, channels, size);
    assert_eq!(weight.len(), filters * channels * 9);
    let mut packed = Aligned::zeroed(panels.total())?;
    for unit in 0..panels.units() {
        let to = &mut packed[panels.start(unit)..][..size.points() * panels.len(unit)];
        match size {
            Size::F2 => pack_unit(&panels, unit, &G2, weight, to),
            Size::F4 => pack_unit(&panels, unit, &G4, weight, to),
        }
    }
    Ok(packed)
}

/// The panels of a unit: `G g G^T` of all its output channels together, one input channel after the other.
fn pack_unit<const T: usize>(panels: &Panels, unit: usize, matrix: &[[f64; 3]; T], weight: &[f32], to: &mut [f32]) {
    let &Panels { lanes, filters, channels, .. } = panels;
    let width = panels.width(unit) * lanes;
    let len = panels.len(unit);
    let first = unit * 2 * lanes;
    let last = filters.min(first + width);
    for channel in 0..channels {
        let mut taps = [[0.0; UNIT]; 9];
        for (lane, filter) in (first..last).enumerate() {
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
