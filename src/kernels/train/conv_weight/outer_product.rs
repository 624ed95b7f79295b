//! The micro-kernel of weight gradients: a sum of outer products, kept in registers.
//!
//! Each pixel adds the product of `R` contiguous values of `x` with `BLOCKS` vectors of `dy`. The caller decides what the values
//! are: channels of a block, or kernel elements of a row in NCHW.

use crate::kernels::dispatch::{self, Instance, Kernel};
use crate::kernels::isa::VectorIsa;
use crate::kernels::simd::Simd;

/// The most vectors of `dy`: with 16 registers, twelve sums, three vectors and a value of `x`, which hide the latency of a
/// multiply-add twice over.
pub(super) fn most_blocks(lanes: usize) -> usize {
    if lanes <= 8 { 3 } else { 2 }
}

/// Values of `x` per sum kept in registers, a divisor of the lanes.
pub(super) fn most_rows(lanes: usize, blocks: usize) -> usize {
    lanes / blocks.next_power_of_two().min(2)
}

/// Operands of the micro-kernel. Strides are in floats, for samples, rows and pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outer {
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

/// The micro-kernel for `R` values and `BLOCKS` vectors; see the module documentation.
struct OuterProduct<const R: usize, const BLOCKS: usize>;

impl<const R: usize, const BLOCKS: usize> Kernel for OuterProduct<R, BLOCKS> {
    type Operands = Outer;

    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "iterators are not always inlined, and a call spills every accumulator")]
    unsafe fn run<S: Simd>(o: &Outer) {
        let [samples, rows, pixels] = o.counts;
        // from behind a row to the next one, and from behind a sample's rows to the next sample
        let next_row = [o.x_steps, o.dy_steps].map(|steps| steps[1].wrapping_sub(pixels * steps[2]));
        let next_sample = [o.x_steps, o.dy_steps].map(|steps| steps[0].wrapping_sub(rows * steps[1]));
        // SAFETY: guaranteed by the caller, for every access below
        unsafe {
            // nested sums have smaller rounding errors than one long sum
            let mut sums = [[S::zero(); BLOCKS]; R];
            let (mut x, mut dy) = (o.x, o.dy);
            // one loop, as the compiler moves sums between registers around nested ones
            let (mut pixel, mut row, mut left) = (pixels, rows, samples * rows * pixels);
            while left > 0 {
                let mut d = [S::zero(); BLOCKS];
                for b in 0..BLOCKS {
                    d[b] = S::load(dy.add(b * o.dy_block));
                }
                for group in 0..R / S::FACTORS {
                    let v = S::factors(x.add(group * S::FACTORS));
                    for k in 0..S::FACTORS {
                        let r = group * S::FACTORS + k;
                        for b in 0..BLOCKS {
                            sums[r][b] = S::settle(S::fma_factor(v, k, d[b], sums[r][b]));
                        }
                    }
                }
                for r in R / S::FACTORS * S::FACTORS..R {
                    let v = S::splat(*x.add(r));
                    for b in 0..BLOCKS {
                        sums[r][b] = S::fma(v, d[b], sums[r][b]);
                    }
                }
                x = x.wrapping_add(o.x_steps[2]);
                dy = dy.wrapping_add(o.dy_steps[2]);
                left -= 1;
                pixel -= 1;
                if pixel == 0 {
                    pixel = pixels;
                    x = x.wrapping_add(next_row[0]);
                    dy = dy.wrapping_add(next_row[1]);
                    row -= 1;
                    if row == 0 {
                        row = rows;
                        x = x.wrapping_add(next_sample[0]);
                        dy = dy.wrapping_add(next_sample[1]);
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
}

/// The micro-kernel for `rows` values and `blocks` vectors. `None` if they are more than [`most_rows`] and [`most_blocks`].
pub(super) fn choose(isa: VectorIsa, rows: usize, blocks: usize) -> Option<Instance<Outer>> {
    /// The instances for the listed sizes.
    #[allow(unused_macros, reason = "an architecture may have none")]
    macro_rules! sizes {
        ($instance:ident, [$($rows:literal x $blocks:literal),* $(,)?]) => {
            match (rows, blocks) {
                $(($rows, $blocks) => Some(dispatch::$instance::<OuterProduct<$rows, $blocks>>),)*
                _ => None,
            }
        };
    }
    match isa {
        #[cfg(target_arch = "x86_64")]
        VectorIsa::Avx2 => {
            sizes!(avx2, [1 x 1, 2 x 1, 3 x 1, 4 x 1, 5 x 1, 6 x 1, 7 x 1, 8 x 1, 1 x 2, 2 x 2, 3 x 2, 4 x 2, 1 x 3, 2 x 3, 3 x 3, 4 x 3])
        }
        #[cfg(target_arch = "x86_64")]
        VectorIsa::Avx512 => sizes!(
            avx512,
            [
                1 x 1, 2 x 1, 3 x 1, 4 x 1, 5 x 1, 6 x 1, 7 x 1, 8 x 1, 9 x 1, 10 x 1, 11 x 1, 12 x 1, 13 x 1, 14 x 1, 15 x 1, 16 x 1,
                1 x 2, 2 x 2, 3 x 2, 4 x 2, 5 x 2, 6 x 2, 7 x 2, 8 x 2,
            ]
        ),
        #[cfg(target_arch = "aarch64")]
        VectorIsa::Neon => {
            sizes!(neon, [1 x 1, 2 x 1, 3 x 1, 4 x 1, 5 x 1, 6 x 1, 7 x 1, 8 x 1, 1 x 2, 2 x 2, 3 x 2, 4 x 2, 1 x 3, 2 x 3, 3 x 3, 4 x 3])
        }
    }
}
