//! Gradients of pools: the gradient of each window goes to its maximum, or is distributed over all elements.
//!
//! Windows overlap, so each feature map is processed by one thread.

use super::feature_maps::FeatureMaps;
use super::instance::instance;
use crate::kernels::dispatch::{Instance, Kernel};
use crate::kernels::pool::{PoolKind, PoolShape, Window};
use crate::kernels::simd::Simd;
use crate::kernels::threads::Disjoint;
use crate::kernels::{Isa, Layout, ThreadPool};

/// A row of windows of equal size. Strides are in floats.
#[derive(Clone, Copy)]
struct Windows {
    /// Rows per window.
    rows: usize,
    /// Columns per window.
    columns: usize,
    /// Row stride within a window.
    row_stride: usize,
    /// Column stride within a window.
    column_stride: usize,
    /// Stride between windows.
    stride: usize,
    /// Number of windows.
    count: usize,
}

/// Windows of a max pool.
struct MaxScatter {
    /// Their position in `x` and in `dx`.
    windows: Windows,
    /// The first pixel of the first window.
    x: *const f32,
    /// The gradient of the first window; the others follow.
    dy: *const f32,
    /// The gradient that is added to.
    dx: *mut f32,
}

impl Kernel for MaxScatter {
    type Operands = Self;

    /// Adds each window's gradient to the first of its maxima.
    #[inline(always)]
    unsafe fn run<S: Simd>(m: &Self) {
        let w = m.windows;
        // SAFETY: guaranteed by the caller
        unsafe {
            for window in 0..w.count {
                let x = m.x.add(window * w.stride);
                let mut best = S::splat(f32::NEG_INFINITY);
                let (mut argmax, mut index) = (S::zero(), 0.0);
                for row in 0..w.rows {
                    for column in 0..w.columns {
                        let v = S::load(x.add(row * w.row_stride + column * w.column_stride));
                        argmax = S::above(v, best, S::splat(index), argmax);
                        best = S::above(v, best, v, best);
                        index += 1.0;
                    }
                }
                let dx = m.dx.add(window * w.stride);
                let dy = S::load(m.dy.add(window * S::LANES));
                index = 0.0;
                for row in 0..w.rows {
                    for column in 0..w.columns {
                        let dx = dx.add(row * w.row_stride + column * w.column_stride);
                        S::store(dx, S::add(S::load(dx), S::equal(argmax, S::splat(index), dy, S::zero())));
                        index += 1.0;
                    }
                }
            }
        }
    }
}

/// Windows of an average pool.
struct MeanScatter {
    /// Their position in `dx`.
    windows: Windows,
    /// The gradient of the first window; the others follow.
    dy: *const f32,
    /// The weight of each element.
    factor: f32,
    /// The gradient that is added to.
    dx: *mut f32,
}

impl Kernel for MeanScatter {
    type Operands = Self;

    /// Adds each window's gradient to all of its elements.
    #[inline(always)]
    unsafe fn run<S: Simd>(m: &Self) {
        let w = m.windows;
        // SAFETY: guaranteed by the caller
        unsafe {
            let factor = S::splat(m.factor);
            for window in 0..w.count {
                let dx = m.dx.add(window * w.stride);
                let part = S::mul(S::load(m.dy.add(window * S::LANES)), factor);
                for row in 0..w.rows {
                    for column in 0..w.columns {
                        let dx = dx.add(row * w.row_stride + column * w.column_stride);
                        S::store(dx, S::add(S::load(dx), part));
                    }
                }
            }
        }
    }
}

/// The instances for a layout.
struct Kernels {
    max: Instance<MaxScatter>,
    mean: Instance<MeanScatter>,
}

impl Kernels {
    fn new(isa: Isa, layout: Layout) -> Kernels {
        Kernels { max: instance::<MaxScatter>(isa, layout), mean: instance::<MeanScatter>(isa, layout) }
    }
}

/// A run of windows of equal size in a feature map, in pixels.
struct Run {
    windows: Windows,
    /// The first pixel of the first window.
    corner: usize,
    /// The index of the first window in the output.
    first: usize,
    /// Divisor of the average.
    divisor: usize,
}

