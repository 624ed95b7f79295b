//! The transforms of a tile, for one block of channels at a time.
//!
//! Each transform runs over the columns and then the rows. What the pair of points ±a has in common is computed once, from the
//! even and the odd powers.

use std::marker::PhantomData;
use std::mem::MaybeUninit;

use super::size::Size;
use crate::kernels::clamp::Clamp;
use crate::kernels::dispatch::{Instance, Kernel, instance};
use crate::kernels::isa::VectorIsa;
use crate::kernels::simd::Simd;

/// An input tile of several blocks of channels. Strides are in floats.
#[derive(Clone, Copy, Debug)]
pub(in crate::internal::kernels) struct InputTile {
    /// The tile's first pixel, which may be outside of the feature map: see `rows` and `columns`.
    pub x: *const f32,
    /// Row stride.
    pub row: usize,
    /// Block stride.
    pub block: usize,
    /// Number of blocks.
    pub blocks: usize,
    /// The tile's rows that are inside the feature map: first and end.
    pub rows: [usize; 2],
    /// The tile's columns that are inside the feature map: first and end.
    pub columns: [usize; 2],
    /// The tile's first point.
    pub v: *mut f32,
    /// Block stride in `v`.
    pub v_block: usize,
    /// Point stride in `v`.
    pub v_point: usize,
    /// A tile with the same layout to prefetch; null for none.
    pub next: *const f32,
}

/// An output tile of one block of channels. Strides are in floats.
#[derive(Clone, Copy, Debug)]
pub(in crate::internal::kernels) struct OutputTile {
    /// The tile's first point.
    pub m: *const f32,
    /// Point stride in `m`.
    pub m_point: usize,
    /// The bias of the block's channels; null for none.
    pub bias: *const f32,
    /// Added before the activation, with the layout of the output (and possibly the output itself); null for none.
    pub residual: *const f32,
    /// Applied last.
    pub clamp: Clamp,
    /// The first output pixel.
    pub out: *mut f32,
    /// Row stride of the output.
    pub row: usize,
    /// Number of rows inside the feature map.
    pub rows: usize,
    /// Number of columns inside the feature map.
    pub columns: usize,
}

/// The weights of some channels of a unit, as the direct convolution packs them
/// ([`pack`](crate::kernels::nchwc::pack)): `[block][kernel element][channel of the block][output channel]`. Strides are in floats.
#[derive(Clone, Copy, Debug)]
pub(super) struct FilterBlocks {
    /// The first block.
    pub weight: *const f32,
    /// Number of blocks of input channels.
    pub blocks: usize,
    /// Vectors of output channels: 1 or 2.
    pub width: usize,
    /// A row of `G`: the points of the tile's row that it makes are transformed.
    pub row: [f32; 3],
    /// Point stride in `u`.
    pub u_point: usize,
    /// The transformed weights: for each point of the row `[input channel][output channel]`.
    pub u: *mut f32,
}

/// The one-dimensional transforms: `M` results from `T` points.
///
/// # Safety
/// For both functions: the processor supports `S`.
#[allow(clippy::missing_safety_doc, reason = "one contract for both, stated above")]
trait Points<const M: usize, const T: usize> {
    /// `B^T d`.
    unsafe fn input<S: Simd>(d: &[S::V; T]) -> [S::V; T];
    /// `A^T m`.
    unsafe fn output<S: Simd>(m: [S::V; T]) -> [S::V; M];
    /// `G g`, for three rows of kernel elements.
    unsafe fn filter<S: Simd>(g: [S::V; 3]) -> [S::V; T];
}

/// Points 0, 1, -1, infinity.
struct F2;

impl Points<2, 4> for F2 {
    #[inline(always)]
    unsafe fn input<S: Simd>(d: &[S::V; 4]) -> [S::V; 4] {
        // SAFETY: guaranteed by the caller
        unsafe { [S::sub(d[0], d[2]), S::add(d[1], d[2]), S::sub(d[2], d[1]), S::sub(d[3], d[1])] }
    }

    #[inline(always)]
    unsafe fn filter<S: Simd>(g: [S::V; 3]) -> [S::V; 4] {
        // SAFETY: guaranteed by the caller
        unsafe {
            let half = S::splat(0.5);
            let even = S::mul(half, S::add(g[0], g[2]));
            [g[0], S::fma(half, g[1], even), S::fnma(half, g[1], even), g[2]]
        }
    }

    #[inline(always)]
    unsafe fn output<S: Simd>(m: [S::V; 4]) -> [S::V; 2] {
        // SAFETY: guaranteed by the caller
        unsafe { [S::add(m[0], S::add(m[1], m[2])), S::add(m[3], S::sub(m[1], m[2]))] }
    }
}

/// Points 0, ±√½, ±√2, infinity. `M(x) = x (x² - ½) (x² - 2) = x⁵ - 2.5 x³ + x`.
struct F4;

