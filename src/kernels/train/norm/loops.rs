//! The innermost loops of batch normalization, over the pixels of one block.

use crate::kernels::clamp::Clamp;
use crate::kernels::dispatch::Kernel;
use crate::kernels::simd::Simd;

/// Independent chains of additions.
const CHAINS: usize = 4;

/// Pixels whose moments are computed.
pub(in crate::internal::kernels) struct Moments {
    /// The pixels.
    pub x: *const f32,
    /// Number of pixels.
    pub pixels: usize,
    /// Subtracted from each value, one per channel.
    pub shift: *const f32,
    /// Two vectors of results: the sums of the differences, and of their squares.
    pub sums: *mut f32,
}

impl Kernel for Moments {
    type Operands = Self;

    /// Sums the differences and their squares.
    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "iterators are not always inlined")]
    unsafe fn run<S: Simd>(m: &Self) {
        // SAFETY: guaranteed by the caller
        unsafe {
            let shift = S::load(m.shift);
            let (mut sums, mut squares) = ([S::zero(); CHAINS], [S::zero(); CHAINS]);
            let whole = m.pixels - m.pixels % CHAINS;
            let mut pixel = 0;
            // a closure shared by both loops would not be inlined, and would lose the instruction set
            while pixel < whole {
                for chain in 0..CHAINS {
                    let d = S::sub(S::load(m.x.add((pixel + chain) * S::LANES)), shift);
                    sums[chain] = S::add(sums[chain], d);
                    squares[chain] = S::fma(d, d, squares[chain]);
                }
                pixel += CHAINS;
            }
            while pixel < m.pixels {
                let d = S::sub(S::load(m.x.add(pixel * S::LANES)), shift);
                sums[0] = S::add(sums[0], d);
                squares[0] = S::fma(d, d, squares[0]);
                pixel += 1;
            }
            S::store(m.sums, total::<S>(&sums));
            S::store(m.sums.add(S::LANES), total::<S>(&squares));
        }
    }
}

/// # Safety
/// The processor supports `S`.
#[inline(always)]
unsafe fn total<S: Simd>(v: &[S::V; CHAINS]) -> S::V {
    // SAFETY: guaranteed by the caller
    unsafe { S::add(S::add(v[0], v[1]), S::add(v[2], v[3])) }
}

/// The function of a batch norm: `(x - mean) * scale + bias`, one vector of channels each.
#[derive(Clone, Copy)]
pub(in crate::internal::kernels) struct Affine {
    pub mean: *const f32,
    pub scale: *const f32,
    pub bias: *const f32,
}

/// Pixels to normalize.
pub(in crate::internal::kernels) struct PixelNorm {
    /// The pixels; may be `out`.
    pub x: *const f32,
    /// Number of pixels.
    pub pixels: usize,
    /// The normalization.
    pub affine: Affine,
    /// Added before the activation, may be `out`; null for none.
    pub residual: *const f32,
    /// Applied last.
    pub clamp: Clamp,
    /// The results.
    pub out: *mut f32,
}

impl Kernel for PixelNorm {
    type Operands = Self;

    /// Normalizes the pixels.
    #[inline(always)]
    unsafe fn run<S: Simd>(n: &Self) {
        // SAFETY: guaranteed by the caller
        unsafe {
            let (mean, scale, bias) = (S::load(n.affine.mean), S::load(n.affine.scale), S::load(n.affine.bias));
            for at in (0..n.pixels).map(|pixel| pixel * S::LANES) {
                let mut y = S::fma(S::sub(S::load(n.x.add(at)), mean), scale, bias);
                if !n.residual.is_null() {
                    y = S::add(y, S::load(n.residual.add(at)));
                }
                S::store(n.out.add(at), n.clamp.apply::<S>(y));
            }
        }
    }
}

