//! Depthwise convolutions: each channel has its own kernel, so a vector of channels gives a vector of sums.

use crate::kernels::ConvShape;
use crate::kernels::conv::range_inside;
use crate::kernels::dispatch::{Kernel, instance};
use crate::kernels::isa::VectorIsa;
use crate::kernels::simd::Simd;
use crate::kernels::threads::{Disjoint, ThreadPool, share};

/// Desired number of tasks, so that up to four threads finish at nearly the same time.
const TASKS: usize = 16;

/// Operands to multiply channel by channel and sum. Strides are in floats, for rows and pixels.
#[derive(Clone, Copy, Debug)]
struct Products {
    /// The first pixel of the input.
    x: *const f32,
    /// Strides of `x`.
    x_steps: [usize; 2],
    /// The first pixel of the gradient.
    dy: *const f32,
    /// Strides of `dy`.
    dy_steps: [usize; 2],
    /// Number of rows and pixels.
    counts: [usize; 2],
    /// A vector to which the sums are added.
    sums: *mut f32,
}

impl Kernel for Products {
    type Operands = Self;

    /// Sums four pixels side by side, so that multiply-adds do not wait for each other.
    #[inline(always)]
    unsafe fn run<S: Simd>(p: &Self) {
        // SAFETY: guaranteed by the caller, for every access below
        unsafe {
            let mut sums = [S::zero(); 4];
            sums[0] = S::load(p.sums);
            for row in 0..p.counts[0] {
                let (x, dy) = (p.x.add(row * p.x_steps[0]), p.dy.add(row * p.dy_steps[0]));
                let product =
                    |at: usize, sum: S::V| S::fma(S::load(x.add(at * p.x_steps[1])), S::load(dy.add(at * p.dy_steps[1])), sum);
                let mut at = 0;
                while at + 4 <= p.counts[1] {
                    for (i, sum) in sums.iter_mut().enumerate() {
                        *sum = product(at + i, *sum);
                    }
                    at += 4;
                }
                while at < p.counts[1] {
                    sums[0] = product(at, sums[0]);
                    at += 1;
                }
            }
            S::store(p.sums, S::add(S::add(sums[0], sums[1]), S::add(sums[2], sums[3])));
        }
    }
}

/// Ranges of samples with separate sums.
fn ranges(shape: &ConvShape, blocks: usize, threads: usize) -> usize {
    TASKS.max(4 * threads).div_ceil(blocks).clamp(1, shape.batch)
}

/// Scratch floats for a thread count.
pub(super) fn scratch(lanes: usize, shape: &ConvShape, threads: usize) -> usize {
    let blocks = shape.channels.div_ceil(lanes);
    ranges(shape, blocks, threads) * blocks * shape.kernel[0] * shape.kernel[1] * lanes
}

/// See [`super::conv_weight`]; slices have the right lengths, and no size is 0.
pub(super) fn conv_weight(
    pool: &ThreadPool,
    isa: VectorIsa,
    shape: &ConvShape,
    x: &[f32],
    dy: &[f32],
    scratch: &mut [f32],
    dw: &mut [f32],
) {
    let lanes = isa.lanes();
    let add_products = instance::<Products>(isa);
    let ([h, w], [oh, ow], [kh, kw]) = (shape.input, shape.output, shape.kernel);
    let blocks = shape.channels.div_ceil(lanes);
    let ranges = ranges(shape, blocks, pool.threads());
    let tile = kh * kw * lanes;
    pool.pieces(&mut scratch[..ranges * blocks * tile], tile, |task, sums| {
        sums.fill(0.0);
        let (range, block) = (task / blocks, task % blocks);
        for sample in share(shape.batch, ranges, range) {
            let x = &x[(sample * blocks + block) * h * w * lanes..][..h * w * lanes];
            let dy = &dy[(sample * blocks + block) * oh * ow * lanes..][..oh * ow * lanes];
            for (element, sums) in sums.chunks_exact_mut(lanes).enumerate() {
                let reach = |axis: usize, element: usize| (element * shape.dilation[axis]) as isize - shape.pad[axis][0] as isize;
                let (down, right) = (reach(0, element / kw), reach(1, element % kw));
                let lines = range_inside(0, oh, h, shape.stride[0], down);
                let columns = range_inside(0, ow, w, shape.stride[1], right);
                if lines.is_empty() || columns.is_empty() {
                    continue;
                }
                let at_y = ((lines.start * shape.stride[0]) as isize + down) as usize;
                let at_x = ((columns.start * shape.stride[1]) as isize + right) as usize;
                let p = Products {
                    x: x[(at_y * w + at_x) * lanes..].as_ptr(),
                    x_steps: [shape.stride[0] * w * lanes, shape.stride[1] * lanes],
                    dy: dy[(lines.start * ow + columns.start) * lanes..].as_ptr(),
                    dy_steps: [ow * lanes, lanes],
                    counts: [lines.len(), columns.len()],
                    sums: sums.as_mut_ptr(),
                };
                // SAFETY: the processor supports `isa`; `range_inside` drops the pixels of `dy`
                // whose kernel element falls in the padding
                unsafe { add_products(&p) };
            }
        }
    });
    let dw = Disjoint::new(dw);
    pool.for_each(blocks, |block, _| {
        for channel in block * lanes..((block + 1) * lanes).min(shape.channels) {
            // SAFETY: this channel's kernel belongs to this task
            let out = unsafe { dw.slice(channel * kh * kw, kh * kw) };
            for (element, out) in out.iter_mut().enumerate() {
                let of_range = |range: usize| scratch[(range * blocks + block) * tile + element * lanes + channel % lanes];
                *out = (0..ranges).map(of_range).sum();
            }
        }
    });
}
