//! Exports pools. ONNX and PyTorch differ for `ceil_mode` and adaptive pools.

use super::ExportError;
use super::emit::{Emitter, axes, int, ints, sides, unsupported};
use crate::ir::{Node, NodeId, Pad, Pool, PoolKind, Shape};

/// The maximum size of an averaging matrix.
const MAX_MATRIX: usize = 1 << 26;

impl Emitter<'_> {
    /// If sizes are known, `ceil_mode` is exported as extra padding at the end, because readers interpret it differently: PyTorch drops a last
    /// window that starts in the padding. An average with `count_include_pad` counts only the declared padding, which becomes a separate `Pad`.
    pub(super) fn pool(&mut self, id: NodeId, node: &Node, pool: &Pool, x: &str) -> String {
        let rank = self.rank(id);
        let extra = if pool.ceil { extra_padding(pool, self.operand(id), self.result(id)) } else { None };
        let exceeds = pool.ceil && extra != Some([0; 2]);
        let padded = pool.pad != [[0; 2]; 2];
        let mut x = x.to_owned();
        let mut pad = pool.pad;
        if pool.kind == (PoolKind::Avg { count_pad: true }) && exceeds && padded {
            x = self.pad(id, &format!("{}.padded", node.name), &Pad::zeros(pad), &x);
            pad = [[0; 2]; 2];
        }
        for (sides, more) in pad.iter_mut().zip(extra.unwrap_or([0; 2])) {
            sides[1] += more;
        }
        let is_too_wide = |axis: usize| pad[axis].iter().any(|&n| n >= pool.kernel[axis]);
        if matches!(pool.kind, PoolKind::Max { .. }) && (is_too_wide(0) || is_too_wide(1)) {
            // readers reject a padding as large as the kernel without dilation
            let lowest = self.values(&format!("{}.lowest", node.name), Vec::new(), vec![f32::NEG_INFINITY]);
            x = self.padded(id, &format!("{}.padded", node.name), &Pad::zeros(pad), &x, Some(&lowest));
            pad = [[0; 2]; 2];
        }
        let mut attributes = vec![
            int("ceil_mode", usize::from(pool.ceil && extra.is_none())),
            ints("kernel_shape", &axes(pool.kernel, rank)),
            ints("pads", &sides(pad, rank)),
            ints("strides", &axes(pool.stride, rank)),
        ];
        let op = match pool.kind {
            PoolKind::Max { dilation } => {
                if dilation != [1, 1] {
                    attributes.push(ints("dilations", &axes(dilation, rank)));
                }
                "MaxPool"
            }
            PoolKind::Avg { count_pad } => {
                attributes.push(int("count_include_pad", usize::from(count_pad && !exceeds)));
                "AveragePool"
            }
        };
        self.push(op, &node.name, &[&x], attributes)
    }

    /// An adaptive average pool. Windows of equal size are a pool; others are two products with constant matrices.
    pub(super) fn adaptive(&mut self, id: NodeId, node: &Node, x: &str) -> Result<String, ExportError> {
        let sizes = |shape: Option<&Shape>| shape.and_then(Shape::sizes).map(|s| s.get(1..).unwrap_or(&[]).to_vec());
        let (Some(from), Some(to)) = (sizes(self.operand(id)), sizes(Some(self.result(id)))) else {
            return Err(unsupported(node, "its windows depend on the size of the input, which is free".to_owned()));
        };
        if from.iter().zip(&to).all(|(n, m)| n % m == 0) {
            let window: Vec<i64> = from.iter().zip(&to).map(|(n, m)| (n / m) as i64).collect();
            let attributes = vec![ints("kernel_shape", &window), ints("strides", &window)];
            return Ok(self.push("AveragePool", &node.name, &[x], attributes));
        }
        if from.iter().zip(&to).any(|(n, m)| n.saturating_mul(*m) > MAX_MATRIX) {
            return Err(unsupported(node, "its averaging matrix would be too large".to_owned()));
        }
        let name = &node.name;
        let mut y = x.to_owned();
        // the last axis by a product on the right, then the axis before it by a product on the left
        if let (Some(&n), Some(&m)) = (from.last(), to.last()) {
            let columns = self.values(&format!("{name}.columns"), vec![n, m], transposed(&means(n, m), m, n));
            y = self.push("MatMul", &format!("{name}.along_rows"), &[&y, &columns], Vec::new());
        }
        if let ([n, _], [m, _]) = (&from[..], &to[..]) {
            let rows = self.values(&format!("{name}.rows"), vec![*m, *n], means(*n, *m));
            y = self.push("MatMul", name, &[&rows, &y], Vec::new());
        }
        Ok(y)
    }
}

/// How far the last windows extend past the declared padding; `None` if a size is free.
fn extra_padding(pool: &Pool, from: Option<&Shape>, to: &Shape) -> Option<[usize; 2]> {
    let (from, to) = (from?.sizes()?, to.sizes()?);
    let mut more = [0; 2];
    // a 1-D input has only the last axis
    for (axis, (&n, &m)) in (0..2).rev().zip(from.get(1..)?.iter().rev().zip(to.get(1..)?.iter().rev())) {
        let end = (m.checked_sub(1)?).checked_mul(pool.stride[axis])?.checked_add(pool.extent()[axis])?;
        more[axis] = end.saturating_sub(n + pool.pad[axis][0] + pool.pad[axis][1]);
    }
    Some(more)
}

/// The `m x n` matrix of PyTorch's adaptive average of `n` values.
fn means(n: usize, m: usize) -> Vec<f32> {
    let mut matrix = vec![0.0; n * m];
    for i in 0..m {
        let (start, end) = (i * n / m, ((i + 1) * n).div_ceil(m));
        matrix[i * n + start..i * n + end].fill(1.0 / (end - start) as f32);
    }
    matrix
}

fn transposed(matrix: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|c| (0..rows).map(move |r| matrix[r * columns + c])).collect()
}
