//! Reductions and norms of constants: exporters write out how weights are standardized.

use super::array::{Array, Kind};

/// A reduction over these axes, all of them if there are none; `None` for an operator that is none.
pub(super) fn reduce(op: &str, x: &Array, axes: &[usize], keep: bool) -> Option<Array> {
    let of: fn(&[f64]) -> f64 = match op {
        "ReduceMean" => mean,
        "ReduceSum" => |row| row.iter().sum(),
        "ReduceProd" => |row| row.iter().product(),
        "ReduceMax" => |row| row.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        "ReduceMin" => |row| row.iter().copied().fold(f64::INFINITY, f64::min),
        "ReduceL1" => |row| row.iter().map(|v| v.abs()).sum(),
        "ReduceL2" => |row| row.iter().map(|v| v * v).sum::<f64>().sqrt(),
        "ReduceSumSquare" => |row| row.iter().map(|v| v * v).sum(),
        _ => return None,
    };
    let is_reduced = |axis: &usize| axes.is_empty() || axes.contains(axis);
    let (reduced, kept): (Vec<usize>, Vec<usize>) = (0..x.rank()).partition(is_reduced);
    let rows = x.transposed(&[&kept[..], &reduced].concat())?;
    let len: usize = reduced.iter().map(|&axis| x.shape[axis]).product();
    if len == 0 {
        return None;
    }
    let values: Vec<f64> = rows.values.chunks(len).map(of).collect();
    let size = |axis: usize| if reduced.contains(&axis) { keep.then_some(1) } else { Some(x.shape[axis]) };
    Array::new(x.kind, (0..x.rank()).filter_map(size).collect(), values)
}

/// The first axes as they are, and the others normalized: each row `(x - mean) / sqrt(variance + eps)`.
pub(super) fn normalized(x: &Array, rows_of: usize, eps: f64) -> Option<Array> {
    let len: usize = x.shape.get(rows_of..)?.iter().product();
    if len == 0 {
        return None;
    }
    let mut values = Vec::with_capacity(x.values.len());
    for row in x.values.chunks(len) {
        let mean = mean(row);
        let variance = row.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / len as f64;
        let factor = 1.0 / (variance + eps).sqrt();
        values.extend(row.iter().map(|v| (v - mean) * factor));
    }
    Array::new(Kind::Float, x.shape.clone(), values)
}

/// `x * scale + shift`, with a value of each for every index of this axis.
pub(super) fn affine(x: &Array, axis: usize, scale: &Array, shift: &Array) -> Option<Array> {
    let channels = *x.shape.get(axis)?;
    let inner: usize = x.shape[axis + 1..].iter().product();
    if scale.values.len() != channels || shift.values.len() != channels || inner == 0 {
        return None;
    }
    let of = |(at, v): (usize, &f64)| {
        let channel = at / inner % channels;
        v * scale.values[channel] + shift.values[channel]
    };
    Array::new(Kind::Float, x.shape.clone(), x.values.iter().enumerate().map(of).collect())
}

fn mean(row: &[f64]) -> f64 {
    row.iter().sum::<f64>() / row.len() as f64
}
