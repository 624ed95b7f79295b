//! Operators that move the values of constants.

use super::array::{Array, Kind, resolve};

/// Reads what a slice states: a start, an end and a step for each of some axes.
pub(super) struct Slices<'a> {
    pub starts: &'a [i64],
    pub ends: &'a [i64],
    pub axes: Option<&'a [i64]>,
    pub steps: Option<&'a [i64]>,
}

/// A part of each axis.
pub(super) fn slice(x: &Array, slices: &Slices<'_>) -> Option<Array> {
    let (mut shape, mut steps, mut start) = (x.shape.clone(), x.steps(), 0isize);
    for (i, (&from, &to)) in slices.starts.iter().zip(slices.ends).enumerate() {
        let axis = match slices.axes {
            Some(axes) => x.axis(*axes.get(i)?)?,
            None => resolve(i64::try_from(i).ok()?, x.rank())?,
        };
        let step = slices.steps.map_or(Some(1), |steps| steps.get(i).copied()).filter(|&step| step != 0)?;
        let size = i64::try_from(x.shape[axis]).ok()?;
        let counted = |at: i64| if at < 0 { at.saturating_add(size) } else { at };
        let (from, to) = match step {
            1.. => (counted(from).clamp(0, size), counted(to).clamp(0, size)),
            _ => (counted(from).clamp(-1, size - 1), counted(to).clamp(-1, size - 1)),
        };
        let distance = if step > 0 { to - from } else { from - to };
        let len = u64::try_from(distance).unwrap_or(0).div_ceil(step.unsigned_abs());
        let own = x.steps()[axis];
        shape[axis] = usize::try_from(len).ok()?;
        if len > 0 {
            start += isize::try_from(from).ok()?.checked_mul(own)?;
        }
        steps[axis] = own.checked_mul(isize::try_from(step).ok()?)?;
    }
    x.strided(shape, start, &steps)
}

/// The parts of an axis at these indices.
pub(super) fn gather(x: &Array, indices: &Array, axis: usize) -> Option<Array> {
    let size = *x.shape.get(axis)?;
    let inner: usize = x.shape[axis + 1..].iter().product();
    let places = indices.list().into_iter().map(|at| resolve(at, size)).collect::<Option<Vec<usize>>>()?;
    let mut values = Vec::new();
    for block in x.values.chunks((size * inner).max(1)) {
        for &place in &places {
            values.extend_from_slice(block.get(place * inner..(place + 1) * inner)?);
        }
    }
    let shape = [&x.shape[..axis], &indices.shape, &x.shape[axis + 1..]].concat();
    Array::new(x.kind, shape, values)
}

pub(super) fn concat(parts: &[Array], axis: i64) -> Option<Array> {
    let first = parts.first()?;
    let axis = first.axis(axis)?;
    let is_other = |i: usize| i != axis;
    let fits = |part: &Array| {
        part.rank() == first.rank() && (0..first.rank()).filter(|&i| is_other(i)).all(|i| part.shape[i] == first.shape[i])
    };
    if !parts.iter().all(fits) {
        return None;
    }
    let rows: usize = first.shape[..axis].iter().product();
    let mut values = Vec::new();
    for row in 0..rows {
        for part in parts {
            let len: usize = part.shape[axis..].iter().product();
            values.extend_from_slice(part.values.get(row * len..(row + 1) * len)?);
        }
    }
    let mut shape = first.shape.clone();
    shape[axis] = parts.iter().map(|part| part.shape[axis]).sum();
    let kind = parts.iter().map(|part| part.kind).max().unwrap_or(Kind::Float);
    Array::new(kind, shape, values)
}

/// The sizes that a `Reshape` states: 0 copies a size, and -1 is what the others leave.
pub(super) fn reshaped(x: &Array, goal: &[i64], zero_copies: bool) -> Option<Array> {
    let mut shape = Vec::new();
    let mut open = None;
    for (axis, &size) in goal.iter().enumerate() {
        shape.push(match size {
            -1 => {
                open = Some(axis);
                1
            }
            0 if zero_copies => *x.shape.get(axis)?,
            size => usize::try_from(size).ok()?,
        });
    }
    if let Some(axis) = open {
        let stated = crate::base::tensor::count(&shape)?;
        shape[axis] = x.values.len().checked_div(stated)?;
    }
    x.with_shape(shape)
}

/// Without these axes of size 1; without all of them if none is stated.
pub(super) fn squeezed(x: &Array, axes: Option<&[i64]>) -> Option<Array> {
    let axes = axes.map(|axes| axes.iter().map(|&axis| x.axis(axis)).collect::<Option<Vec<usize>>>());
    let axes = match axes {
        Some(axes) => axes?,
        None => (0..x.rank()).filter(|&axis| x.shape[axis] == 1).collect(),
    };
    let kept = (0..x.rank()).filter(|axis| !axes.contains(axis)).map(|axis| x.shape[axis]).collect();
    x.with_shape(kept)
}

/// With more axes of size 1.
pub(super) fn unsqueezed(x: &Array, axes: &[i64]) -> Option<Array> {
    let rank = x.rank().checked_add(axes.len())?;
    let axes = axes.iter().map(|&axis| resolve(axis, rank)).collect::<Option<Vec<usize>>>()?;
    let mut own = x.shape.iter();
    let size = |axis: usize| if axes.contains(&axis) { Some(1) } else { own.next().copied() };
    let shape: Option<Vec<usize>> = (0..rank).map(size).collect();
    x.with_shape(shape?)
}
