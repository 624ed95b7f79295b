//! The sizes of padding.

use std::ops::Range;

/// The values around a padded feature map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Edge {
    /// Zeros.
    Zeros,
    /// The feature map reflected at its outermost values.
    Reflect,
    /// The outermost values, repeated.
    Replicate,
}

/// Padding of height and width, and zero channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PadShape {
    /// Sizes of the operand: samples, channels, height, width.
    pub input: [usize; 4],
    /// Zero channels before and after.
    pub channels: [usize; 2],
    /// Number of values: `[[top, bottom], [left, right]]`; for reflection less than the size of the feature map.
    pub sides: [[usize; 2]; 2],
    /// The padding mode.
    pub edge: Edge,
}

impl PadShape {
    /// Height and width of the result.
    pub fn output(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.input[axis + 2] + self.sides[axis][0] + self.sides[axis][1])
    }

    /// The row (axis 0) or column of the operand at position `at` of the result; `None` for zeros.
    pub fn source(&self, axis: usize, at: usize) -> Option<usize> {
        let (before, len) = (self.sides[axis][0], self.input[axis + 2]);
        let inside = at.checked_sub(before).filter(|&i| i < len);
        match self.edge {
            Edge::Zeros => inside,
            Edge::Replicate => Some(at.saturating_sub(before).min(len.saturating_sub(1))),
            Edge::Reflect if at < before => Some(before - at),
            Edge::Reflect => inside.or((2 * (before + len)).checked_sub(before + at + 2)),
        }
    }

    /// The padding columns left and right of the operand's columns.
    fn around(&self) -> impl Iterator<Item = usize> + use<> {
        let Range { start, end } = self.sides[1][0]..self.sides[1][0] + self.input[3];
        (0..start).chain(end..end + self.sides[1][1])
    }

    /// Fills the padding left and right of a row, for pixels with `lanes` values.
    pub fn finish_row(&self, row: &mut [f32], lanes: usize) {
        if self.edge == Edge::Zeros {
            return;
        }
        for at in self.around() {
            if let Some(from) = self.source(1, at) {
                let from = (from + self.sides[1][0]) * lanes;
                row.copy_within(from..from + lanes, at * lanes);
            }
        }
    }
}
