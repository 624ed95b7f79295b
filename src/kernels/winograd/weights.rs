//! Transformed weights, packed in the order in which the products read them.
//!
//! The panels are those of the direct convolution ([`Panels`]) with points instead of kernel elements, and a different order
//! within: a unit has one panel per point, `[input channels][output channels of the unit]`, with the input channels padded to
//! whole blocks. The points of a unit are contiguous.

use std::collections::TryReserveError;
use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};
use std::ops::Range;

use super::size::Size;
use crate::kernels::dispatch::{Instance, Kernel, instance};
use crate::kernels::nchwc::pack::{Filters, Panels, flush};
use crate::kernels::simd::Simd;
use crate::kernels::simd::scalar::Scalar;
use crate::kernels::{Aligned, Isa};

/// `G` for the points 0, 1, -1, infinity.
const G2: [[f64; 3]; 4] = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];

/// `G` for the points 0, ±√½, ±√2, infinity: `[1, a, a²]` divided by the product of the differences to the other points, which is
/// 1, -3/2 twice, 6 twice; ±√½ is halved, since `A` doubles it.
const G4: [[f64; 3]; 6] = [
    [1.0, 0.0, 0.0],
    [-1.0 / 3.0, -FRAC_1_SQRT_2 / 3.0, -1.0 / 6.0],
    [-1.0 / 3.0, FRAC_1_SQRT_2 / 3.0, -1.0 / 6.0],
    [1.0 / 6.0, SQRT_2 / 6.0, 1.0 / 3.0],
    [1.0 / 6.0, -SQRT_2 / 6.0, 1.0 / 3.0],
    [0.0, 0.0, 1.0],
];

/// A row of `G`.
pub(super) fn row(size: Size, row: usize) -> [f32; 3] {
    match size {
        Size::F2 => G2[row],
        Size::F4 => G4[row],
    }
    .map(|factor| factor as f32)
}

/// Maximum number of output channels per unit.
const UNIT: usize = 32;

/// The split of a weight `[filters, channels, 3, 3]` into units.
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
/// If memory allocation fails.
pub fn pack(lanes: usize, [filters, channels]: [usize; 2], size: Size, weight: &[f32]) -> Result<Aligned, TryReserveError> {
    let mut packed = Aligned::zeroed(packed_len(lanes, [filters, channels], size))?;
    Units::new(lanes, [filters, channels], size).pack_all(&Filters::stored(weight, [filters, channels, 3, 3], 1), &mut packed);
    Ok(packed)
}

/// The units of a packed weight, which can be packed independently.
#[derive(Clone, Copy, Debug)]
pub struct Units {
    panels: Panels,
    lanes: usize,
    sizes: [usize; 2],
    size: Size,
}

impl Units {
    /// For a weight `[filters, channels, 3, 3]`.
    pub fn new(lanes: usize, sizes: [usize; 2], size: Size) -> Units {
        assert!(2 * lanes <= UNIT);
        Units { panels: panels(lanes, sizes[0], sizes[1], size), lanes, sizes, size }
    }

    /// Number of units.
    pub fn count(&self) -> usize {
        self.panels.units()
    }

    /// The range of a unit in the packed weight.
    pub fn range(&self, unit: usize) -> Range<usize> {
        let start = self.panels.start(unit);
        start..start + self.panels.len(unit)
    }

    /// Transforms and packs all units into memory that is zero.
    ///
    /// # Panics
    /// If it has another length.
    pub fn pack_all(&self, weight: &Filters<'_>, packed: &mut [f32]) {
        assert_eq!(packed.len(), self.panels.total());
        (0..self.count()).for_each(|unit| self.pack(unit, weight, &mut packed[self.range(unit)]));
    }

    /// Transforms and packs a unit into memory that is zero or already contains the same unit.
    pub fn pack(&self, unit: usize, weight: &Filters<'_>, to: &mut [f32]) {
        let width = self.panels.width(unit) * self.lanes;
        let first = unit * 2 * self.lanes;
        let (filters, channels) = (self.sizes[0].min(first + width) - first, self.sizes[1]);
        let len = to.len() / self.size.points();
        let transform = transform(self.lanes);
        for channel in 0..channels {
            let mut elements = [[0.0; UNIT]; 9];
            for (element, to) in elements.iter_mut().enumerate() {
                weight.copy(first, channel, element, &mut to[..filters]);
            }
            let of_channel = FilterTransform {
                elements: &elements,
                size: self.size,
                width,
                step: len,
                to: to[channel * width..].as_mut_ptr(),
            };
            assert!(to.len() >= (self.size.points() - 1) * len + channel * width + width);
            // SAFETY: the kernel is compiled for an instruction set of this processor; the last point's row ends inside the unit,
            // as asserted
            unsafe { transform(&of_channel) };
        }
    }
}

/// The kernel elements of an input channel, for all output channels of a unit, to be transformed.
struct FilterTransform {
    elements: *const [[f32; UNIT]; 9],
    size: Size,
    /// Number of output channels.
    width: usize,
    /// Point stride.
    step: usize,
    to: *mut f32,
}

/// The instance for this processor. All instances use the same arithmetic and give the same bits.
fn transform(lanes: usize) -> Instance<FilterTransform> {
    match Isa::best().vector() {
        Some(isa) if isa.lanes() >= lanes => instance::<FilterTransform>(isa),
        _ => FilterTransform::run::<Scalar>,
    }
}

impl Kernel for FilterTransform {
    type Operands = Self;

    /// `G g G^T` for all output channels of a unit, in f64, rounded once.
    #[inline(always)]
    unsafe fn run<S: Simd>(t: &Self) {
        // SAFETY: guaranteed by the caller
        unsafe {
            match t.size {
                Size::F2 => points(&G2, t),
                Size::F4 => points(&G4, t),
            }
        }
    }
}

/// # Safety
/// As [`Kernel::run`].
#[inline(always)]
unsafe fn points<const T: usize>(matrix: &[[f64; 3]; T], t: &FilterTransform) {
    // SAFETY: guaranteed by the caller
    let kernels_of_unit = unsafe { &*t.elements };
    for lane in (0..t.width).step_by(PART) {
        let mut elements = [[0.0f64; PART]; 9];
        for (to, from) in elements.iter_mut().zip(kernels_of_unit) {
            for (to, &from) in to.iter_mut().zip(&from[lane..lane + PART]) {
                *to = f64::from(from);
            }
        }
        for (i, row) in matrix.iter().enumerate() {
            let mut half = [[0.0; PART]; 3];
            for (x, half) in half.iter_mut().enumerate() {
                combine(row, [&elements[x], &elements[3 + x], &elements[6 + x]], half);
            }
            for (j, column) in matrix.iter().enumerate() {
                let mut values = [0.0; PART];
                combine(column, [&half[0], &half[1], &half[2]], &mut values);
                // SAFETY: guaranteed by the caller
                let to = unsafe { std::slice::from_raw_parts_mut(t.to.add((i * T + j) * t.step + lane), PART) };
                for (to, value) in to.iter_mut().zip(values) {
                    *to = flush(value as f32);
                }
            }
        }
    }
}

/// Output channels transformed at a time.
const PART: usize = 8;

#[inline(always)]
fn combine(factors: &[f64; 3], values: [&[f64; PART]; 3], to: &mut [f64; PART]) {
    for (lane, to) in to.iter_mut().enumerate() {
        *to = factors[0] * values[0][lane] + factors[1] * values[1][lane] + factors[2] * values[2][lane];
    }
}