/// The gradient of the input of a max pool or an average pool. `shape` is the pool's, with `maps` counting samples times channels
/// (not blocks); `x` is the pool's input, which average pools ignore. If a window has several maxima, the first in row-major
/// order gets the gradient.
///
/// # Panics
/// If the processor lacks the instruction set of a blocked layout, a slice has the wrong length, or `x` is missing for a max
/// pool.
pub fn pool_grad(
    pool: &ThreadPool,
    isa: Isa,
    layout: Layout,
    [batch, channels]: [usize; 2],
    shape: &PoolShape,
    x: Option<&[f32]>,
    dy: &[f32],
    dx: &mut [f32],
) {
    let kernels = Kernels::new(isa, layout);
    let [h, w] = shape.input;
    let [oh, ow] = shape.output;
    let maps = FeatureMaps::new(layout, [batch, channels, h, w]);
    let lanes = maps.lanes;
    assert_eq!((dx.len(), dy.len()), (maps.len(), maps.count() * oh * ow * lanes));
    let x = match shape.kind {
        PoolKind::Max => {
            assert_eq!(x.map(<[f32]>::len), Some(dx.len()), "the input of a max pool");
            x
        }
        PoolKind::Avg { .. } => None,
    };
    let inside = Window::inside(shape, ow);
    by_map(pool, &kernels, &maps, [oh * ow, w], x, dy, dx, |scatter| {
        for oy in 0..oh {
            let rows = Window::new(shape, 0, oy);
            let mut run = |ox: usize, count: usize| {
                let columns = Window::new(shape, 1, ox);
                let divisor = match shape.kind {
                    PoolKind::Avg { count_pad: true } => rows.padded * columns.padded,
                    PoolKind::Max | PoolKind::Avg { count_pad: false } => rows.count * columns.count,
                };
                let (row_stride, column_stride, stride) = (rows.step * w * lanes, columns.step * lanes, shape.stride[1] * lanes);
                let windows = Windows { rows: rows.count, columns: columns.count, row_stride, column_stride, stride, count };
                scatter(&Run { windows, corner: rows.start * w + columns.start, first: oy * ow + ox, divisor });
            };
            (0..inside.start).for_each(|ox| run(ox, 1));
            if !inside.is_empty() {
                run(inside.start, inside.len());
            }
            (inside.end..ow).for_each(|ox| run(ox, 1));
        }
    });
}

/// The gradient of the input of an average pool to a fixed output size; `sizes` are those of the input.
///
/// # Panics
/// Like [`pool_grad`].
pub fn adaptive_avg_grad(
    pool: &ThreadPool,
    isa: Isa,
    layout: Layout,
    sizes @ [_, _, h, w]: [usize; 4],
    [oh, ow]: [usize; 2],
    dy: &[f32],
    dx: &mut [f32],
) {
    let kernels = Kernels::new(isa, layout);
    let maps = FeatureMaps::new(layout, sizes);
    let lanes = maps.lanes;
    assert_eq!((dx.len(), dy.len()), (maps.len(), maps.count() * oh * ow * lanes));
    by_map(pool, &kernels, &maps, [oh * ow, w], None, dy, dx, |scatter| {
        for oy in 0..oh {
            let rows = oy * h / oh..((oy + 1) * h).div_ceil(oh);
            for ox in 0..ow {
                let columns = ox * w / ow..((ox + 1) * w).div_ceil(ow);
                let windows = Windows {
                    rows: rows.len(),
                    columns: columns.len(),
                    row_stride: w * lanes,
                    column_stride: lanes,
                    stride: 0,
                    count: 1,
                };
                let divisor = rows.len() * columns.len();
                scatter(&Run { windows, corner: rows.start * w + columns.start, first: oy * ow + ox, divisor });
            }
        }
    });
}