impl Points<4, 6> for F4 {
    /// The coefficients of `M(x) / (x - a)` for each point `a`, and of `M(x)`. For a = ±√½ they are
    /// `(x⁴ - 2 x²) + a (x³ - 2 x)`, for a = ±√2 `(x⁴ - ½ x²) + a (x³ - ½ x)`.
    #[inline(always)]
    unsafe fn input<S: Simd>(d: &[S::V; 6]) -> [S::V; 6] {
        // SAFETY: guaranteed by the caller
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

    #[inline(always)]
    unsafe fn filter<S: Simd>(g: [S::V; 3]) -> [S::V; 6] {
        // SAFETY: guaranteed by the caller
        unsafe {
            let (third, sixth) = (S::splat(1.0 / 3.0), S::splat(1.0 / 6.0));
            let s = S::splat(std::f32::consts::FRAC_1_SQRT_2 / 3.0);
            let t = S::splat(std::f32::consts::SQRT_2 / 6.0);
            // without the sign
            let even_s = S::fma(third, g[0], S::mul(sixth, g[2]));
            let even_t = S::fma(sixth, g[0], S::mul(third, g[2]));
            let (plus_s, minus_s) = (S::fma(s, g[1], even_s), S::fnma(s, g[1], even_s));
            let zero = S::zero();
            [g[0], S::sub(zero, plus_s), S::sub(zero, minus_s), S::fma(t, g[1], even_t), S::fnma(t, g[1], even_t), g[2]]
        }
    }

    /// The powers 0 to 3 of each point. Those of ±√½ are doubled, so that most factors are 1 or shared: `2 √½ = √2`.
    #[inline(always)]
    unsafe fn output<S: Simd>(m: [S::V; 6]) -> [S::V; 4] {
        // SAFETY: guaranteed by the caller
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

/// Transforms an input tile: `B^T d B`.
struct InputTransform<P, const M: usize, const T: usize>(PhantomData<P>);

impl<P: Points<M, T>, const M: usize, const T: usize> Kernel for InputTransform<P, M, T> {
    type Operands = InputTile;

    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "iterators over arrays of vectors become copies in memory")]
    unsafe fn run<S: Simd>(t: &InputTile) {
        // SAFETY: guaranteed by the caller, for every access below
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
                    // the next tile to the right starts with the last two columns of this one
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
}

/// Transforms a tile of products, `A^T m A`, and stores the part inside the feature map.
struct OutputTransform<P, const M: usize, const T: usize>(PhantomData<P>);

impl<P: Points<M, T>, const M: usize, const T: usize> Kernel for OutputTransform<P, M, T> {
    type Operands = OutputTile;

    #[inline(always)]
    unsafe fn run<S: Simd>(t: &OutputTile) {
        // SAFETY: guaranteed by the caller, for every access below
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
                    S::store(t.out.add(at), t.clamp.apply::<S>(v));
                }
            }
        }
    }
}

/// Transforms the weights of a unit for a row of points: that row of `G g G^T`.
struct FilterTransform<P, const M: usize, const T: usize>(PhantomData<P>);

impl<P: Points<M, T>, const M: usize, const T: usize> Kernel for FilterTransform<P, M, T> {
    type Operands = FilterBlocks;

    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "iterators over arrays of vectors become copies in memory")]
    unsafe fn run<S: Simd>(t: &FilterBlocks) {
        let channel = t.width * S::LANES;
        // between kernel elements
        let element = S::LANES * channel;
        // SAFETY: guaranteed by the caller, for every access below
        unsafe {
            let (a, b, c) = (S::splat(t.row[0]), S::splat(t.row[1]), S::splat(t.row[2]));
            for block in 0..t.blocks {
                let from = t.weight.add(block * 9 * element);
                let to = t.u.add(block * element);
                let mut at = 0;
                while at < element {
                    let mut half = [S::zero(); 3];
                    for j in 0..3 {
                        let last = S::mul(c, S::load(from.add((6 + j) * element + at)));
                        let lower = S::fma(b, S::load(from.add((3 + j) * element + at)), last);
                        half[j] = S::fma(a, S::load(from.add(j * element + at)), lower);
                    }
                    let line = P::filter::<S>(half);
                    for j in 0..T {
                        S::store(to.add(j * t.u_point + at), line[j]);
                    }
                    at += S::LANES;
                }
            }
        }
    }
}

/// The transform of input tiles.
pub(in crate::internal::kernels) fn input(isa: VectorIsa, size: Size) -> Instance<InputTile> {
    match size {
        Size::F2 => instance::<InputTransform<F2, 2, 4>>(isa),
        Size::F4 => instance::<InputTransform<F4, 4, 6>>(isa),
    }
}

/// The transform of output tiles.
pub(super) fn output(isa: VectorIsa, size: Size) -> Instance<OutputTile> {
    match size {
        Size::F2 => instance::<OutputTransform<F2, 2, 4>>(isa),
        Size::F4 => instance::<OutputTransform<F4, 4, 6>>(isa),
    }
}

/// The transform of weights.
pub(super) fn filter(isa: VectorIsa, size: Size) -> Instance<FilterBlocks> {
    match size {
        Size::F2 => instance::<FilterTransform<F2, 2, 4>>(isa),
        Size::F4 => instance::<FilterTransform<F4, 4, 6>>(isa),
    }
}
