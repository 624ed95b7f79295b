//! Tile sizes, and how tiles lie in feature maps and in memory.

use crate::kernels::aligned::LINE;

/// Tile size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Size {
    /// F(2x2, 3x3): 16 points; 2.25 times fewer multiplications.
    F2,
    /// F(4x4, 3x3): 36 points; 4 times fewer multiplications.
    F4,
}

impl Size {
    /// Rows and columns of an output tile.
    pub fn side(self) -> usize {
        match self {
            Size::F2 => 2,
            Size::F4 => 4,
        }
    }

    /// Rows and columns of an input tile.
    pub(super) fn reach(self) -> usize {
        self.side() + 2
    }

    /// Products per tile for one input and one output channel.
    pub fn points(self) -> usize {
        self.reach() * self.reach()
    }
}

/// At least `floats` floats, in an odd number of cache lines: with this stride, addresses fall into different cache sets.
pub(in crate::internal::kernels) fn odd_lines(floats: usize) -> usize {
    (floats.div_ceil(LINE) | 1) * LINE
}

/// Given a tile that starts at `first` along an axis and spans `reach` positions, those inside a feature map of length `len`:
/// first and end.
pub(in crate::internal::kernels) fn inside(first: isize, len: usize, reach: usize) -> [usize; 2] {
    let start = (-first).clamp(0, reach as isize);
    [start as usize, (len as isize - first).clamp(start, reach as isize) as usize]
}
