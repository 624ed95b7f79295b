//! Pools over windows and to a fixed size; values are NCHW.

use std::ops::Range;

use super::pool::Pool;

/// Which pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PoolKind {
    /// Largest value; padding never wins.
    Max,
    /// Mean value.
    Avg {
        /// Whether zeros of the padding count in the divisor.
        count_pad: bool,
    },
}

/// A pool over windows. Windows that reach beyond the padding (output sizes rounded up) are cut off there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PoolShape {
    /// Which.
    pub kind: PoolKind,
    /// Maps: samples times channels.
    pub maps: usize,
    /// Height and width of a map.
    pub input: [usize; 2],
    /// Height and width of the result.
    pub output: [usize; 2],
    /// Window.
    pub kernel: [usize; 2],
    /// Step.
    pub stride: [usize; 2],
    /// Padding.
    pub pad: [[usize; 2]; 2],
    /// Distance between the values of a window.
    pub dilation: [usize; 2],
}

/// Pools over windows, a task for each row of the result: so few maps are shared as evenly as many.
pub fn pool(threads: &Pool, shape: &PoolShape, x: &[f32], out: &mut [f32]) {
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

/// One row of a max pool, from the rows of its windows.
fn max_row<'a>(shape: &PoolShape, rows: impl Iterator<Item = &'a [f32]>, line: &mut [f32]) {
    line.fill(f32::NEG_INFINITY);
    let (stride, left) = (shape.stride[1], shape.pad[1][0]);
    // these need no conditions
    let inside = Window::inside(shape, line.len());
    for row in rows {
        for tap in 0..shape.kernel[1] {
            if !inside.is_empty() {
                let from = &row[inside.start * stride + tap * shape.dilation[1] - left..];
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

/// What is not a number stays, as in PyTorch.
fn larger(a: f32, b: f32) -> f32 {
    if a > b || a.is_nan() { a } else { b }
}

/// The part of an axis that one window covers.
pub(super) struct Window {
    /// First element inside the map.
    pub start: usize,
    /// Elements inside the map.
    pub count: usize,
    /// From one to the next.
    pub step: usize,
    /// Elements, padding included.
    pub padded: usize,
}

impl Window {
    pub fn new(shape: &PoolShape, axis: usize, step: usize) -> Window {
        let [before, after] = shape.pad[axis];
        let (len, dilation) = (shape.input[axis], shape.dilation[axis]);
        let from = step * shape.stride[axis];
        // how many of the window's elements lie before that place of the padded axis
        let until = |end: usize| end.saturating_sub(from).div_ceil(dilation).min(shape.kernel[axis]);
        let (first, last) = (until(before), until(before + len));
        let start = (from + first * dilation).saturating_sub(before).min(len);
        Window { start, count: last - first, step: dilation, padded: until(before + len + after) }
    }

    /// Where its elements inside the map lie.
    pub fn places(&self) -> impl Iterator<Item = usize> + Clone + use<> {
        let Window { start, count, step, .. } = *self;
        (0..count).map(move |i| start + i * step)
    }

    /// Of so many columns of the result, those whose whole window lies inside the map.
    pub fn inside(shape: &PoolShape, columns: usize) -> Range<usize> {
        let (stride, left) = (shape.stride[1], shape.pad[1][0]);
        let extent = (shape.kernel[1] - 1) * shape.dilation[1] + 1;
        let first = left.div_ceil(stride).min(columns);
        let last = (shape.input[1] + left).checked_sub(extent).map_or(first, |rest| (rest / stride + 1).clamp(first, columns));
        first..last
    }
}

/// Average pool of `maps` maps to a fixed size; `[1, 1]` is the global mean.
pub fn adaptive_avg(threads: &Pool, input: [usize; 2], output: [usize; 2], x: &[f32], out: &mut [f32]) {
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

/// A sum in sixteen parts: faster than one, and its error grows more slowly.
fn sum(values: &[f32]) -> f32 {
    let mut sums = [0f32; 16];
    let chunks = values.chunks_exact(16);
    let rest: f32 = chunks.remainder().iter().sum();
    for chunk in chunks {
        sums.iter_mut().zip(chunk).for_each(|(s, &v)| *s += v);
    }
    sums.iter().sum::<f32>() + rest
}
