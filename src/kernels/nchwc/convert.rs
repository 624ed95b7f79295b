//! Conversion between NCHW and blocked layout.

use super::{runs, vector};
use crate::kernels::dispatch::{Kernel, instance};
use crate::kernels::isa::Isa;
use crate::kernels::simd::Simd;
use crate::kernels::threads::{Disjoint, ThreadPool};

/// Transposes a row of `LANES x LANES` squares.
struct Transpose {
    /// The first square.
    from: *const f32,
    /// Row stride of a source square.
    from_step: usize,
    /// Stride between source squares.
    from_next: usize,
    /// The destination of the first square.
    to: *mut f32,
    /// Row stride of a destination square.
    to_step: usize,
    /// Stride between destination squares.
    to_next: usize,
    /// Number of squares.
    count: usize,
}

impl Kernel for Transpose {
    type Operands = Self;

    #[inline(always)]
    unsafe fn run<S: Simd>(s: &Self) {
        for i in 0..s.count {
            // SAFETY: guaranteed by the caller
            unsafe { S::transpose(s.from.add(i * s.from_next), s.from_step, s.to.add(i * s.to_next), s.to_step) }
        }
    }
}

/// Converts a value `[samples, channels, height, width]` to the blocked layout (`to_blocked`; the tail of the last block becomes
/// zero), or from blocked to NCHW.
///
/// # Panics
/// If the instruction set has no kernels, or a slice has the wrong length.
pub fn convert(pool: &ThreadPool, isa: Isa, [n, c, h, w]: [usize; 4], to_blocked: bool, x: &[f32], out: &mut [f32]) {
    let isa = vector(isa);
    let lanes = isa.lanes();
    let transpose = instance::<Transpose>(isa);
    let (plane, blocks) = (h * w, c.div_ceil(lanes));
    let (plain, blocked) = (n * c * plane, n * blocks * lanes * plane);
    assert_eq!((x.len(), out.len()), if to_blocked { (plain, blocked) } else { (blocked, plain) });
    let out = Disjoint::new(out);
    runs(pool, n * blocks, plane, plane, |map, pixels| {
        let (sample, block) = (map / blocks, map % blocks);
        let valid = lanes.min(c - block * lanes);
        let count = pixels.len();
        // whole squares are transposed in registers; the remaining pixels, and blocks with a tail, element by element
        let squares = if valid == lanes { count / lanes } else { 0 };
        let rest = squares * lanes;
        let in_plain = (sample * c + block * lanes) * plane + pixels.start;
        let in_blocked = (map * plane + pixels.start) * lanes;
        if to_blocked {
            // SAFETY: pixels of this run only
            let to = unsafe { out.slice(in_blocked, count * lanes) };
            let from = &x[in_plain..][..(valid - 1) * plane + count];
            let row = Transpose {
                from: from.as_ptr(),
                from_step: plane,
                from_next: lanes,
                to: to.as_mut_ptr(),
                to_step: lanes,
                to_next: lanes * lanes,
                count: squares,
            };
            // SAFETY: the processor supports `isa`; if there is a square at all, `from` and `to` hold
            // the pixels of `lanes` planes
            unsafe { transpose(&row) };
            for (pixel, to) in to.chunks_exact_mut(lanes).enumerate().skip(rest) {
                to[valid..].fill(0.0);
                to[..valid].iter_mut().zip(from[pixel..].iter().step_by(plane)).for_each(|(t, &v)| *t = v);
            }
        } else {
            let from = &x[in_blocked..][..count * lanes];
            let row = Transpose {
                from: from.as_ptr(),
                from_step: lanes,
                from_next: lanes * lanes,
                to: out.pointer(in_plain, (valid - 1) * plane + count),
                to_step: plane,
                to_next: lanes,
                count: squares,
            };
            // SAFETY: as above; other runs write other pixels of these planes
            unsafe { transpose(&row) };
            for lane in 0..valid {
                // SAFETY: pixels of this run only
                let to = unsafe { out.slice(in_plain + lane * plane + rest, count - rest) };
                to.iter_mut().zip(from[rest * lanes..].iter().skip(lane).step_by(lanes)).for_each(|(t, &v)| *t = v);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::reference::{Numbers, blocked, plain};

    #[test]
    fn there_and_back() {
        for isa in Isa::ALL.into_iter().filter(|isa| isa.vector().is_some()) {
            let lanes = isa.lanes();
            let mut n = Numbers::new(3);
            for _ in 0..60 {
                let sizes @ [batch, c, h, w] = [1 + n.below(3), 1 + n.below(50), 1 + n.below(12), 1 + n.below(12)];
                let x = n.take(batch * c * h * w);
                let pool = ThreadPool::new(1 + n.below(3)).unwrap();
                let mut there = vec![f32::NAN; batch * c.next_multiple_of(lanes) * h * w];
                convert(&pool, isa, sizes, true, &x, &mut there);
                let mut expected = blocked(&x, sizes, lanes);
                // the reference fills tails with a marker value
                expected.iter_mut().for_each(|v| *v = if *v == 3.5 { 0.0 } else { *v });
                assert_eq!(there, expected, "{isa} {sizes:?}");
                let mut back = vec![f32::NAN; x.len()];
                convert(&pool, isa, sizes, false, &blocked(&x, sizes, lanes), &mut back);
                assert_eq!(back, x, "{isa} {sizes:?}");
                assert_eq!(plain(&there, sizes, lanes), x);
            }
        }
    }
}
