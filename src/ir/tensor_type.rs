//! The type of a value: what its elements are, how many rows it has, and the shape of a row.

use std::fmt;

use super::Shape;
use crate::base::tensor::DType;

/// How many rows a value has: the first axis of its array, which its [`Shape`] leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rows {
    /// One for each sample of the batch, as almost every value.
    PerSample,
    /// One for the whole batch, without an axis for it: batch statistics, and gradients of parameters.
    PerBatch,
    /// As many as are counted while the network runs, such as the regions that a detector proposes: at most this many for each sample.
    /// The rows of the first sample come first.
    Counted(usize),
}

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rows::PerSample => f.write_str("a row per sample"),
            Rows::PerBatch => f.write_str("one value for the whole batch"),
            Rows::Counted(bound) => write!(f, "up to {bound} counted rows per sample"),
        }
    }
}

/// The type of a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TensorType {
    /// The type of its elements.
    pub dtype: DType,
    /// How many rows it has.
    pub rows: Rows,
    /// The shape of a row.
    pub shape: Shape,
}

impl TensorType {
    /// A value of f32 with a row per sample.
    pub const fn per_sample(shape: Shape) -> TensorType {
        TensorType { dtype: DType::F32, rows: Rows::PerSample, shape }
    }
}

/// As dumps show it: the shape of a row, and whatever is not usual.
impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Rows::Counted(bound) = self.rows {
            write!(f, "up to {bound} of ")?;
        }
        write!(f, "{}", self.shape)?;
        if self.dtype != DType::F32 {
            write!(f, " {}", self.dtype)?;
        }
        Ok(())
    }
}
