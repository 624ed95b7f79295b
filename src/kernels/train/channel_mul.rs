//! The gradient of per-channel factors: products of two feature maps, summed over their pixels.

use super::feature_maps::FeatureMaps;
use super::instance::instance;
use crate::kernels::aligned::LINE;
use crate::kernels::dispatch::Kernel;
use crate::kernels::simd::Simd;
use crate::kernels::{Isa, Layout, ThreadPool};

/// Independent chains of additions.
const CHAINS: usize = 4;

/// Pixels of two feature maps.
struct Dot {
    /// The first one.
    a: *const f32,
    /// The second one.
    b: *const f32,
    /// Number of pixels.
    pixels: usize,
    /// A vector of results.
    sum: *mut f32,
}

impl Kernel for Dot {
    type Operands = Self;

    /// Sums the products.
    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "iterators are not always inlined")]
    unsafe fn run<S: Simd>(d: &Self) {
        // SAFETY: guaranteed by the caller
        unsafe {
            let mut sums = [S::zero(); CHAINS];
            let mut one = |chain: usize, pixel: usize| {
                let at = pixel * S::LANES;
                sums[chain] = S::fma(S::load(d.a.add(at)), S::load(d.b.add(at)), sums[chain]);
            };
            let whole = d.pixels - d.pixels % CHAINS;
            let mut pixel = 0;
            while pixel < whole {
                for chain in 0..CHAINS {
                    one(chain, pixel + chain);
                }
                pixel += CHAINS;
            }
            for chain in 0..d.pixels - whole {
                one(chain, whole + chain);
            }
            S::store(d.sum, S::add(S::add(sums[0], sums[1]), S::add(sums[2], sums[3])));
        }
    }
}

/// The sum over the pixels of each feature map of `x * dy`: `[samples, channels, 1, 1]`, in the layout of the operands. Sizes are
/// those of the operands: samples, channels, height, width.
///
/// # Panics
/// If the processor lacks the instruction set of a blocked layout, or a slice has the wrong length.
pub fn sum_plane(pool: &ThreadPool, isa: Isa, layout: Layout, sizes: [usize; 4], x: &[f32], dy: &[f32], out: &mut [f32]) {
    let dot = instance::<Dot>(isa, layout);
    let maps = FeatureMaps::new(layout, sizes);
    let lanes = maps.lanes;
    assert_eq!((x.len(), dy.len(), out.len()), (maps.len(), maps.len(), maps.count() * lanes));
    pool.pieces(out, lanes, |map, out| {
        let map = map * maps.plane * lanes..(map + 1) * maps.plane * lanes;
        let chunks = x[map.clone()].chunks(maps.chunk() * lanes).zip(dy[map].chunks(maps.chunk() * lanes));
        let mut total = [0f64; LINE];
        for (x, dy) in chunks {
            let mut sum = [0.0; LINE];
            let run = Dot { a: x.as_ptr(), b: dy.as_ptr(), pixels: x.len() / lanes, sum: sum.as_mut_ptr() };
            // SAFETY: the processor supports `isa`; all slices hold their vectors
            unsafe { dot(&run) };
            total.iter_mut().zip(sum).take(lanes).for_each(|(total, sum)| *total += f64::from(sum));
        }
        out.iter_mut().zip(total).for_each(|(out, total)| *out = total as f32);
    });
}

#[cfg(test)]
mod tests {
    use super::super::testing::{cases, from_plain, to_plain};
    use super::*;
    use crate::kernels::reference::max_error;

    #[test]
    fn products_are_summed_map_by_map() {
        cases(21, 40, |n, pool, isa, layout, sizes @ [batch, c, h, w]| {
            let (x, dy) = (n.take(batch * c * h * w), n.take(batch * c * h * w));
            let products: Vec<f64> = x.iter().zip(&dy).map(|(&a, &b)| f64::from(a) * f64::from(b)).collect();
            let expected: Vec<f64> = products.chunks(h * w).map(|map| map.iter().sum()).collect();
            let mut out = vec![f32::NAN; layout.len([batch, c, 1, 1]).unwrap()];
            sum_plane(pool, isa, layout, sizes, &from_plain(layout, sizes, &x), &from_plain(layout, sizes, &dy), &mut out);
            assert!(out.iter().all(|v| v.is_finite()));
            assert!(max_error(&to_plain(layout, [batch, c, 1, 1], &out), &expected) < 1e-5, "{isa} {layout:?} {sizes:?}");
        });
    }
}
