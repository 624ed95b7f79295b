//! The micro-kernel of weight gradients: a sum of outer products, kept in registers.
//!
//! Each pixel adds the product of `R` contiguous values of `x` with `BLOCKS` vectors of `dy`. The caller decides what the values
//! are: channels of a block, or kernel elements of a row in NCHW.

use crate::kernels::simd::Simd;

/// Values of `x` per sum kept in registers: `rows * blocks` is at most the lanes of a vector.
pub(super) fn most_rows(lanes: usize, blocks: usize) -> usize {
    lanes / blocks
}

/// Operands of the micro-kernel. Strides are in floats, for samples, rows and pixels.
#[derive(Clone, Copy, Debug)]
pub(in crate::kernels) struct Outer {
    /// The first of the `R` values of the first pixel.
    pub x: *const f32,
    /// Strides of `x`.
    pub x_steps: [usize; 3],
    /// The first vector of the first pixel.
    pub dy: *const f32,
    /// Strides of `dy`.
    pub dy_steps: [usize; 3],
    /// Stride between blocks of `dy`.
    pub dy_block: usize,
    /// Number of samples, rows, pixels.
    pub counts: [usize; 3],
    /// The sums, `[R][BLOCKS * LANES]`.
    pub sums: *mut f32,
}

/// An instance of [`outer`] in a function compiled for its instruction set.
pub(in crate::kernels) type OuterFn = unsafe fn(&Outer);

/// See the module documentation.
///
/// # Safety
/// The processor supports `S`; all pointers are valid for the given sizes.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "iterators are not always inlined, and a call spills every accumulator")]
pub(in crate::kernels) unsafe fn outer<S: Simd, const R: usize, const BLOCKS: usize>(o: &Outer) {
    let [samples, rows, pixels] = o.counts;
    // SAFETY: guaranteed by the caller, for every access below
    unsafe {
        // nested sums have smaller rounding errors than one long sum
        let mut sums = [[S::zero(); BLOCKS]; R];
        for sample in 0..samples {
            for row in 0..rows {
                let mut x = o.x.add(sample * o.x_steps[0] + row * o.x_steps[1]);
                let mut dy = o.dy.add(sample * o.dy_steps[0] + row * o.dy_steps[1]);
                for _ in 0..pixels {
                    let mut d = [S::zero(); BLOCKS];
                    for b in 0..BLOCKS {
                        d[b] = S::load(dy.add(b * o.dy_block));
                    }
                    for r in 0..R {
                        let v = S::splat(*x.add(r));
                        for b in 0..BLOCKS {
                            sums[r][b] = S::fma(v, d[b], sums[r][b]);
                        }
                    }
                    x = x.wrapping_add(o.x_steps[2]);
                    dy = dy.wrapping_add(o.dy_steps[2]);
                }
            }
        }
        for r in 0..R {
            for b in 0..BLOCKS {
                let to = o.sums.add((r * BLOCKS + b) * S::LANES);
                S::store(to, S::add(S::load(to), sums[r][b]));
            }
        }
    }
}
