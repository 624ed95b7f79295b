//! Values over the Euclidean norm of their place's channels: `y = x / max(norm, eps)`, PyTorch's `F.normalize`.

use super::NormParams;
use super::strips::{Over, PLACES, Walk};
use super::tiles::{PlaceStrip, Tiles};
use crate::kernels::nchwc::runs;
use crate::kernels::simd::Simd;
use crate::kernels::threads::Disjoint;
use crate::kernels::{Isa, Layout, ThreadPool};

/// Places to normalize, or whose gradient is computed.
struct Normalize {
    /// Its epsilon is the smallest norm that is divided by.
    strip: PlaceStrip,
    /// The values; may be `out`.
    x: *const f32,
    /// The gradient of the results; may be `out`. Null to normalize.
    dy: *const f32,
    out: *mut f32,
}

impl Tiles for Normalize {
    fn strip(&self) -> &PlaceStrip {
        &self.strip
    }

    /// The gradient is `(dy - x * sum(x * dy) / norm^2) / norm`, and `dy / eps` where the norm is smaller than that.
    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "iterators are not always inlined")]
    unsafe fn tile<S: Simd, const T: usize>(&self, first: usize) {
        let (s, start) = (&self.strip, first * self.strip.between);
        // SAFETY: guaranteed by the caller
        unsafe {
            let (x, out) = (self.x.add(start), self.out.add(start));
            let squares = s.sums::<S, T, true>(x, &[S::zero(); T]);
            let (mut norms, mut slopes) = ([S::zero(); T], [S::zero(); T]);
            let eps = S::splat(s.eps);
            for t in 0..T {
                norms[t] = S::max(eps, S::sqrt(squares[t]));
            }
            if self.dy.is_null() {
                for vector in 0..s.vectors {
                    for t in 0..T {
                        let at = vector * s.step + t * s.between;
                        S::store(out.add(at), S::div(S::load(x.add(at)), norms[t]));
                    }
                }
                return;
            }
            let dy = self.dy.add(start);
            for vector in 0..s.vectors {
                let mask = if vector + 1 == s.vectors { S::load(s.mask) } else { S::splat(1.0) };
                for t in 0..T {
                    let at = vector * s.step + t * s.between;
                    slopes[t] = S::fma(S::mul(S::load(x.add(at)), mask), S::load(dy.add(at)), slopes[t]);
                }
            }
            s.total::<S, T>(&mut slopes);
            for t in 0..T {
                // a norm below the smallest one is constant
                slopes[t] = S::select(S::less_equal(S::mul(eps, eps), squares[t]), S::div(slopes[t], squares[t]), S::zero());
            }
            for vector in 0..s.vectors {
                for t in 0..T {
                    let at = vector * s.step + t * s.between;
                    let d = S::fnma(S::load(x.add(at)), slopes[t], S::load(dy.add(at)));
                    S::store(out.add(at), S::div(d, norms[t]));
                }
            }
        }
    }
}

/// `out = x / max(norm, eps)`, or with `dy` the gradient of `x`. An operand is `None` if it is already in `out`: `x` of the values,
/// and either one of the gradient.
///
/// # Panics
/// If the processor lacks the instruction set of a blocked layout, or a slice has the wrong length.
pub fn l2_norm(
    pool: &ThreadPool,
    isa: Isa,
    layout: Layout,
    sizes: [usize; 4],
    eps: f64,
    x: Option<&[f32]>,
    dy: Option<Option<&[f32]>>,
    out: &mut [f32],
) {
    let walk = Walk::new(isa, layout, Over::Channels, sizes);
    let params = NormParams { weight: None, bias: None, eps };
    walk.check(&params, &[x.map(<[f32]>::len), dy.flatten().map(<[f32]>::len), Some(out.len())]);
    let out = Disjoint::new(out);
    runs(pool, walk.samples, walk.unit().1, PLACES, |sample, units| {
        let to = out.pointer(0, walk.len());
        let from = |operand: Option<&[f32]>, at| operand.map_or(to.cast_const(), <[f32]>::as_ptr).wrapping_add(at);
        walk.run::<Normalize>(sample, units, &params, |strip, at| Normalize {
            strip,
            x: from(x, at),
            dy: dy.map_or(std::ptr::null(), |dy| from(dy, at)),
            out: to.wrapping_add(at),
        });
    });
}
