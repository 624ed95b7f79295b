//! The strips of a convolution, and the copies of their input.

use crate::kernels::ConvShape;

/// Maximum number of kernel elements, whose offsets are kept on the stack.
pub(super) const MAX_ELEMENTS: usize = 128;

/// The sizes of a convolution, in terms of strips.
pub(super) struct Geometry {
    /// Contiguous channels in the input.
    pub lanes: usize,
    /// Number of blocks of `lanes` channels.
    pub blocks: usize,
    /// Whether the input is read in place.
    pub pointwise: bool,
    /// Whether the rows of a strip are contiguous, so that pixels of two rows may share a tile.
    pub flat: bool,
    /// Output rows; 1 if pointwise.
    pub lines: usize,
    /// Output pixels per row; all of them if pointwise.
    pub width: usize,
    /// Stored input rows between consecutive output rows of the strip.
    pub step: usize,
    /// Columns stored for each remainder.
    pub columns: usize,
    /// Floats per row of the strip.
    pub pitch: usize,
}

impl Geometry {
    pub fn new(shape: &ConvShape, lanes: usize) -> Geometry {
        let pointwise = shape.is_pointwise() && lanes > 1;
        let [kh, kw] = shape.kernel;
        let phases = if kw == 1 { 1 } else { shape.stride[1] };
        let columns = shape.output[1] + (kw - 1) * shape.dilation[1] / shape.stride[1];
        Geometry {
            lanes,
            blocks: shape.channels.div_ceil(lanes),
            pointwise,
            flat: kh * kw == 1,
            lines: if pointwise { 1 } else { shape.output[0] },
            width: if pointwise { shape.pixels() } else { shape.output[1] },
            step: if kh == 1 { 1 } else { shape.stride[0] },
            columns,
            pitch: phases * columns * lanes,
        }
    }

    /// Input rows read by `rows` output rows.
    pub fn rows_in(&self, shape: &ConvShape, rows: usize) -> usize {
        (rows - 1) * self.step + (shape.kernel[0] - 1) * shape.dilation[0] + 1
    }

    /// Rows of pixels of a strip and their width: what is contiguous is one row. `line` counts the pixels of a row of the strip if
    /// pointwise.
    pub fn lines_of(&self, strip: Strip, line: usize) -> [usize; 2] {
        match self {
            Geometry { pointwise: true, .. } => [1, strip.count * line],
            Geometry { flat: true, .. } => [1, strip.count * self.width],
            _ => [strip.count, self.width],
        }
    }

    /// Floats of a strip per sample.
    pub fn strip(&self, shape: &ConvShape, rows: usize) -> usize {
        if self.pointwise { 0 } else { self.blocks * self.rows_in(shape, rows) * self.pitch }
    }
}

/// A range of output rows (pixels if pointwise) of some samples.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Strip {
    pub sample: usize,
    pub samples: usize,
    pub first: usize,
    pub count: usize,
}

/// The offset of each kernel element in a strip (or in the input, if read in place).
pub(super) fn offsets(shape: &ConvShape, g: &Geometry) -> [usize; MAX_ELEMENTS] {
    let mut offsets = [0; MAX_ELEMENTS];
    let [kh, kw] = shape.kernel;
    assert!(kh * kw <= MAX_ELEMENTS);
    for (element, offset) in offsets.iter_mut().enumerate().take(kh * kw) {
        let (y, x) = (element / kw * shape.dilation[0], element % kw * shape.dilation[1]);
        let (phase, column) = (x % shape.stride[1], x / shape.stride[1]);
        *offset = y * g.pitch + (phase * g.columns + column) * g.lanes;
    }
    offsets
}

/// Copies the input of a strip: `[sample][block][row][column remainder][column][lanes]`, with zeros for padding.
pub(super) fn copy_strip(shape: &ConvShape, g: &Geometry, x: &[f32], strip: Strip, to: &mut [f32]) {
    let [h, w] = shape.input;
    let rows = g.rows_in(shape, strip.count);
    // rows that no kernel element reads are skipped
    let apart = shape.stride[0] / g.step;
    let line = w * g.lanes;
    let top = (strip.first * shape.stride[0]) as isize - shape.pad[0][0] as isize;
    let maps = strip.sample * g.blocks..(strip.sample + strip.samples) * g.blocks;
    for (map, to) in maps.zip(to.chunks_exact_mut(rows * g.pitch)) {
        let plane = &x[map * h * line..][..h * line];
        for (row, to) in to.chunks_exact_mut(g.pitch).enumerate() {
            match usize::try_from(top + (row * apart) as isize).ok().filter(|&y| y < h) {
                Some(y) => copy_row(shape, g, &plane[y * line..][..line], to),
                None => to.fill(0.0),
            }
        }
    }
}

fn copy_row(shape: &ConvShape, g: &Geometry, row: &[f32], to: &mut [f32]) {
    let (w, left, stride, lanes) = (shape.input[1], shape.pad[1][0], shape.stride[1], g.lanes);
    for (phase, to) in to.chunks_exact_mut(g.columns * lanes).enumerate() {
        // column c of this remainder is the padded column c * stride + phase
        let first = left.saturating_sub(phase).div_ceil(stride).min(g.columns);
        let last = (w + left).saturating_sub(phase).div_ceil(stride).clamp(first, g.columns);
        to[..first * lanes].fill(0.0);
        to[last * lanes..].fill(0.0);
        if first == last {
            continue;
        }
        let from = &row[(first * stride + phase - left) * lanes..];
        let to = &mut to[first * lanes..last * lanes];
        if stride == 1 {
            to.copy_from_slice(&from[..to.len()]);
        } else if lanes == 1 {
            to.iter_mut().zip(from.iter().step_by(stride)).for_each(|(t, &v)| *t = v);
        } else {
            to.chunks_exact_mut(lanes).zip(from.chunks(stride * lanes)).for_each(|(t, v)| t.copy_from_slice(&v[..lanes]));
        }
    }
}