/// Scatters the gradients of each feature map's windows; `windows` calls its argument for each run in row-major order. With `x`
/// the maximum of a window gets its whole gradient. `pooled` is the number of output pixels per feature map, `width` the row
/// length of the input.
fn by_map(
    pool: &ThreadPool,
    kernels: &Kernels,
    maps: &FeatureMaps,
    [pooled, width]: [usize; 2],
    x: Option<&[f32]>,
    dy: &[f32],
    dx: &mut [f32],
    windows: impl Fn(&mut dyn FnMut(&Run)) + Sync,
) {
    let lanes = maps.lanes;
    let len = maps.plane * lanes;
    let dx = Disjoint::new(dx);
    pool.for_each(if len == 0 { 0 } else { maps.count() }, |map, _| {
        // SAFETY: each feature map is visited once
        let dx = unsafe { dx.slice(map * len, len) };
        let dy = &dy[map * pooled * lanes..][..pooled * lanes];
        let x = x.map(|x| &x[map * len..][..len]);
        // rows are cleared shortly before they are added to
        let mut clear = 0;
        windows(&mut |run| {
            let w = run.windows;
            if w.rows * w.columns * w.count == 0 {
                return;
            }
            let corner = run.corner * lanes;
            let end = run.corner / width * width * lanes + (w.rows - 1) * w.row_stride + width * lanes;
            if end > clear {
                dx[clear..end].fill(0.0);
                clear = end;
            }
            // the last element of the last window is inside
            let reach = (w.rows - 1) * w.row_stride + (w.count - 1) * w.stride + (w.columns - 1) * w.column_stride + lanes;
            let to = dx[corner..][..reach].as_mut_ptr();
            let dy = dy[run.first * lanes..][..w.count * lanes].as_ptr();
            // SAFETY: the processor supports what `kernels` are compiled for; windows are inside the feature map, as checked by
            // the slices above
            unsafe {
                match x {
                    Some(x) => (kernels.max)(&MaxScatter { windows: w, x: x[corner..][..reach].as_ptr(), dy, dx: to }),
                    None => {
                        let factor = 1.0 / run.divisor as f32;
                        (kernels.mean)(&MeanScatter { windows: w, dy, factor, dx: to });
                    }
                }
            }
        });
        dx[clear..].fill(0.0);
    });
}

#[cfg(test)]
mod tests {
    use super::super::testing::{cases, from_plain, to_plain};
    use super::*;
    use crate::kernels::reference::max_error;

    /// The definition: windows are iterated with their padding, which has no value.
    fn expected(shape: &PoolShape, x: &[f32], dy: &[f32]) -> Vec<f64> {
        let [h, w] = shape.input;
        let [oh, ow] = shape.output;
        let mut dx = vec![0.0; x.len()];
        for (i, &dy) in dy.iter().enumerate() {
            let (map, oy, ox) = (i / (oh * ow), i / ow % oh, i % ow);
            let (mut inside, mut padded) = (vec![], 0);
            for ky in 0..shape.kernel[0] {
                for kx in 0..shape.kernel[1] {
                    let (y, xx) = (oy * shape.stride[0] + ky * shape.dilation[0], ox * shape.stride[1] + kx * shape.dilation[1]);
                    let ends = [0, 1].map(|a| shape.input[a] + shape.pad[a][0] + shape.pad[a][1]);
                    padded += usize::from(y < ends[0] && xx < ends[1]);
                    let (y, xx) = (y.wrapping_sub(shape.pad[0][0]), xx.wrapping_sub(shape.pad[1][0]));
                    if y < h && xx < w {
                        inside.push((map * h + y) * w + xx);
                    }
                }
            }
            let count = inside.len();
            match shape.kind {
                PoolKind::Max => {
                    let best = inside.iter().copied().reduce(|a, b| if x[b] > x[a] { b } else { a });
                    best.into_iter().for_each(|at| dx[at] += f64::from(dy));
                }
                PoolKind::Avg { count_pad } => {
                    let divisor = if count_pad { padded } else { count };
                    inside.into_iter().for_each(|at| dx[at] += f64::from(dy) / divisor as f64);
                }
            }
        }
        dx
    }

    #[test]
    fn windows_agree_with_their_definition() {
        cases(31, 120, |n, pool, isa, layout, [batch, c, ..]| {
            let kind = [PoolKind::Max, PoolKind::Avg { count_pad: true }, PoolKind::Avg { count_pad: false }][n.below(3)];
            let shape = n.pooling(kind, batch * c);
            let ([h, w], [oh, ow]) = (shape.input, shape.output);
            // few distinct values, so that windows have several maxima
            let x: Vec<f32> = n.take(batch * c * h * w).iter().map(|v| (v * 3.0).round()).collect();
            let dy = n.take(batch * c * oh * ow);
            let expected = expected(&shape, &x, &dy);
            let mut dx = vec![f32::NAN; layout.len([batch, c, h, w]).unwrap()];
            let x = from_plain(layout, [batch, c, h, w], &x);
            let dy = from_plain(layout, [batch, c, oh, ow], &dy);
            pool_grad(pool, isa, layout, [batch, c], &shape, Some(&x), &dy, &mut dx);
            assert!(dx.iter().all(|v| v.is_finite()), "{isa} {shape:?}");
            // one element may be the maximum of a dozen windows
            let off = max_error(&to_plain(layout, [batch, c, h, w], &dx), &expected);
            assert!(off < 2e-6, "{off} {isa} {shape:?}");
        });
    }

