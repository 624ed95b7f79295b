//! Per-channel scale, or scale and shift.

use super::{runs, vector};
use crate::kernels::clamp::Clamp;
use crate::kernels::dispatch::{Kernel, instance};
use crate::kernels::elementwise::apply;
use crate::kernels::isa::Isa;
use crate::kernels::simd::Simd;
use crate::kernels::threads::{Disjoint, ThreadPool};
use crate::kernels::{Activation, aligned::LINE};

/// Pixels of one block, and their scale and shift.
struct ScaleShift {
    /// The pixels; may be `out`.
    x: *const f32,
    /// Number of pixels.
    pixels: usize,
    /// One factor per channel.
    scale: *const f32,
    /// One summand per channel; null for none.
    shift: *const f32,
    /// Applied last.
    clamp: Clamp,
    /// The results.
    out: *mut f32,
}

impl Kernel for ScaleShift {
    type Operands = Self;

    #[inline(always)]
    unsafe fn run<S: Simd>(s: &Self) {
        // SAFETY: guaranteed by the caller
        unsafe {
            let scale = S::load(s.scale);
            let shift = if s.shift.is_null() { S::zero() } else { S::load(s.shift) };
            for pixel in 0..s.pixels {
                let x = S::load(s.x.add(pixel * S::LANES));
                let v = if s.shift.is_null() { S::mul(x, scale) } else { S::fma(x, scale, shift) };
                S::store(s.out.add(pixel * S::LANES), s.clamp.apply::<S>(v));
            }
        }
    }
}

/// Pixels per run, few enough that a sigmoid still finds them in the L1 cache.
const PIXELS: usize = 256;

/// `out = act(first * scale + shift)`, where feature maps have `plane` pixels; `scale` and `shift` have one value per channel,
/// without padding. `first` is `None` if it is already in `out`.
///
/// # Panics
/// If the instruction set has no kernels, or a slice has the wrong length.
pub fn scale_shift(
    pool: &ThreadPool,
    isa: Isa,
    first: Option<&[f32]>,
    scale: &[f32],
    shift: &[f32],
    plane: usize,
    act: Option<Activation<'_>>,
    out: &mut [f32],
) {
    let lanes = vector(isa).lanes();
    assert_eq!(scale.len(), shift.len());
    let blocks = scale.len().div_ceil(lanes);
    let sample = blocks * lanes * plane;
    let maps = out.len().checked_div(sample).map_or(0, |samples| samples * blocks);
    by_block(pool, isa, first, maps, plane, act, out, |map| {
        let from = map % blocks * lanes;
        let count = lanes.min(scale.len() - from);
        let (mut factors, mut summands) = ([0.0; LINE], [0.0; LINE]);
        factors[..count].copy_from_slice(&scale[from..][..count]);
        summands[..count].copy_from_slice(&shift[from..][..count]);
        (factors, summands, scale.len() - from)
    });
}

/// Scales and shifts each feature map by the values that `of` returns for it, along with the channels that exist from its first
/// one on.
fn by_block(
    pool: &ThreadPool,
    isa: Isa,
    first: Option<&[f32]>,
    maps: usize,
    plane: usize,
    act: Option<Activation<'_>>,
    out: &mut [f32],
    of: impl Fn(usize) -> ([f32; LINE], [f32; LINE], usize) + Sync,
) {
    let isa = vector(isa);
    let lanes = isa.lanes();
    let scale_shift = instance::<ScaleShift>(isa);
    assert_eq!(out.len(), maps * plane * lanes);
    assert!(first.is_none_or(|x| x.len() == out.len()));
    let out = Disjoint::new(out);
    runs(pool, maps, plane, PIXELS, |map, pixels| {
        let (start, len) = ((map * plane + pixels.start) * lanes, pixels.len() * lanes);
        // SAFETY: pixels of this run only
        let out = unsafe { out.slice(start, len) };
        let (scale, shift, channels) = of(map);
        let to = out.as_mut_ptr();
        let run = ScaleShift {
            x: first.map_or(to.cast_const(), |x| x[start..][..len].as_ptr()),
            pixels: pixels.len(),
            scale: scale.as_ptr(),
            shift: shift.as_ptr(),
            clamp: Activation::clamp(act),
            out: to,
        };
        // SAFETY: the processor supports `isa`; operands and results have the length of the run
        unsafe { scale_shift(&run) };
        if let Some(code) = Activation::program(act) {
            apply(isa.into(), code, channels, out);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::nchw::channelwise as reference;
    use crate::kernels::reference::{Numbers, activations, blocked, max_error, plain};

    #[test]
    fn agree_with_the_plain_layout() {
        for isa in Isa::ALL.into_iter().filter(|isa| isa.vector().is_some()) {
            let lanes = isa.lanes();
            let mut n = Numbers::new(5);
            for round in 0..80 {
                let sizes @ [batch, c, h, w] = [1 + n.below(3), 1 + n.below(40), 1 + n.below(20), 1 + n.below(20)];
                let act = activations()[n.below(4)];
                let pool = ThreadPool::new(1 + n.below(3)).unwrap();
                let x = n.take(batch * c * h * w);
                let (scale, shift) = (n.take(c), n.take(c));
                let blocked_x = blocked(&x, sizes, lanes);
                // in place, or not
                let mut out = if round % 2 == 0 { blocked_x.clone() } else { vec![f32::NAN; blocked_x.len()] };
                let first = (round % 2 == 1).then_some(&blocked_x[..]);
                let mut expected = vec![0.0; x.len()];
                reference::scale_shift(&pool, isa, Some(&x), &scale, &shift, h * w, act, &mut expected);
                scale_shift(&pool, isa, first, &scale, &shift, h * w, act, &mut out);
                assert!(out.iter().all(|v| v.is_finite()));
                let expected: Vec<f64> = expected.into_iter().map(f64::from).collect();
                assert!(max_error(&plain(&out, sizes, lanes), &expected) < 1e-5, "{isa} {sizes:?} {round}");
            }
        }
    }

    #[test]
    fn nan_is_kept() {
        for isa in Isa::ALL.into_iter().filter(|isa| isa.vector().is_some()) {
            let pool = ThreadPool::new(1).unwrap();
            let mut out = vec![f32::NAN; isa.lanes()];
            let (scale, shift) = (vec![1.0; isa.lanes()], vec![0.0; isa.lanes()]);
            scale_shift(&pool, isa, None, &scale, &shift, 1, Some(Activation::Relu), &mut out);
            assert!(out.iter().all(|v| v.is_nan()));
        }
    }
}
