//! Memory that steps read and write.

use crate::kernels::Layout;

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
    /// The arena, starting at this float.
    Arena(usize),
}

/// Memory that steps read and write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// Its length in floats.
    pub len: usize,
    /// The order of its elements.
    pub layout: Layout,
    /// Where it is stored.
    pub place: Place,
}
