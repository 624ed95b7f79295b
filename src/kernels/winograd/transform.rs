//! The transforms of one tile, on a block of channels at a time.
//!
//! Each goes over the columns, then over the rows; what the two share of a pair of points ±a is computed once, from the even
//! and the odd powers.

use std::mem::MaybeUninit;

use super::super::simd::Simd;
use super::super::tile::Clamp;

/// A tile of input, of some blocks of channels. Steps are in floats.
#[derive(Clone, Copy, Debug)]
pub(in crate::kernels) struct InputTile {
    /// The tile's first pixel; outside of the map where `rows` or `columns` say so.
    pub x: *const f32,
    /// From a row to the next.
    pub row: usize,
    /// From a block to the next.
    pub block: usize,
    /// How many.
    pub blocks: usize,
    /// The first row of the tile that lies in the map, and the first behind it that does not.
    pub rows: [usize; 2],
    /// Likewise for columns.
    pub columns: [usize; 2],
    /// The tile's first point.
    pub v: *mut f32,
    /// From a block to the next.
    pub v_block: usize,
    /// From a point to the next.
    pub v_point: usize,
    /// A tile to have brought near meanwhile, laid out as this one; null for none.
    pub next: *const f32,
}

/// A tile of results, of one block of channels. Steps are in floats.
#[derive(Clone, Copy, Debug)]
pub(in crate::kernels) struct OutputTile {
    /// The tile's first point.
    pub m: *const f32,
    /// From a point to the next.
    pub m_point: usize,
    /// The bias of the block's channels; null for none.
    pub bias: *const f32,
    /// Added before the activation, laid out as the results (and may be they); null for none.
    pub residual: *const f32,
    /// Applied last.
    pub clamp: Clamp,
    /// The first result.
    pub out: *mut f32,
    /// From a row of results to the next.
    pub row: usize,
    /// Rows that lie in the map.
    pub rows: usize,
    /// Columns that lie in the map.
    pub columns: usize,
}

/// The transforms of one size, compiled for one instruction set.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Transforms {
    /// [`input`]
    pub input: unsafe fn(&InputTile),
    /// [`output`]
    pub output: unsafe fn(&OutputTile),
}

/// The transforms of one dimension: `M` results from `T` points.
///
/// # Safety
/// Of both functions: the processor has `S`.
#[allow(clippy::missing_safety_doc, reason = "one contract for both, stated above")]
pub(in crate::kernels) trait Points<const M: usize, const T: usize> {
    /// `B^T d`.
    unsafe fn input<S: Simd>(d: &[S::V; T]) -> [S::V; T];
    /// `A^T m`.
    unsafe fn output<S: Simd>(m: [S::V; T]) -> [S::V; M];
}

/// Points 0, 1, -1, infinity.
pub(in crate::kernels) struct F2;

impl Points<2, 4> for F2 {
    #[inline(always)]
    unsafe fn input<S: Simd>(d: &[S::V; 4]) -> [S::V; 4] {
        // SAFETY: the caller's
        unsafe { [S::sub(d[0], d[2]), S::add(d[1], d[2]), S::sub(d[2], d[1]), S::sub(d[3], d[1])] }
    }

    #[inline(always)]
    unsafe fn output<S: Simd>(m: [S::V; 4]) -> [S::V; 2] {
        // SAFETY: the caller's
        unsafe { [S::add(m[0], S::add(m[1], m[2])), S::add(m[3], S::sub(m[1], m[2]))] }
    }
}

/// Points 0, ±√½, ±√2, infinity. `M(x) = x (x² - ½) (x² - 2) = x⁵ - 2.5 x³ + x`.
pub(in crate::kernels) struct F4;

impl Points<4, 6> for F4 {
    /// The coefficients of `M(x) / (x - a)` for each point `a`, and of `M(x)`. For a = ±√½ they are
    /// `(x⁴ - 2 x²) + a (x³ - 2 x)`, for a = ±√2 `(x⁴ - ½ x²) + a (x³ - ½ x)`.
    #[inline(always)]
    unsafe fn input<S: Simd>(d: &[S::V; 6]) -> [S::V; 6] {
        // SAFETY: the caller's
        unsafe {
            let (half, two, sum) = (S::splat(0.5), S::splat(2.0), S::splat(2.5));
            let (s, t) = (S::splat(std::f32::consts::FRAC_1_SQRT_2), S::splat(std::f32::consts::SQRT_2));
            let (even_s, odd_s) = (S::fnma(two, d[2], d[4]), S::fnma(two, d[1], d[3]));
            let (even_t, odd_t) = (S::fnma(half, d[2], d[4]), S::fnma(half, d[1], d[3]));
            [
                S::fnma(sum, d[2], S::add(d[0], d[4])),
                S::fma(s, odd_s, even_s),
                S::fnma(s, odd_s, even_s),
                S::fma(t, odd_t, even_t),
                S::fnma(t, odd_t, even_t),
                S::fnma(sum, d[3], S::add(d[1], d[5])),
            ]
        }
    }

