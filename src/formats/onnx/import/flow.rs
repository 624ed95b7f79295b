//! Values of the network during the import, and their sizes.

use crate::ir::{Dim, Shape, Value};

/// A value of the network.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    /// The value in the graph.
    pub value: Value,
    /// Its shape without the batch.
    pub shape: Shape,
    /// The number of its batch axes in the file.
    pub lead: usize,
}

impl Flow {
    pub fn dims(&self) -> &[Dim] {
        self.shape.dims().unwrap_or(&[])
    }

    /// The number of axes in the file.
    pub fn rank(&self) -> usize {
        self.lead + self.dims().len()
    }

    /// Resolves an axis, which may be negative.
    pub fn axis(&self, axis: i64) -> Result<usize, String> {
        let rank = self.rank() as i64;
        let counted = if axis < 0 { axis.checked_add(rank) } else { Some(axis) };
        counted.filter(|a| (0..=rank).contains(a)).map(|a| a as usize).ok_or_else(|| format!("it has no axis {axis}"))
    }
}

/// An integer that may depend on the input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Size {
    /// A known integer.
    Number(i64),
    /// The size of an axis of the batch.
    Batch(usize),
    /// The size of a non-batch axis of a value.
    Of { dim: Dim, value: Value, axis: usize },
}

impl Size {
    /// The integer, unless it depends on the input.
    pub fn number(self) -> Option<i64> {
        match self {
            Size::Number(n) => Some(n),
            Size::Batch(_) => None,
            Size::Of { dim, .. } => dim.fixed().and_then(|n| i64::try_from(n).ok()),
        }
    }
}
