//! Depthwise convolution, one vector of channels and one kernel element at a time.

use std::collections::TryReserveError;
use std::ops::Range;

use super::pack::{Filters, flush};
use super::{runs, vector};
use crate::kernels::clamp::Clamp;
use crate::kernels::conv::range_inside;
use crate::kernels::dispatch::{Kernel, instance};
use crate::kernels::elementwise::apply;
use crate::kernels::isa::Isa;
use crate::kernels::simd::Simd;
use crate::kernels::threads::{Disjoint, ThreadPool};
use crate::kernels::{Activation, Aligned, ConvOperands, ConvShape, Residual};

/// A row of outputs that use the same kernel elements. Strides are in floats.
struct Row {
    /// What the first output reads at the first kernel element.
    x: *const f32,
    /// Stride between the input pixels of consecutive outputs.
    step: usize,
    /// Rows and columns of kernel elements.
    elements: [usize; 2],
    /// Input strides between rows and between columns of kernel elements.
    strides: [usize; 2],
    /// The weight of the first kernel element; columns are contiguous.
    weight: *const f32,
    /// Weight stride between rows of kernel elements.
    weight_row: usize,
    /// A vector that is added to the complete sum; null for none.
    bias: *const f32,
    /// Added before the activation, with the layout of the output (and possibly the output itself); null for none.
    residual: *const f32,
    /// Applied last.
    clamp: Clamp,
    /// The first output; the others follow.
    out: *mut f32,
    /// Number of outputs.
    count: usize,
}

impl Kernel for Row {
    type Operands = Self;

