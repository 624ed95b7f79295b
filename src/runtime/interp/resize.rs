//! Resampling, by definition: each value of the result is a sum over all values of the operand along each axis.

use super::array::Array;
use crate::ir::{Interpolation, Upsample};

/// The weight of position `from` of `sizes[0]` in position `to` of `sizes[1]`.
fn weight(u: &Upsample, axis: usize, [from, to]: [usize; 2], sizes: [usize; 2]) -> f64 {
    let step = u.step(axis, sizes[0], sizes[1]);
    let last = sizes[0] as f64 - 1.0;
    if u.mode.copies() {
        // PyTorch computes the position in f32
        let source = ((to as f32 + u.mode.offset() as f32) * step as f32).floor();
        return f64::from(u8::from(f64::from(source).min(last) == from as f64));
    }
    let source = if u.align_corners { to as f64 * step } else { (to as f64 + 0.5) * step - 0.5 };
    let kernel = |distance: f64| match (u.mode, distance.abs()) {
        (Interpolation::Bicubic, x @ ..1.0) => 1.25 * x.powi(3) - 2.25 * x.powi(2) + 1.0,
        (Interpolation::Bicubic, x @ ..2.0) => -0.75 * (x.powi(3) - 5.0 * x.powi(2) + 8.0 * x - 4.0),
        (Interpolation::Bicubic, _) => 0.0,
        (_, x) => (1.0 - x).max(0.0),
    };
    // a kernel reaches two positions at most; those beyond an end have the value there
    let reached = (-2..=2).map(|offset| source.round() + f64::from(offset));
    reached.filter(|at| at.clamp(0.0, last) == from as f64).map(|at| kernel(source - at)).sum()
}

/// The weights of each axis: for each position of the result, those of the operand's positions.
fn weights(u: &Upsample, input: [usize; 2], output: [usize; 2]) -> [Vec<Vec<(usize, f64)>>; 2] {
    [0, 1].map(|axis| {
        let sizes = [input[axis], output[axis]];
        let of = |to| (0..sizes[0]).map(|from| (from, weight(u, axis, [from, to], sizes))).filter(|(_, w)| *w != 0.0).collect();
        (0..sizes[1]).map(of).collect()
    })
}

pub(super) fn upsample(u: &Upsample, x: &Array, shape: &[usize]) -> Vec<f64> {
    let [_, _, h, w] = x.map();
    let [rows, columns] = weights(u, [h, w], [shape[2], shape[3]]);
    let mut out = Vec::with_capacity(shape.iter().product());
    for plane in x.data.chunks(h * w) {
        for row in &rows {
            let value = |column: &Vec<(usize, f64)>| {
                let products = row.iter().flat_map(|(y, a)| column.iter().map(move |(x, b)| a * b * plane[y * w + x]));
                products.sum::<f64>()
            };
            out.extend(columns.iter().map(value));
        }
    }
    out
}

/// The transpose of [`upsample`].
pub(super) fn upsample_grad(u: &Upsample, dy: &Array, shape: &[usize]) -> Vec<f64> {
    let [_, _, oh, ow] = dy.map();
    let [h, w] = [shape[2], shape[3]];
    let [rows, columns] = weights(u, [h, w], [oh, ow]);
    let mut dx = vec![0.0; shape.iter().product()];
    for (dx, dy) in dx.chunks_mut(h * w).zip(dy.data.chunks(oh * ow)) {
        for (i, dy) in dy.iter().enumerate() {
            for (y, a) in &rows[i / ow] {
                for (x, b) in &columns[i % ow] {
                    dx[y * w + x] += a * b * dy;
                }
            }
        }
    }
    dx
}
