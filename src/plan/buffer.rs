//! Memory that steps read and write.

use crate::base::tensor::DType;
use crate::kernels::Layout;

/// The largest buffer in bytes: leaves room for the sum of all buffers.
const MAX_BYTES: usize = isize::MAX as usize >> 4;

/// Index of a [`Buffer`] in its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BufferId(pub usize);

/// Where a buffer is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The caller's array for this input; read-only.
    Input(usize),
    /// The array for this output, allocated for each run.
    Output(usize),
    /// The arena, starting at this byte.
    Arena(usize),
}

/// Memory that steps read and write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// Its length in bytes.
    pub len: usize,
    /// The type of its elements.
    pub dtype: DType,
    /// Samples, channels, height, width. A feature vector is a 1 x 1 feature map.
    pub sizes: [usize; 4],
    /// The order of its elements.
    pub layout: Layout,
    /// Where it is stored.
    pub place: Place,
}

impl Buffer {
    /// A buffer for a value of these sizes; `None` if it would be empty or too large.
    pub(super) fn new(shape: &[usize], dtype: DType, layout: Layout, place: Place) -> Option<Buffer> {
        let sizes = four(shape);
        let len = layout.len(sizes)?.checked_mul(dtype.size())?;
        (1..MAX_BYTES).contains(&len).then_some(Buffer { len, dtype, sizes, layout, place })
    }
}

/// Sizes as samples, channels, height, width.
pub(super) fn four(shape: &[usize]) -> [usize; 4] {
    [0, 1, 2, 3].map(|i| shape.get(i).copied().unwrap_or(1))
}
