//! A row of a depthwise convolution.

use crate::kernels::clamp::Clamp;
use crate::kernels::dispatch::Kernel;
use crate::kernels::simd::Simd;

/// A row of outputs that use the same kernel elements. Strides are in floats.
pub(super) struct Row {
    /// What the first output reads at the first kernel element.
    pub x: *const f32,
    /// Stride between the input pixels of consecutive outputs.
    pub step: usize,
    /// Rows and columns of kernel elements.
    pub elements: [usize; 2],
    /// Input strides between rows and between columns of kernel elements.
    pub strides: [usize; 2],
    /// The weight of the first kernel element; columns are contiguous.
    pub weight: *const f32,
    /// Weight stride between rows of kernel elements.
    pub weight_row: usize,
    /// A vector that is added to the complete sum; null for none.
    pub bias: *const f32,
    /// Added before the activation, with the layout of the output (and possibly the output itself); null for none.
    pub residual: *const f32,
    /// Applied last.
    pub clamp: Clamp,
    /// The first output; the others follow.
    pub out: *mut f32,
    /// Number of outputs.
    pub count: usize,
}

impl Kernel for Row {
    type Operands = Self;

    /// Computes the outputs, several at a time.
    #[inline(always)]
    unsafe fn run<S: Simd>(t: &Self) {
        let mut at = 0;
        // SAFETY: guaranteed by the caller
        unsafe {
            while at < t.count {
                // equal parts where two are left: 14 pixels are 7 and 7
                let left = t.count - at;
                let pixels = if left >= 16 {
                    8
                } else if left > 8 {
                    left.div_ceil(2)
                } else {
                    left
                };
                match pixels {
                    8 => some::<S, 8>(t, at),
                    7 => some::<S, 7>(t, at),
                    6 => some::<S, 6>(t, at),
                    5 => some::<S, 5>(t, at),
                    4 => some::<S, 4>(t, at),
                    3 => some::<S, 3>(t, at),
                    2 => some::<S, 2>(t, at),
                    _ => some::<S, 1>(t, at),
                }
                at += pixels;
            }
        }
    }
}

/// # Safety
/// As [`Kernel::run`].
#[inline(always)]
unsafe fn some<S: Simd, const P: usize>(t: &Row, at: usize) {
    // SAFETY: guaranteed by the caller
    unsafe {
        let mut sums = [S::zero(); P];
        for ky in 0..t.elements[0] {
            for kx in 0..t.elements[1] {
                let weight = S::load(t.weight.add(ky * t.weight_row + kx * S::LANES));
                let x = t.x.add(at * t.step + ky * t.strides[0] + kx * t.strides[1]);
                for (p, sum) in sums.iter_mut().enumerate() {
                    *sum = S::fma(S::load(x.add(p * t.step)), weight, *sum);
                }
            }
        }
        // added last, since the rounding error of a sum is relative to its magnitude
        let bias = if t.bias.is_null() { S::zero() } else { S::load(t.bias) };
        for (p, &sum) in sums.iter().enumerate() {
            let at = (at + p) * S::LANES;
            let sum = S::add(sum, bias);
            let v = if t.residual.is_null() { sum } else { S::add(sum, S::load(t.residual.add(at))) };
            S::store(t.out.add(at), t.clamp.apply::<S>(v));
        }
    }
}
