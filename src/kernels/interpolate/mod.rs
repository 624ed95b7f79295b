//! Interpolation of feature maps, one axis after the other, in any layout. Its gradient is the same with transposed axes.

mod axis;

pub use axis::{Axis, Tap};

use super::dispatch::{Instance, Kernel, instance};
use super::isa::Isa;
use super::nchwc::runs_with_thread;
use super::simd::Simd;
use super::simd::scalar::Scalar;
use super::threads::{Disjoint, ThreadPool};

/// The map from a feature map to its result: rows, then columns.
#[derive(Clone, Debug, PartialEq)]
pub struct InterpolationMap {
    /// Along the height.
    pub rows: Axis,
    /// Along the width.
    pub columns: Axis,
}

impl InterpolationMap {
    /// The map from a gradient of the result to one of the feature map.
    pub fn transposed(&self) -> InterpolationMap {
        InterpolationMap { rows: self.rows.transposed(), columns: self.columns.transposed() }
    }

    /// Floats of scratch memory for each thread: a row of the feature map, whose pixels have `lanes` values.
    pub fn scratch(&self, lanes: usize) -> usize {
        self.columns.from() * lanes
    }
}

/// A sum of rows, each with a weight.
struct Rows<'a> {
    taps: &'a [Tap],
    /// The feature map.
    x: *const f32,
    /// Floats per row.
    len: usize,
    out: *mut f32,
}

impl Kernel for Rows<'_> {
    type Operands = Self;

    #[inline(always)]
    unsafe fn run<S: Simd>(rows: &Self) {
        // SAFETY: guaranteed by the caller
        unsafe {
            let vectors = rows.len / S::LANES * S::LANES;
            let mut at = 0;
            while at < vectors {
                S::store(rows.out.add(at), sum::<S>(rows.taps, rows.x.add(at), rows.len));
                at += S::LANES;
            }
            while at < rows.len {
                Scalar::store(rows.out.add(at), sum::<Scalar>(rows.taps, rows.x.add(at), rows.len));
                at += 1;
            }
        }
    }
}

/// The pixels of a row: a sum of pixels for each.
struct Columns<'a> {
    axis: &'a Axis,
    /// A row of the feature map.
    x: *const f32,
    out: *mut f32,
}

impl Kernel for Columns<'_> {
    type Operands = Self;

    #[inline(always)]
    unsafe fn run<S: Simd>(columns: &Self) {
        // SAFETY: guaranteed by the caller
        unsafe {
            let mut column = 0;
            while column < columns.axis.to() {
                let pixel = sum::<S>(columns.axis.taps(column), columns.x, S::LANES);
                S::store(columns.out.add(column * S::LANES), pixel);
                column += 1;
            }
        }
    }
}

/// The sum of the vectors at `x + step * tap`, each with its weight, in order.
#[inline(always)]
unsafe fn sum<S: Simd>(taps: &[Tap], x: *const f32, step: usize) -> S::V {
    // SAFETY: guaranteed by the caller
    unsafe {
        let load = |tap: &Tap| S::load(x.add(tap.at as usize * step));
        if taps.is_empty() {
            return S::zero();
        }
        let mut sum = S::mul(load(&taps[0]), S::splat(taps[0].weight));
        let mut k = 1;
        while k < taps.len() {
            sum = S::fma(load(&taps[k]), S::splat(taps[k].weight), sum);
            k += 1;
        }
        sum
    }
}

/// Interpolates feature maps whose pixels have `lanes` values: 1 for NCHW, or those of `isa`. `scratch` has
/// [`InterpolationMap::scratch`] floats for each thread.
///
/// # Panics
/// If a slice has the wrong length.
pub fn interpolate(
    pool: &ThreadPool,
    isa: Isa,
    lanes: usize,
    map: &InterpolationMap,
    x: &[f32],
    scratch: &mut [f32],
    out: &mut [f32],
) {
    let InterpolationMap { rows, columns } = map;
    let (from, to) = (columns.from() * lanes, columns.to() * lanes);
    let input = rows.from() * from;
    let maps = x.len() / input.max(1);
    assert!(lanes == 1 || lanes == isa.lanes());
    assert_eq!((x.len(), out.len()), (maps * input, maps * rows.to() * to));
    // rows are long enough for vectors in any layout; pixels are vectors only in blocks
    let sum_rows: Instance<Rows<'_>> = isa.vector().map_or(Rows::run::<Scalar>, instance::<Rows<'_>>);
    let sum_columns: Instance<Columns<'_>> =
        isa.vector().filter(|_| lanes > 1).map_or(Columns::run::<Scalar>, instance::<Columns<'_>>);
    let (scratch, out) = (Disjoint::new(scratch), Disjoint::new(out));
    runs_with_thread(pool, maps, rows.to(), usize::MAX, |index, line, thread| {
        // SAFETY: each thread has its own part of the scratch
        let between = unsafe { scratch.slice(thread * from, from) };
        let x = &x[index * input..][..input];
        for row in line {
            // SAFETY: a row of this run only
            let out = unsafe { out.slice((index * rows.to() + row) * to, to) };
            let taps = Rows { taps: rows.taps(row), x: x.as_ptr(), len: from, out: between.as_mut_ptr() };
            // SAFETY: the taps are rows of `x`, all of `from` floats, as are those of the scratch
            unsafe { sum_rows(&taps) };
            // SAFETY: the taps are pixels of that row, and the result has as many as the axis
            unsafe { sum_columns(&Columns { axis: columns, x: between.as_ptr(), out: out.as_mut_ptr() }) };
        }
    });
}
