//! Values in another order: a permutation of axes.

use crate::kernels::nchwc::runs;
use crate::kernels::threads::{Disjoint, ThreadPool};

/// Floats per run of a copy, or about as many.
const RUN: usize = 16 << 10;

/// Copies `x`, whose axes have these `sizes`, with the axes in another `order`: axis `i` of the result is axis `order[i]` of `x`.
///
/// # Panics
/// If a slice has the wrong length, or `order` is no permutation of the axes.
pub fn rearrange(pool: &ThreadPool, sizes: &[usize], order: &[usize], x: &[f32], out: &mut [f32]) {
    assert_eq!((x.len(), out.len()), (sizes.iter().product(), sizes.iter().product()));
    assert!(sizes.len() == order.len() && (0..sizes.len()).all(|axis| order.contains(&axis)), "{order:?}");
    let stride = |axis: usize| sizes[axis + 1..].iter().product::<usize>();
    let axes: Vec<(usize, usize)> = order.iter().map(|&axis| (sizes[axis], stride(axis))).collect();
    // rows of the result, in runs; a value in its own order is one row
    let (outer, (rows, row_step), (inner, step)) = match axes[..] {
        [ref outer @ .., row, inner] => (outer, row, inner),
        [_] | [] => (&[][..], (x.len(), 1), (1, 1)),
    };
    let maps = outer.iter().map(|(size, _)| size).product();
    let out = Disjoint::new(out);
    runs(pool, maps, rows, (RUN / inner.max(1)).max(1), |map, run| {
        let mut rest = map;
        let mut start = run.start * row_step;
        for &(size, stride) in outer.iter().rev() {
            start += rest % size * stride;
            rest /= size;
        }
        // SAFETY: rows of this run only
        let out = unsafe { out.slice((map * rows + run.start) * inner, run.len() * inner) };
        if row_step == inner * step && step == 1 {
            out.copy_from_slice(&x[start..][..out.len()]);
        } else if step == 1 {
            for (row, to) in out.chunks_exact_mut(inner).enumerate() {
                to.copy_from_slice(&x[start + row * row_step..][..inner]);
            }
        } else {
            for (row, to) in out.chunks_exact_mut(inner).enumerate() {
                to.iter_mut().zip(x[start + row * row_step..].iter().step_by(step)).for_each(|(to, &v)| *to = v);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::reference::Numbers;

    #[test]
    fn permutes_axes() {
        let mut n = Numbers::new(44);
        for _ in 0..200 {
            let pool = ThreadPool::new(1 + n.below(3)).unwrap();
            let sizes: Vec<usize> = (0..n.below(6)).map(|_| 1 + n.below(6)).collect();
            let mut order: Vec<usize> = (0..sizes.len()).collect();
            for i in (1..order.len()).rev() {
                order.swap(i, n.below(i + 1));
            }
            let len = sizes.iter().product();
            let x: Vec<f32> = (0..len).map(|i| i as f32).collect();
            let mut out = vec![f32::NAN; len];
            rearrange(&pool, &sizes, &order, &x, &mut out);
            for (i, &v) in out.iter().enumerate() {
                let (mut rest, mut from) = (i, 0);
                for &axis in order.iter().rev() {
                    from += rest % sizes[axis] * sizes[axis + 1..].iter().product::<usize>();
                    rest /= sizes[axis];
                }
                assert_eq!(v, from as f32, "{sizes:?} {order:?}");
            }
        }
    }
}