    #[test]
    fn negative_infinity_can_be_the_maximum() {
        let pool = ThreadPool::new(1).unwrap();
        let [input, output, kernel] = [[2, 2], [1, 1], [2, 2]];
        let (stride, pad, dilation) = ([2, 2], [[0; 2]; 2], [1, 1]);
        let shape = PoolShape { kind: PoolKind::Max, maps: 1, input, output, kernel, stride, pad, dilation };
        let mut dx = [f32::NAN; 4];
        let x = [f32::NEG_INFINITY; 4];
        pool_grad(&pool, Isa::Portable, Layout::Nchw, [1, 1], &shape, Some(&x), &[2.0], &mut dx);
        assert_eq!(dx, [2.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn averages_to_a_fixed_size_agree_with_their_definition() {
        cases(32, 60, |n, pool, isa, layout, sizes @ [batch, c, h, w]| {
            let [oh, ow] = if n.below(2) == 0 { [1, 1] } else { [1 + n.below(8), 1 + n.below(8)] };
            let dy = n.take(batch * c * oh * ow);
            let mut expected = vec![0.0; batch * c * h * w];
            for (i, &dy) in dy.iter().enumerate() {
                let (map, oy, ox) = (i / (oh * ow), i / ow % oh, i % ow);
                let (rows, columns) = (oy * h / oh..((oy + 1) * h).div_ceil(oh), ox * w / ow..((ox + 1) * w).div_ceil(ow));
                for (y, x) in rows.clone().flat_map(|y| columns.clone().map(move |x| (y, x))) {
                    expected[(map * h + y) * w + x] += f64::from(dy) / (rows.len() * columns.len()) as f64;
                }
            }
            let mut dx = vec![f32::NAN; layout.len(sizes).unwrap()];
            adaptive_avg_grad(pool, isa, layout, sizes, [oh, ow], &from_plain(layout, [batch, c, oh, ow], &dy), &mut dx);
            assert!(dx.iter().all(|v| v.is_finite()), "{isa} {sizes:?}");
            assert!(max_error(&to_plain(layout, sizes, &dx), &expected) < 1e-6, "{isa} {sizes:?} {oh} {ow}");
        });
    }

    #[test]
    fn agrees_with_pytorch() {
        // torch.nn.functional.max_pool2d(x, 3, 2, 1) of x = [[1, 5, 5], [2, 5, 0], [7, 7, 1]], dy = [[1, 2], [4, 8]]
        let pool = ThreadPool::new(1).unwrap();
        let (kind, pad, dilation) = (PoolKind::Max, [[1, 1]; 2], [1, 1]);
        let shape = PoolShape { kind, maps: 1, input: [3, 3], output: [2, 2], kernel: [3, 3], stride: [2, 2], pad, dilation };
        let x = [1.0, 5.0, 5.0, 2.0, 5.0, 0.0, 7.0, 7.0, 1.0];
        let mut dx = [f32::NAN; 9];
        pool_grad(&pool, Isa::Portable, Layout::Nchw, [1, 1], &shape, Some(&x), &[1.0, 2.0, 4.0, 8.0], &mut dx);
        assert_eq!(dx, [0.0, 3.0, 0.0, 0.0, 0.0, 0.0, 4.0, 8.0, 0.0]);
        // avg_pool2d(x, 2, 2, 1) with dy = [[4, 8], [12, 16]], padding counted, then not
        for (count_pad, expected) in
            [(true, [1.0, 2.0, 2.0, 3.0, 4.0, 4.0, 3.0, 4.0, 4.0]), (false, [4.0, 4.0, 4.0, 6.0, 4.0, 4.0, 6.0, 4.0, 4.0])]
        {
            let kind = PoolKind::Avg { count_pad };
            let shape = PoolShape { kind, kernel: [2, 2], ..shape };
            pool_grad(&pool, Isa::Portable, Layout::Nchw, [1, 1], &shape, None, &[4.0, 8.0, 12.0, 16.0], &mut dx);
            assert_eq!(dx, expected);
        }
    }
}
