//! Pooling with windows and to a fixed output size, one vector of channels at a time.

use super::{runs, vector};
use crate::kernels::dispatch::{Kernel, instance};
use crate::kernels::isa::Isa;
use crate::kernels::pool::{PoolKind, PoolShape, Window};
use crate::kernels::simd::Simd;
use crate::kernels::threads::{Disjoint, ThreadPool};

/// A row of windows of equal size.
struct Windows {
    /// The first pixel of the first window.
    x: *const f32,
    /// Rows per window.
    rows: usize,
    /// Columns per window.
    columns: usize,
    /// Row stride within a window, in floats.
    row_stride: usize,
    /// Column stride within a window, in floats.
    column_stride: usize,
    /// Stride between windows, in floats.
    stride: usize,
    /// Number of windows.
    count: usize,
    /// The first output; the others follow.
    out: *mut f32,
    /// Divisor of each window's sum; `None` for the maximum.
    divisor: Option<f32>,
}

impl Kernel for Windows {
    type Operands = Self;

    /// Computes the windows, several at a time.
    #[inline(always)]
    unsafe fn run<S: Simd>(w: &Self) {
        let mut at = 0;
        // SAFETY: guaranteed by the caller
        unsafe {
            while at + 4 <= w.count {
                some::<S, 4>(w, at);
                at += 4;
            }
            while at < w.count {
                some::<S, 1>(w, at);
                at += 1;
            }
        }
    }
}

/// # Safety
/// As [`Kernel::run`].
#[inline(always)]
unsafe fn some<S: Simd, const P: usize>(w: &Windows, at: usize) {
    // SAFETY: guaranteed by the caller
    unsafe {
        let x = w.x.add(at * w.stride);
        let out = w.out.add(at * S::LANES);
        match w.divisor {
            None => {
                let mut best = [S::splat(f32::NEG_INFINITY); P];
                for row in 0..w.rows {
                    for column in 0..w.columns {
                        let x = x.add(row * w.row_stride + column * w.column_stride);
                        for (p, best) in best.iter_mut().enumerate() {
                            let v = S::load(x.add(p * w.stride));
                            // NaN wins, as in PyTorch: `max` keeps a NaN in its second operand, and `above` selects a new one
                            *best = S::above(v, v, v, S::max(v, *best));
                        }
                    }
                }
                for (p, &best) in best.iter().enumerate() {
                    S::store(out.add(p * S::LANES), best);
                }
            }
            Some(divisor) => {
                // nested sums: the rounding error grows with the side of the window, not its area
                let mut sums = [S::zero(); P];
                for row in 0..w.rows {
                    let mut line = [S::zero(); P];
                    for column in 0..w.columns {
                        let x = x.add(row * w.row_stride + column * w.column_stride);
                        for (p, line) in line.iter_mut().enumerate() {
                            *line = S::add(*line, S::load(x.add(p * w.stride)));
                        }
                    }
                    for (sum, &line) in sums.iter_mut().zip(&line) {
                        *sum = S::add(*sum, line);
                    }
                }
                for (p, &sum) in sums.iter().enumerate() {
                    S::store(out.add(p * S::LANES), S::div(sum, S::splat(divisor)));
                }
            }
        }
    }
}

/// Pooling with windows, like [`crate::kernels::nchw::pool::pool`] for NCHW, from blocked to blocked layout. The number of feature
/// maps (samples times blocks) follows from the slices; `shape.maps` is ignored.
///
/// # Panics
/// If the instruction set has no kernels, or a slice has the wrong length.
pub fn pool(threads: &ThreadPool, isa: Isa, shape: &PoolShape, x: &[f32], out: &mut [f32]) {
    let isa = vector(isa);
    let lanes = isa.lanes();
    let pool_windows = instance::<Windows>(isa);
    let [h, w] = shape.input;
    let [oh, ow] = shape.output;
    let maps = if oh * ow == 0 { 0 } else { out.len() / (oh * ow * lanes) };
    assert_eq!((x.len(), out.len()), (maps * h * w * lanes, maps * oh * ow * lanes));
    let inside = Window::inside(shape, ow);
    let out = Disjoint::new(out);
    runs(threads, maps, oh, 1, |map, line| {
        let plane = &x[map * h * w * lanes..][..h * w * lanes];
        let rows = Window::new(shape, 0, line.start);
        // SAFETY: an output row of this run only
        let line = unsafe { out.slice((map * oh + line.start) * ow * lanes, ow * lanes) };
        let mut run = |ox: usize, count: usize| {
            let columns = Window::new(shape, 1, ox);
            let divisor = match shape.kind {
                PoolKind::Max => None,
                PoolKind::Avg { count_pad: true } => Some((rows.padded * columns.padded) as f32),
                PoolKind::Avg { count_pad: false } => Some((rows.count * columns.count) as f32),
            };
            let windows = Windows {
                // an empty window reads nothing, so its corner may be at the end of the feature map
                x: plane[((rows.start * w + columns.start) * lanes).min(plane.len())..].as_ptr(),
                rows: rows.count,
                columns: columns.count,
                row_stride: rows.step * w * lanes,
                column_stride: columns.step * lanes,
                stride: shape.stride[1] * lanes,
                count,
                out: line[ox * lanes..][..count * lanes].as_mut_ptr(),
                divisor,
            };
            // SAFETY: the processor supports `isa`; `Window` clips windows at the edges of the feature
            // map, and those in `inside` need no clipping
            unsafe { pool_windows(&windows) };
        };
        (0..inside.start).for_each(|ox| run(ox, 1));
        if !inside.is_empty() {
            run(inside.start, inside.len());
        }
        (inside.end..ow).for_each(|ox| run(ox, 1));
    });
}