    /// Computes the outputs, several at a time.
    #[inline(always)]
    unsafe fn run<S: Simd>(t: &Self) {
        let mut at = 0;
        // SAFETY: guaranteed by the caller
        unsafe {
            while at + 8 <= t.count {
                some::<S, 8>(t, at);
                at += 8;
            }
            if at + 4 <= t.count {
                some::<S, 4>(t, at);
                at += 4;
            }
            while at < t.count {
                some::<S, 1>(t, at);
                at += 1;
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

/// Whether this kernel supports the convolution.
pub fn supports(shape: &ConvShape) -> bool {
    shape.groups == shape.channels && shape.groups == shape.filters
}

/// Packs a weight `[channels, 1, height, width]` to `[block][height][width][lanes]`; subnormal numbers become zero.
pub fn pack_depthwise(lanes: usize, channels: usize, weight: &[f32]) -> Result<Aligned, TryReserveError> {
    let elements = weight.len() / channels.max(1);
    let mut packed = Aligned::zeroed(channels.next_multiple_of(lanes) * elements)?;
    pack_into(lanes, &Filters::stored(weight, [channels, 1, elements, 1], channels.max(1)), [channels, elements], &mut packed);
    Ok(packed)
}

/// Like [`pack_depthwise`], for a number of channels and kernel elements, into memory that is zero or already contains the same
/// weight.
pub fn pack_into(lanes: usize, weight: &Filters<'_>, [channels, elements]: [usize; 2], packed: &mut [f32]) {
    for channel in 0..channels {
        let values = weight.kernel(channel, 0);
        for element in 0..elements {
            packed[(channel / lanes * elements + element) * lanes + channel % lanes] = flush(values[weight.index(element)]);
        }
    }
}

/// Convolution from blocked to blocked layout. The weight is packed by [`pack_depthwise`], the bias is padded to whole blocks.
///
/// # Panics
/// If the instruction set has no kernels, the convolution is not supported (see [`supports`]), or a slice has the wrong length.
pub fn conv(pool: &ThreadPool, isa: Isa, shape: &ConvShape, operands: &ConvOperands<'_>, out: &mut [f32]) {
    assert!(supports(shape));
    let isa = vector(isa);
    let lanes = isa.lanes();
    let conv_row = instance::<Row>(isa);
    let ConvOperands { x, weight, epilogue } = *operands;
    let ([h, w], [oh, ow], [kh, kw]) = (shape.input, shape.output, shape.kernel);
    let blocks = shape.channels.div_ceil(lanes);
    let maps = shape.batch * blocks;
    assert_eq!((x.len(), out.len()), (maps * h * w * lanes, maps * oh * ow * lanes));
    assert_eq!(weight.len(), blocks * kh * kw * lanes);
    assert!(epilogue.bias.is_none_or(|b| b.len() == blocks * lanes));
    if let Residual::From(r) = epilogue.residual {
        assert_eq!(r.len(), out.len());
    }
    // output columns whose kernel elements are all inside the feature map
    let (stride, left, reach) = (shape.stride[1], shape.pad[1][0], (kw - 1) * shape.dilation[1] + 1);
    let first = left.div_ceil(stride).min(ow);
    let last = if w + left >= reach { ((w + left - reach) / stride + 1).clamp(first, ow) } else { first };
    let inside = |axis: usize, at: usize| -> (Range<usize>, usize) {
        let from = (at * shape.stride[axis]) as isize - shape.pad[axis][0] as isize;
        let elements = range_inside(0, shape.kernel[axis], shape.input[axis], shape.dilation[axis], from);
        let pixel = if elements.is_empty() { 0 } else { (from + (elements.start * shape.dilation[axis]) as isize) as usize };
        (elements, pixel)
    };
    let out = Disjoint::new(out);
    runs(pool, maps, oh, 1, |map, line| {
        let plane = &x[map * h * w * lanes..][..h * w * lanes];
        let block = map % blocks;
        let weight = &weight[block * kh * kw * lanes..][..kh * kw * lanes];
        let bias = epilogue.bias.map_or(std::ptr::null(), |b| b[block * lanes..][..lanes].as_ptr());
        let start = (map * oh + line.start) * ow * lanes;
        // SAFETY: an output row of this run only
        let line_out = unsafe { out.slice(start, ow * lanes) };
        let results = line_out.as_mut_ptr();
        let residual = match epilogue.residual {
            Residual::None => std::ptr::null(),
            Residual::InPlace => results.cast_const(),
            Residual::From(r) => r[start..][..ow * lanes].as_ptr(),
        };
        let (rows, y) = inside(0, line.start);
        let run = |ox: usize, count: usize| {
            let (columns, x) = inside(1, ox);
            let row = Row {
                x: plane[(y * w + x) * lanes..].as_ptr(),
                step: stride * lanes,
                elements: [rows.len(), columns.len()],
                strides: [shape.dilation[0] * w * lanes, shape.dilation[1] * lanes],
                weight: weight.as_ptr().wrapping_add((rows.start * kw + columns.start) * lanes),
                weight_row: kw * lanes,
                bias,
                residual: if residual.is_null() { residual } else { residual.wrapping_add(ox * lanes) },
                clamp: Activation::clamp(epilogue.act),
                out: results.wrapping_add(ox * lanes),
                count,
            };
            // SAFETY: the processor supports `isa`; `inside` drops kernel elements outside of the
            // feature map, and those of `first..last` are all inside; weight, bias, residual and row have the asserted lengths
            unsafe { conv_row(&row) };
        };
        (0..first).for_each(|ox| run(ox, 1));
        if first < last {
            run(first, last - first);
        }
        (last..ow).for_each(|ox| run(ox, 1));
        if let Some(code) = Activation::program(epilogue.act) {
            apply(isa.into(), code, shape.channels - block * lanes, line_out);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Epilogue;
    use crate::kernels::nchwc::pack::pack_channels;
    use crate::kernels::reference::{Numbers, activations, blocked, conv_f64, max_error, plain};

    #[test]
    fn agrees_with_the_definition() {
        for isa in Isa::ALL.into_iter().filter(|isa| isa.vector().is_some()) {
            let lanes = isa.lanes();
            let mut n = Numbers::new(31);
            for round in 0..120 {
                let mut below = |most: usize| n.below(most);
                let kernel = [[3, 3], [3, 3], [5, 5], [7, 7], [1, 4], [2, 1]][below(6)];
                let stride = [1 + below(3), 1 + below(3)];
                let dilation = [1 + below(2), 1 + below(2)];
                let reach = [0, 1].map(|i| (kernel[i] - 1) * dilation[i] + 1);
                let pad = [0, 1].map(|i| [below(reach[i] + 1), below(reach[i] + 1)]);
                let input = [0, 1].map(|i| (reach[i] + below(20)).saturating_sub(pad[i][0]).max(1));
                let output = [0, 1].map(|i| (input[i] + pad[i][0] + pad[i][1]).saturating_sub(reach[i]) / stride[i] + 1);
                let (batch, channels) = (1 + below(3), 1 + below(40));
                let shape = ConvShape {
                    batch,
                    channels,
                    input,
                    filters: channels,
                    output,
                    kernel,
                    stride,
                    pad,
                    dilation,
                    groups: channels,
                };
                let act = activations()[below(4)];
                let x = n.take(shape.input_sizes().iter().product());
                let weight = n.take(shape.filters * shape.depth());
                let bias = n.take(channels);
                let r = n.take(shape.output_sizes().iter().product());
                let expected = conv_f64(&shape, &x, &weight, Some(&bias), (round % 3 > 0).then_some(&r[..]), act);
                let residual = blocked(&r, shape.output_sizes(), lanes);
                let mut out = if round % 3 == 1 { residual.clone() } else { vec![f32::NAN; residual.len()] };
                let weight = pack_depthwise(lanes, channels, &weight).unwrap();
                let bias = pack_channels(lanes, &bias).unwrap();
                let residual = [Residual::None, Residual::InPlace, Residual::From(&residual)][round % 3];
                let epilogue = Epilogue { bias: Some(&bias), residual, act };
                let x = blocked(&x, shape.input_sizes(), lanes);
                let pool = ThreadPool::new(1 + n.below(3)).unwrap();
                conv(&pool, isa, &shape, &ConvOperands { x: &x, weight: &weight, epilogue }, &mut out);
                assert!(out.iter().all(|v| v.is_finite()), "{isa} {shape:?}");
                let off = max_error(&plain(&out, shape.output_sizes(), lanes), &expected);
                assert!(off < 2e-5, "{isa} {shape:?}: {off}");
            }
        }
    }
}
