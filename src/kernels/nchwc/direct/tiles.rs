//! How a strip is split into tiles.

use super::strip::{Geometry, Strip};

/// A tile within a strip.
pub(super) struct Part {
    pub row: usize,
    pub column: usize,
    pub rows: usize,
    pub pixels: usize,
}

/// Splits a strip into tiles of nearly equal width, wider ones first; tiles of narrow feature maps span two rows.
#[derive(Clone)]
pub(super) struct Cut {
    lines: usize,
    width: usize,
    /// Tiles per row.
    across: usize,
    /// Width of the narrower tiles, in pixels.
    pixels: usize,
    two: bool,
    row: usize,
    column: usize,
}

impl Cut {
    pub fn new(g: &Geometry, strip: Strip, line: usize, most: usize) -> Cut {
        let (lines, width) = match g {
            Geometry { pointwise: true, .. } => (1, strip.count * line),
            Geometry { flat: true, .. } => (1, strip.count * g.width),
            _ => (strip.count, g.width),
        };
        let across = width.div_ceil(most);
        let two = (most.div_ceil(4)..=most / 2).contains(&width);
        Cut { lines, width, across, pixels: width / across, two, row: 0, column: 0 }
    }

    /// How many tiles there are.
    pub fn tiles(&self) -> usize {
        self.across * if self.two { self.lines.div_ceil(2) } else { self.lines }
    }
}

impl Iterator for Cut {
    type Item = Part;

    fn next(&mut self) -> Option<Part> {
        if self.row == self.lines {
            return None;
        }
        let rows = if self.two && self.row + 2 <= self.lines { 2 } else { 1 };
        let wider = self.width - self.pixels * self.across;
        let pixels = self.pixels + usize::from(self.column < wider * (self.pixels + 1));
        let part = Part { row: self.row, column: self.column, rows, pixels };
        self.column += pixels;
        if self.column == self.width {
            (self.column, self.row) = (0, self.row + rows);
        }
        Some(part)
    }
}
