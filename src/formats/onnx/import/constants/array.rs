//! Constants while they are evaluated.

use crate::base::tensor::{DType, Tensor, count};

/// The maximum number of values of a constant.
const MAX_VALUES: usize = 1 << 27;

/// What the values of a constant are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Bool,
    Int,
    Float,
}

/// A constant. Its values are in f64, which has all f32 and all sizes exactly.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Array {
    pub kind: Kind,
    pub shape: Vec<usize>,
    pub values: Vec<f64>,
}

impl Array {
    /// A constant with a value for each place; `None` if their numbers differ.
    pub fn new(kind: Kind, shape: Vec<usize>, values: Vec<f64>) -> Option<Array> {
        (count(&shape) == Some(values.len())).then_some(Array { kind, shape, values })
    }

    /// The same value everywhere; `None` if that is too large.
    pub fn filled(kind: Kind, shape: Vec<usize>, value: f64) -> Option<Array> {
        let len = count(&shape).filter(|&len| len <= MAX_VALUES)?;
        Some(Array { kind, shape, values: vec![value; len] })
    }

    pub fn integers(list: &[i64]) -> Array {
        Array { kind: Kind::Int, shape: vec![list.len()], values: list.iter().map(|&n| n as f64).collect() }
    }

    pub fn of(tensor: &Tensor) -> Array {
        let bytes = tensor.to_le_bytes();
        let (kind, values) = match tensor.dtype() {
            DType::I64 => (Kind::Int, bytes.as_chunks::<8>().0.iter().map(|&b| i64::from_le_bytes(b) as f64).collect()),
            DType::I32 => (Kind::Int, bytes.as_chunks::<4>().0.iter().map(|&b| f64::from(i32::from_le_bytes(b))).collect()),
            DType::F64 => (Kind::Float, bytes.as_chunks::<8>().0.iter().map(|&b| f64::from_le_bytes(b)).collect()),
            other => {
                let kind = match other {
                    DType::Bool => Kind::Bool,
                    _ if other.is_float() => Kind::Float,
                    _ => Kind::Int,
                };
                (kind, tensor.to_f32().iter().map(|&v| f64::from(v)).collect())
            }
        };
        Array { kind, shape: tensor.shape().to_vec(), values }
    }

    /// The values as f32, integers or conditions.
    pub fn tensor(&self) -> Option<Tensor> {
        let shape = self.shape.clone();
        match self.kind {
            Kind::Float => Tensor::from_f32(shape, self.values.iter().map(|&v| v as f32).collect::<Vec<f32>>()),
            Kind::Int => {
                let bytes: Vec<u8> = self.values.iter().flat_map(|&v| (v as i64).to_le_bytes()).collect();
                Tensor::from_bytes(shape, DType::I64, bytes.into())
            }
            Kind::Bool => {
                let bytes: Vec<u8> = self.values.iter().map(|&v| u8::from(v != 0.0)).collect();
                Tensor::from_bytes(shape, DType::Bool, bytes.into())
            }
        }
    }

    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// The values as integers.
    pub fn list(&self) -> Vec<i64> {
        self.values.iter().map(|&v| v as i64).collect()
    }

    /// The value, if there is only one.
    pub fn single(&self) -> Option<f64> {
        match self.values[..] {
            [one] => Some(one),
            _ => None,
        }
    }

    /// Resolves an axis, which may be negative.
    pub fn axis(&self, axis: i64) -> Option<usize> {
        resolve(axis, self.rank())
    }

    /// The same values with other sizes.
    pub fn with_shape(&self, shape: Vec<usize>) -> Option<Array> {
        Array::new(self.kind, shape, self.values.clone())
    }

    /// Values read in steps: the value at `[i, j, …]` is the one at `start + i * steps[0] + j * steps[1] + …`. `None` if that is too
    /// large or leaves the constant.
    pub fn strided(&self, shape: Vec<usize>, start: isize, steps: &[isize]) -> Option<Array> {
        let len = count(&shape).filter(|&len| len <= MAX_VALUES)?;
        let mut values = Vec::with_capacity(len);
        let mut place = vec![0usize; shape.len()];
        let mut at = start;
        for _ in 0..len {
            values.push(*self.values.get(usize::try_from(at).ok()?)?);
            for axis in (0..shape.len()).rev() {
                place[axis] += 1;
                at += steps[axis];
                if place[axis] < shape[axis] {
                    break;
                }
                at -= steps[axis] * shape[axis] as isize;
                place[axis] = 0;
            }
        }
        Some(Array { kind: self.kind, shape, values })
    }

    /// The distance in `values` between neighbors along each axis.
    pub fn steps(&self) -> Vec<isize> {
        let mut steps = vec![1isize; self.rank()];
        for axis in (1..self.rank()).rev() {
            steps[axis - 1] = steps[axis].saturating_mul(self.shape[axis] as isize);
        }
        steps
    }

    /// The axes in another order.
    pub fn transposed(&self, order: &[usize]) -> Option<Array> {
        let is_permutation = order.len() == self.rank() && (0..self.rank()).all(|axis| order.contains(&axis));
        let steps = self.steps();
        let (shape, steps): (Vec<usize>, Vec<isize>) =
            order.iter().filter(|_| is_permutation).map(|&axis| (self.shape[axis], steps[axis])).unzip();
        is_permutation.then(|| self.strided(shape, 0, &steps)).flatten()
    }

    /// Axes of size 1 repeated, and new ones in front, as ONNX broadcasts.
    pub fn broadcast(&self, shape: &[usize]) -> Option<Array> {
        if self.shape == shape {
            return Some(self.clone());
        }
        let new = shape.len().checked_sub(self.rank())?;
        let own = self.steps();
        let mut steps = vec![0; shape.len()];
        for (axis, &size) in self.shape.iter().enumerate() {
            match size {
                _ if size == shape[new + axis] => steps[new + axis] = own[axis],
                1 => {}
                _ => return None,
            }
        }
        self.strided(shape.to_vec(), 0, &steps)
    }
}

/// An axis of this many, which may be negative.
pub(super) fn resolve(axis: i64, rank: usize) -> Option<usize> {
    let counted = if axis < 0 { axis.checked_add(i64::try_from(rank).ok()?)? } else { axis };
    usize::try_from(counted).ok().filter(|&axis| axis < rank)
}

/// The shape that both broadcast to.
pub(super) fn common(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let size = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |own| shape[own]);
    (0..rank)
        .map(|axis| match (size(a, axis), size(b, axis)) {
            (m, n) if m == n || n == 1 => Some(m),
            (1, n) => Some(n),
            _ => None,
        })
        .collect()
}
