//! How the pixels of a strip are split into tiles.

/// Tiles of the same size within a strip, each to the right of the one before.
pub(super) struct TileRun {
    /// Row and column of the first one.
    pub row: usize,
    pub column: usize,
    /// Rows and columns of each.
    pub rows: usize,
    pub pixels: usize,
    /// Number of tiles.
    pub count: usize,
}

/// Splits a strip into runs of tiles of nearly equal width, wider ones first; tiles of narrow feature maps span two rows.
#[derive(Clone)]
pub(super) struct StripTiles {
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

impl StripTiles {
    /// For `lines` rows of `width` pixels, and tiles of at most `most`.
    pub fn new([lines, width]: [usize; 2], most: usize) -> StripTiles {
        let across = width.div_ceil(most);
        let two = (most.div_ceil(4)..=most / 2).contains(&width);
        StripTiles { lines, width, across, pixels: width / across, two, row: 0, column: 0 }
    }

    /// Number of tiles.
    pub fn tiles(&self) -> usize {
        self.across * if self.two { self.lines.div_ceil(2) } else { self.lines }
    }
}

impl Iterator for StripTiles {
    type Item = TileRun;

    fn next(&mut self) -> Option<TileRun> {
        if self.row == self.lines {
            return None;
        }
        let rows = if self.two && self.row + 2 <= self.lines { 2 } else { 1 };
        let wider = self.width - self.pixels * self.across;
        let (pixels, count) =
            if self.column == 0 && wider > 0 { (self.pixels + 1, wider) } else { (self.pixels, self.across - wider) };
        let run = TileRun { row: self.row, column: self.column, rows, pixels, count };
        self.column += pixels * count;
        if self.column == self.width {
            (self.column, self.row) = (0, self.row + rows);
        }
        Some(run)
    }
}
