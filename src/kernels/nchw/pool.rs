//! Pooling with windows and to a fixed output size.

use crate::kernels::pool::{PoolKind, PoolShape, Window};
use crate::kernels::threads::ThreadPool;

/// Pooling with one task per output row, so that few feature maps are distributed as evenly as many.
pub fn pool(threads: &ThreadPool, shape: &PoolShape, x: &[f32], out: &mut [f32]) {
    let [h, w] = shape.input;
    let [oh, ow] = shape.output;
    threads.pieces(out, ow, |index, line| {
        let plane = &x[index / oh * h * w..][..h * w];
        let rows = Window::new(shape, 0, index % oh);
        match shape.kind {
            PoolKind::Max => max_row(shape, rows.places().map(|y| &plane[y * w..][..w]), line),
            PoolKind::Avg { count_pad } => {
                for (ox, o) in line.iter_mut().enumerate() {
                    let columns = Window::new(shape, 1, ox);
                    let sum: f32 = rows.places().map(|y| columns.places().map(|x| plane[y * w + x]).sum::<f32>()).sum();
                    let count = if count_pad { rows.padded * columns.padded } else { rows.count * columns.count };
                    *o = sum / count as f32;
                }
            }
        }
    });
}

/// One row of a max pool, from the input rows of its windows.
fn max_row<'a>(shape: &PoolShape, rows: impl Iterator<Item = &'a [f32]>, line: &mut [f32]) {
    line.fill(f32::NEG_INFINITY);
    let (stride, left) = (shape.stride[1], shape.pad[1][0]);
    // these windows are entirely inside and need no bounds checks
    let inside = Window::inside(shape, line.len());
    for row in rows {
        for element in 0..shape.kernel[1] {
            if !inside.is_empty() {
                let from = &row[inside.start * stride + element * shape.dilation[1] - left..];
                line[inside.clone()].iter_mut().zip(from.iter().step_by(stride)).for_each(|(o, &v)| *o = larger(*o, v));
            }
        }
        for ox in (0..inside.start).chain(inside.end..line.len()) {
            for x in Window::new(shape, 1, ox).places() {
                line[ox] = larger(line[ox], row[x]);
            }
        }
    }
}

/// The larger value; NaN wins, as in PyTorch.
fn larger(a: f32, b: f32) -> f32 {
    if a > b || a.is_nan() { a } else { b }
}

/// Average pool of `maps` feature maps to a fixed output size; `[1, 1]` is the global average.
pub fn adaptive_avg(threads: &ThreadPool, input: [usize; 2], output: [usize; 2], x: &[f32], out: &mut [f32]) {
    let [h, w] = input;
    let [oh, ow] = output;
    threads.pieces(out, ow, |index, line| {
        let (map, oy) = (index / oh, index % oh);
        let plane = &x[map * h * w..][..h * w];
        if output == [1, 1] {
            line[0] = sum(plane) / plane.len() as f32;
            return;
        }
        let rows = &plane[oy * h / oh * w..((oy + 1) * h).div_ceil(oh) * w];
        for (ox, o) in line.iter_mut().enumerate() {
            let columns = ox * w / ow..((ox + 1) * w).div_ceil(ow);
            let sum: f32 = rows.chunks(w).map(|row| row[columns.clone()].iter().sum::<f32>()).sum();
            *o = sum / (rows.len() / w * columns.len()) as f32;
        }
    });
}

/// A sum in sixteen partial sums: faster than one, with slower error growth.
fn sum(values: &[f32]) -> f32 {
    let mut sums = [0f32; 16];
    let chunks = values.chunks_exact(16);
    let rest: f32 = chunks.remainder().iter().sum();
    for chunk in chunks {
        sums.iter_mut().zip(chunk).for_each(|(s, &v)| *s += v);
    }
    sums.iter().sum::<f32>() + rest
}