/// Average pooling to a fixed output size, from blocked to blocked layout; `[1, 1]` is the global average.
///
/// # Panics
/// Like [`pool`].
pub fn adaptive_avg(
    pool: &ThreadPool,
    isa: Isa,
    batch: usize,
    channels: usize,
    input: [usize; 2],
    output: [usize; 2],
    x: &[f32],
    out: &mut [f32],
) {
    let ([h, w], [oh, ow]) = (input, output);
    let isa = vector(isa);
    let lanes = isa.lanes();
    let pool_windows = instance::<Windows>(isa);
    let maps = batch * channels.div_ceil(lanes);
    assert_eq!(x.len(), maps * h * w * lanes);
    assert_eq!(out.len(), maps * oh * ow * lanes);
    let out = Disjoint::new(out);
    runs(pool, maps, oh * ow, 1, |map, pixel| {
        let plane = &x[map * h * w * lanes..][..h * w * lanes];
        let (oy, ox) = (pixel.start / ow, pixel.start % ow);
        let (rows, columns) = (oy * h / oh..((oy + 1) * h).div_ceil(oh), ox * w / ow..((ox + 1) * w).div_ceil(ow));
        // SAFETY: each average is computed once
        let mean = unsafe { out.slice((map * oh * ow + pixel.start) * lanes, lanes) };
        let windows = Windows {
            x: plane[(rows.start * w + columns.start) * lanes..].as_ptr(),
            rows: rows.len(),
            columns: columns.len(),
            row_stride: w * lanes,
            column_stride: lanes,
            stride: 0,
            count: 1,
            out: mean.as_mut_ptr(),
            divisor: Some((rows.len() * columns.len()) as f32),
        };
        // SAFETY: the processor supports `isa`; the window is inside the feature map, and `mean` holds
        // a vector
        unsafe { pool_windows(&windows) };
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::nchw::pool as reference;
    use crate::kernels::reference::{Numbers, blocked, plain};

    fn close(a: &[f32], b: &[f32]) -> bool {
        let same = |(a, b): (&f32, &f32)| (a - b).abs() <= 2e-6 || (a.is_nan() && b.is_nan()) || a == b;
        a.len() == b.len() && a.iter().zip(b).all(same)
    }

    #[test]
    fn windows_agree_with_the_plain_layout() {
        for isa in Isa::ALL.into_iter().filter(|isa| isa.vector().is_some()) {
            let lanes = isa.lanes();
            let mut n = Numbers::new(11);
            for round in 0..150 {
                let kind = [PoolKind::Max, PoolKind::Avg { count_pad: true }, PoolKind::Avg { count_pad: false }][n.below(3)];
                let (batch, c) = (1 + n.below(3), 1 + n.below(40));
                let shape @ PoolShape { input, output, .. } = n.pooling(kind, batch * c);
                let mut x = n.take(batch * c * input[0] * input[1]);
                if round % 5 == 0 {
                    let at = n.below(x.len());
                    x[at] = f32::NAN;
                }
                let threads = ThreadPool::new(1 + n.below(3)).unwrap();
                let mut expected = vec![0.0; batch * c * output[0] * output[1]];
                reference::pool(&threads, &shape, &x, &mut expected);
                let sizes = [batch, c, output[0], output[1]];
                let mut out = vec![f32::NAN; batch * c.next_multiple_of(lanes) * output[0] * output[1]];
                pool(&threads, isa, &shape, &blocked(&x, [batch, c, input[0], input[1]], lanes), &mut out);
                assert!(close(&plain(&out, sizes, lanes), &expected), "{isa} {shape:?}");
            }
        }
    }

    #[test]
    fn averages_agree_with_the_plain_layout() {
        for isa in Isa::ALL.into_iter().filter(|isa| isa.vector().is_some()) {
            let lanes = isa.lanes();
            let mut n = Numbers::new(12);
            for round in 0..60 {
                let input = [1 + n.below(14), 1 + n.below(14)];
                let output = if round % 2 == 0 { [1, 1] } else { [1 + n.below(8), 1 + n.below(8)] };
                let (batch, c) = (1 + n.below(3), 1 + n.below(40));
                let x = n.take(batch * c * input[0] * input[1]);
                let pool = ThreadPool::new(1 + n.below(3)).unwrap();
                let mut expected = vec![0.0; batch * c * output[0] * output[1]];
                reference::adaptive_avg(&pool, input, output, &x, &mut expected);
                let blocked_x = blocked(&x, [batch, c, input[0], input[1]], lanes);
                let mut out = vec![f32::NAN; batch * c.next_multiple_of(lanes) * output[0] * output[1]];
                adaptive_avg(&pool, isa, batch, c, input, output, &blocked_x, &mut out);
                assert!(close(&plain(&out, [batch, c, output[0], output[1]], lanes), &expected), "{isa} {input:?} {output:?}");
            }
        }
    }
}