    /// The powers 0 to 3 of each point; those of ±√½ doubled, which makes most factors 1 or a shared one: `2 √½ = √2`.
    #[inline(always)]
    unsafe fn output<S: Simd>(m: [S::V; 6]) -> [S::V; 4] {
        // SAFETY: the caller's
        unsafe {
            let (two, four) = (S::splat(2.0), S::splat(4.0));
            let (s, t) = (S::splat(std::f32::consts::FRAC_1_SQRT_2), S::splat(std::f32::consts::SQRT_2));
            let (even_s, odd_s) = (S::add(m[1], m[2]), S::sub(m[1], m[2]));
            let (even_t, odd_t) = (S::add(m[3], m[4]), S::sub(m[3], m[4]));
            [
                S::fma(two, even_s, S::add(m[0], even_t)),
                S::mul(t, S::add(odd_s, odd_t)),
                S::fma(two, even_t, even_s),
                S::fma(s, S::fma(four, odd_t, odd_s), m[5]),
            ]
        }
    }
}

/// Transforms a tile of input: `B^T d B`.
///
/// # Safety
/// The processor has `S`; the pointers are valid for what the sizes say, `x` for the rows and columns that lie in the map.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "iterators over arrays of vectors become copies in memory")]
pub(in crate::kernels) unsafe fn input<S: Simd, P: Points<M, T>, const M: usize, const T: usize>(t: &InputTile) {
    // SAFETY: the caller's, for every access below
    unsafe {
        let ([top, bottom], [left, right]) = (t.rows, t.columns);
        let whole = top == 0 && left == 0 && bottom == T && right == T;
        let mut patch = [[MaybeUninit::<S::V>::uninit(); T]; T];
        if !whole {
            patch = [[MaybeUninit::new(S::zero()); T]; T];
        }
        for block in 0..t.blocks {
            let x = t.x.wrapping_add(block * t.block);
            let (from, row) = if whole {
                (x, t.row)
            } else {
                for (i, line) in patch.iter_mut().enumerate().take(bottom).skip(top) {
                    for (j, v) in line.iter_mut().enumerate().take(right).skip(left) {
                        v.write(S::load(x.wrapping_add(i * t.row + j * S::LANES)));
                    }
                }
                (patch.as_ptr().cast::<f32>(), T * S::LANES)
            };
            if !t.next.is_null() {
                // the next tile to the right begins with this one's last two columns
                for i in 0..T {
                    for j in 2..T {
                        S::prefetch(t.next.wrapping_add(block * t.block + i * t.row + j * S::LANES));
                    }
                }
            }
            let mut half = [[S::zero(); T]; T];
            for j in 0..T {
                let mut column = [S::zero(); T];
                for i in 0..T {
                    column[i] = S::load(from.add(i * row + j * S::LANES));
                }
                let column = P::input::<S>(&column);
                for i in 0..T {
                    half[i][j] = column[i];
                }
            }
            let mut to = t.v.add(block * t.v_block);
            for i in 0..T {
                let line = P::input::<S>(&half[i]);
                for j in 0..T {
                    S::store(to, line[j]);
                    to = to.wrapping_add(t.v_point);
                }
            }
        }
    }
}

/// Transforms a tile of products, `A^T m A`, and stores what lies in the map.
///
/// # Safety
/// The processor has `S`; the pointers are valid for what the sizes say, results and residual for the rows and columns that
/// lie in the map.
#[inline(always)]
pub(in crate::kernels) unsafe fn output<S: Simd, P: Points<M, T>, const M: usize, const T: usize>(t: &OutputTile) {
    // SAFETY: the caller's, for every access below
    unsafe {
        let mut half = [[S::zero(); T]; M];
        for j in 0..T {
            let mut column = [S::zero(); T];
            for (i, v) in column.iter_mut().enumerate() {
                *v = S::load(t.m.add((i * T + j) * t.m_point));
            }
            for (line, v) in half.iter_mut().zip(P::output::<S>(column)) {
                line[j] = v;
            }
        }
        let bias = if t.bias.is_null() { S::zero() } else { S::load(t.bias) };
        for (i, &line) in half.iter().enumerate().take(t.rows) {
            for (j, v) in P::output::<S>(line).into_iter().enumerate().take(t.columns) {
                let at = i * t.row + j * S::LANES;
                let mut v = S::add(v, bias);
                if !t.residual.is_null() {
                    v = S::add(v, S::load(t.residual.add(at)));
                }
                if t.clamp == Clamp::Relu {
                    v = S::relu(v);
                }
                S::store(t.out.add(at), v);
            }
        }
    }
}