/// Pixels of a batch norm's input and of its output gradient, for the parameters' gradients.
pub(in crate::internal::kernels) struct GradSums {
    /// The input.
    pub x: *const f32,
    /// The output gradient.
    pub dy: *const f32,
    /// Number of pixels.
    pub pixels: usize,
    /// The normalization.
    pub affine: Affine,
    /// Whether a ReLU follows, so that `dy` counts only where the ReLU's input is above 0.
    pub relu: bool,
    /// Two vectors of results: the sums of `dy`, and of `dy * (x - mean)`.
    pub sums: *mut f32,
}

impl Kernel for GradSums {
    type Operands = Self;

    /// Computes the sums for the gradients of a batch norm's parameters.
    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "iterators are not always inlined")]
    unsafe fn run<S: Simd>(g: &Self) {
        // SAFETY: guaranteed by the caller
        unsafe {
            let (mean, scale, bias) = (S::load(g.affine.mean), S::load(g.affine.scale), S::load(g.affine.bias));
            let (mut sums, mut products) = ([S::zero(); CHAINS], [S::zero(); CHAINS]);
            let whole = g.pixels - g.pixels % CHAINS;
            let mut pixel = 0;
            while pixel < whole {
                for chain in 0..CHAINS {
                    let (d, dy) = pair::<S>(g, pixel + chain, mean, scale, bias);
                    sums[chain] = S::add(sums[chain], dy);
                    products[chain] = S::fma(dy, d, products[chain]);
                }
                pixel += CHAINS;
            }
            while pixel < g.pixels {
                let (d, dy) = pair::<S>(g, pixel, mean, scale, bias);
                sums[0] = S::add(sums[0], dy);
                products[0] = S::fma(dy, d, products[0]);
                pixel += 1;
            }
            S::store(g.sums, total::<S>(&sums));
            S::store(g.sums.add(S::LANES), total::<S>(&products));
        }
    }
}

/// A pixel minus the mean, and its effective gradient.
///
/// # Safety
/// As [`Kernel::run`].
#[inline(always)]
unsafe fn pair<S: Simd>(g: &GradSums, pixel: usize, mean: S::V, scale: S::V, bias: S::V) -> (S::V, S::V) {
    // SAFETY: guaranteed by the caller
    unsafe {
        let d = S::sub(S::load(g.x.add(pixel * S::LANES)), mean);
        let dy = S::load(g.dy.add(pixel * S::LANES));
        (d, if g.relu { S::above(S::fma(d, scale, bias), S::zero(), dy, S::zero()) } else { dy })
    }
}

/// Pixels whose gradient is computed: `scale * dy + slope * (x - mean) + constant`.
pub(in crate::internal::kernels) struct PixelNormGrad {
    /// The batch norm's input; may be `out`.
    pub x: *const f32,
    /// The output gradient; may be `out`.
    pub dy: *const f32,
    /// Number of pixels.
    pub pixels: usize,
    /// The normalization.
    pub affine: Affine,
    /// Whether a ReLU follows.
    pub relu: bool,
    /// See above, one vector of channels.
    pub slope: *const f32,
    /// See above, one vector of channels.
    pub constant: *const f32,
    /// The results.
    pub out: *mut f32,
}

impl Kernel for PixelNormGrad {
    type Operands = Self;

    /// Computes the gradient of a batch norm's input.
    #[inline(always)]
    unsafe fn run<S: Simd>(b: &Self) {
        // SAFETY: guaranteed by the caller
        unsafe {
            let (mean, scale, bias) = (S::load(b.affine.mean), S::load(b.affine.scale), S::load(b.affine.bias));
            let (slope, constant) = (S::load(b.slope), S::load(b.constant));
            for at in (0..b.pixels).map(|pixel| pixel * S::LANES) {
                let d = S::sub(S::load(b.x.add(at)), mean);
                let mut dy = S::load(b.dy.add(at));
                if b.relu {
                    dy = S::above(S::fma(d, scale, bias), S::zero(), dy, S::zero());
                }
                S::store(b.out.add(at), S::fma(d, slope, S::fma(dy, scale, constant)));
            }
        }
    }
}
