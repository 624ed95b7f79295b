//! The transforms of an output gradient's tile and of the summed points, one vector of channels at a time. The matrices are those
//! of [`crate::kernels::winograd`] for 4x4 tiles, transposed; the input transform is the same.

use std::mem::MaybeUninit;

use crate::kernels::dispatch::Kernel;
use crate::kernels::simd::Simd;
use crate::kernels::winograd::transform::InputTile;

/// Outputs per row of a tile.
const SIDE: usize = 4;
/// Points per row of a tile.
const REACH: usize = 6;

/// `A e`: the transpose of the output transform.
///
/// # Safety
/// The processor supports `S`.
#[inline(always)]
unsafe fn times_a<S: Simd>(e: [S::V; SIDE]) -> [S::V; REACH] {
    // SAFETY: guaranteed by the caller
    unsafe {
        let two = S::splat(2.0);
        let (s, t) = (S::splat(std::f32::consts::FRAC_1_SQRT_2), S::splat(std::f32::consts::SQRT_2));
        let (even_s, odd_s) = (S::fma(two, e[0], e[2]), S::mul(s, S::fma(two, e[1], e[3])));
        let (even_t, odd_t) = (S::fma(two, e[2], e[0]), S::mul(t, S::fma(two, e[3], e[1])));
        [e[0], S::add(even_s, odd_s), S::sub(even_s, odd_s), S::add(even_t, odd_t), S::sub(even_t, odd_t), e[3]]
    }
}

/// `G^T m`: the transpose of the filter transform.
///
/// # Safety
/// The processor supports `S`.
#[inline(always)]
unsafe fn times_g_transposed<S: Simd>(m: &[S::V; REACH]) -> [S::V; 3] {
    // SAFETY: guaranteed by the caller
    unsafe {
        let (third, sixth) = (S::splat(1.0 / 3.0), S::splat(1.0 / 6.0));
        let odd = S::splat(std::f32::consts::SQRT_2 / 6.0);
        let (even_s, even_t) = (S::add(m[1], m[2]), S::add(m[3], m[4]));
        [
            S::fma(sixth, even_t, S::fnma(third, even_s, m[0])),
            S::mul(odd, S::sub(S::sub(m[3], m[4]), S::sub(m[1], m[2]))),
            S::fma(third, even_t, S::fnma(sixth, even_s, m[5])),
        ]
    }
}

/// The transform of a tile of the output gradient.
pub(super) struct GradientTransform;

impl Kernel for GradientTransform {
    type Operands = InputTile;

    /// Transforms a tile of the output gradient, `A e A^T`. The fields are used as for an input tile, with 4 rows and columns; values
    /// outside of the feature map count as zero.
    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "iterators over arrays of vectors become copies in memory")]
    unsafe fn run<S: Simd>(t: &InputTile) {
        // SAFETY: guaranteed by the caller, for every access below
        unsafe {
            let ([top, bottom], [left, right]) = (t.rows, t.columns);
            let whole = top == 0 && left == 0 && bottom == SIDE && right == SIDE;
            let mut patch = [[MaybeUninit::<S::V>::uninit(); SIDE]; SIDE];
            if !whole {
                patch = [[MaybeUninit::new(S::zero()); SIDE]; SIDE];
            }
            for block in 0..t.blocks {
                let x = t.x.wrapping_add(block * t.block);
                let (from, row) = if whole {
                    (x, t.row)
                } else {
                    for i in top..bottom {
                        for j in left..right {
                            patch[i][j].write(S::load(x.wrapping_add(i * t.row + j * S::LANES)));
                        }
                    }
                    (patch.as_ptr().cast::<f32>(), SIDE * S::LANES)
                };
                if !t.next.is_null() {
                    for i in 0..SIDE {
                        for j in 0..SIDE {
                            S::prefetch(t.next.wrapping_add(block * t.block + i * t.row + j * S::LANES));
                        }
                    }
                }
                let mut half = [[S::zero(); SIDE]; REACH];
                for j in 0..SIDE {
                    let at = |i: usize| from.wrapping_add(i * row + j * S::LANES);
                    let column = times_a::<S>([S::load(at(0)), S::load(at(1)), S::load(at(2)), S::load(at(3))]);
                    for i in 0..REACH {
                        half[i][j] = column[i];
                    }
                }
                let mut to = t.v.add(block * t.v_block);
                for i in 0..REACH {
                    let line = times_a::<S>([half[i][0], half[i][1], half[i][2], half[i][3]]);
                    for j in 0..REACH {
                        S::store(to, line[j]);
                        to = to.wrapping_add(t.v_point);
                    }
                }
            }
        }
    }
}

/// Summed points, for some vectors. Strides are in floats.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sums {
    /// The first vector's first point.
    pub points: *const f32,
    /// Number of contiguous vectors.
    pub vectors: usize,
    /// Stride between points, and between kernel elements.
    pub step: usize,
    /// Destination of the first vector's first kernel element.
    pub elements: *mut f32,
}

impl Kernel for Sums {
    type Operands = Self;

    /// Transforms summed points to kernel elements, `G^T m G`.
    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "iterators over arrays of vectors become copies in memory")]
    unsafe fn run<S: Simd>(s: &Self) {
        // SAFETY: guaranteed by the caller, for every access below
        unsafe {
            for vector in 0..s.vectors {
                let (from, to) = (s.points.add(vector * S::LANES), s.elements.add(vector * S::LANES));
                let mut half = [[S::zero(); REACH]; 3];
                for j in 0..REACH {
                    let mut column = [S::zero(); REACH];
                    for i in 0..REACH {
                        column[i] = S::load(from.add((i * REACH + j) * s.step));
                    }
                    let column = times_g_transposed::<S>(&column);
                    for i in 0..3 {
                        half[i][j] = column[i];
                    }
                }
                for i in 0..3 {
                    let line = times_g_transposed::<S>(&half[i]);
                    for j in 0..3 {
                        S::store(to.add((i * 3 + j) * s.step), line[j]);
                    }
                }
            }
        }
    }
}
