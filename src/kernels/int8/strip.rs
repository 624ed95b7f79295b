//! The strips of a convolution, and the copies of their input.
//!
//! Maps are dense: a halo around them, planes by parity and other orders of pixels exist in copies only. A strip is copied once and
//! read for every output channel, which costs a hundredth of the arithmetic, and also widens bytes where products need 16 bits.
//! What the copy must look like (a tile of AMX wants 16 neighbors of 64 bytes) then concerns no other kernel.

use super::dot::{Dot, Segment};
use super::engine::Loop;
use super::map::SLOT;
use super::weights::{Input, in_blocks, taps};
use crate::kernels::ConvShape;

/// A range of output rows (pixels of all samples if pointwise) of some samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Strip {
    pub sample: usize,
    pub samples: usize,
    pub first: usize,
    pub count: usize,
}

/// The sizes of a convolution, in terms of strips. Distances are in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    pub input: Input,
    /// Whether each output pixel reads the input pixel at its place.
    pub pointwise: bool,
    /// Whether the input is read where it is.
    pub in_place: bool,
    /// Blocks of input channels.
    pub blocks: usize,
    /// Output rows, or 1 if pointwise.
    pub lines: usize,
    /// Output pixels per row, or all pixels of all samples.
    pub width: usize,
    /// Stored input rows between consecutive output rows.
    pub step: usize,
    /// Columns stored for each remainder modulo the stride.
    pub columns: usize,
    /// From a pixel to the next one.
    pub pixel: usize,
    /// From a row to the next one.
    pub pitch: usize,
    /// From a block to the next one.
    pub block: usize,
    /// From a sample to the next one.
    pub sample: usize,
}

impl Geometry {
    /// For strips of up to `rows` output rows (or pixels), with `width` bytes for each activation.
    pub fn new(shape: &ConvShape, input: Input, width: usize, rows: usize) -> Geometry {
        let pointwise = shape.is_pointwise() && input == Input::Map;
        let [kh, kw] = shape.kernel;
        let pixel = SLOT * width;
        let blocks = if input == Input::Image { 1 } else { shape.channels.div_ceil(SLOT) };
        let step = if kh == 1 { 1 } else { shape.stride[0] };
        if pointwise {
            let pixels = shape.batch * shape.pixels();
            let in_place = width == 1;
            let block = if in_place { pixels } else { rows } * pixel;
            let (lines, columns) = (1, pixels);
            return Geometry {
                input,
                pointwise,
                in_place,
                blocks,
                lines,
                width: pixels,
                step,
                columns,
                pixel,
                pitch: 0,
                block,
                sample: 0,
            };
        }
        let (phases, columns) = match input {
            Input::Image => (1, shape.output[1]),
            Input::Map => {
                let phases = if kw == 1 { 1 } else { shape.stride[1] };
                (phases, shape.output[1] + (kw - 1) * shape.dilation[1] / shape.stride[1])
            }
        };
        let pitch = phases * columns * pixel;
        let block = ((rows - 1) * step + (kh - 1) * shape.dilation[0] + 1) * pitch;
        Geometry {
            input,
            pointwise,
            in_place: false,
            blocks,
            lines: shape.output[0],
            width: shape.output[1],
            step,
            columns,
            pixel,
            pitch,
            block,
            sample: blocks * block,
        }
    }

    /// Input rows read by `rows` output rows.
    fn rows_in(&self, shape: &ConvShape, rows: usize) -> usize {
        (rows - 1) * self.step + (shape.kernel[0] - 1) * shape.dilation[0] + 1
    }

    /// Whether neighboring rows of outputs read neighboring pixels.
    pub fn is_flat(&self, shape: &ConvShape) -> bool {
        self.pointwise || shape.kernel == [1, 1]
    }

    /// Bytes of a strip of this many samples; 0 if the input is read in place.
    pub fn strip_len(&self, samples: usize) -> usize {
        match (self.in_place, self.pointwise) {
            (true, _) => 0,
            (_, true) => self.blocks * self.block,
            _ => samples * self.sample,
        }
    }

    /// The segments of a panel that reads these groups of four channels.
    pub fn segments(&self, shape: &ConvShape, width: usize, quads: std::ops::Range<usize>) -> Vec<Segment> {
        const EACH: usize = SLOT / 4;
        let kw = shape.kernel[1];
        let offset = |tap: usize| match self.input {
            Input::Image => tap * shape.dilation[0] * self.pitch,
            Input::Map => {
                let (y, x) = (tap / kw * shape.dilation[0], tap % kw * shape.dilation[1]);
                let (phase, column) = (x % shape.stride[1], x / shape.stride[1]);
                y * self.pitch + (phase * self.columns + column) * self.pixel
            }
        };
        let segment = |quads: &std::ops::Range<usize>, tap: usize| Segment {
            offset: quads.start / EACH * self.block + offset(tap) + quads.start % EACH * 4 * width,
            steps: quads.len() * width,
        };
        let taps = taps(shape, self.input);
        in_blocks(quads).flat_map(|quads| (0..taps).map(move |tap| segment(&quads, tap))).collect()
    }
}

/// Copies the input of a strip.
pub(super) struct Copy<'a> {
    pub shape: &'a ConvShape,
    pub geometry: &'a Geometry,
    pub x: &'a [u8],
    /// What stands for padding.
    pub zero: u8,
    pub strip: Strip,
    /// [`Geometry::strip_len`] bytes.
    pub to: *mut u8,
}

impl Loop for Copy<'_> {
    type Operands = Self;

    /// Copies `[sample][block][row][column remainder][column][64]`, or `[block][pixel][64]` if pointwise.
    #[inline(always)]
    unsafe fn run<D: Dot>(c: &Self) {
        let Copy { shape, geometry: g, strip, .. } = *c;
        let [h, w] = shape.input;
        let all = shape.batch * h * w * SLOT;
        // SAFETY of all blocks: guaranteed by the caller: the copy has room, and what is read is inside a slice
        if g.pointwise {
            for block in 0..g.blocks {
                let from = &c.x[block * all + strip.first * SLOT..][..strip.count * SLOT];
                // SAFETY: as above
                unsafe { D::widen(from.as_ptr(), from.len(), c.to.add(block * g.block)) };
            }
            return;
        }
        let rows = g.rows_in(shape, strip.count);
        // rows that no kernel element reads are skipped
        let apart = shape.stride[0] / g.step;
        let top = (strip.first * shape.stride[0]) as isize - shape.pad[0][0] as isize;
        let slot = if g.input == Input::Image { shape.channels } else { SLOT };
        for (sample, block) in (0..strip.samples).flat_map(|sample| (0..g.blocks).map(move |block| (sample, block))) {
            let plane = &c.x[(block * shape.batch + strip.sample + sample) * h * w * slot..][..h * w * slot];
            for row in 0..rows {
                // SAFETY: as above
                let to = unsafe { c.to.add(sample * g.sample + block * g.block + row * g.pitch) };
                let y = usize::try_from(top + (row * apart) as isize).ok().filter(|&y| y < h);
                let from = y.map_or(&[][..], |y| &plane[y * w * slot..][..w * slot]);
                // SAFETY: as above
                unsafe {
                    match g.input {
                        Input::Map => copy_row::<D>(c, from, to),
                        Input::Image => image_row::<D>(c, from, to),
                    }
                }
            }
        }
    }
}

/// Copies a row of a map, or fills one with padding if there is none.
///
/// # Safety
/// As [`Loop::run`].
#[inline(always)]
unsafe fn copy_row<D: Dot>(c: &Copy<'_>, row: &[u8], to: *mut u8) {
    let Copy { shape, geometry: g, .. } = *c;
    let (w, left, stride) = (row.len() / SLOT, shape.pad[1][0], shape.stride[1]);
    let line = g.columns * g.pixel;
    for phase in 0..g.pitch / line.max(1) {
        // SAFETY: inside the row
        let to = unsafe { to.add(phase * line) };
        // column c of this remainder is the padded column c * stride + phase
        let (mut first, mut last) = (g.columns, g.columns);
        if w > 0 {
            first = left.saturating_sub(phase).div_ceil(stride).min(g.columns);
            last = (w + left).saturating_sub(phase).div_ceil(stride).clamp(first, g.columns);
        }
        // SAFETY: columns of this row, and of the input's row
        unsafe {
            pad::<D>(c.zero, to, first * SLOT);
            pad::<D>(c.zero, to.add(last * g.pixel), (g.columns - last) * SLOT);
            if first == last {
                continue;
            }
            let from = &row[(first * stride + phase - left) * SLOT..];
            if stride == 1 {
                D::widen(from[..(last - first) * SLOT].as_ptr(), (last - first) * SLOT, to.add(first * g.pixel));
            } else {
                for column in first..last {
                    D::widen(from[(column - first) * stride * SLOT..][..SLOT].as_ptr(), SLOT, to.add(column * g.pixel));
                }
            }
        }
    }
}

/// Copies what each output reads of a row of an image: the pixels of a row of the kernel, one after the other.
///
/// # Safety
/// As [`Loop::run`].
#[inline(always)]
unsafe fn image_row<D: Dot>(c: &Copy<'_>, row: &[u8], to: *mut u8) {
    let Copy { shape, geometry: g, .. } = *c;
    let (channels, left, stride, dilation) = (shape.channels, shape.pad[1][0], shape.stride[1], shape.dilation[1]);
    let (kw, w) = (shape.kernel[1], row.len() / channels);
    let extent = (kw - 1) * dilation + 1;
    // whole vectors are faster; what follows is multiplied by no weight
    let whole = (kw * channels).next_multiple_of(16);
    for column in 0..g.columns {
        let start = column * stride;
        // SAFETY: a pixel of this row
        let to = unsafe { to.add(column * g.pixel) };
        if dilation == 1 && start >= left && start - left + extent <= w {
            let from = &row[(start - left) * channels..];
            let from = &from[..if from.len() < whole { kw * channels } else { whole }];
            // SAFETY: at most 64 bytes, which a pixel has
            unsafe { D::widen(from.as_ptr(), from.len(), to) };
            continue;
        }
        for k in 0..kw {
            let x = (start + k * dilation).wrapping_sub(left);
            // SAFETY: as above
            unsafe {
                let to = to.add(k * channels * D::WIDTH);
                if x < w {
                    D::widen(row[x * channels..][..channels].as_ptr(), channels, to);
                } else {
                    pad::<D>(c.zero, to, channels);
                }
            }
        }
    }
}

/// Fills with padding.
///
/// # Safety
/// As [`Loop::run`].
#[inline(always)]
unsafe fn pad<D: Dot>(zero: u8, to: *mut u8, count: usize) {
    // SAFETY: guaranteed by the caller
    unsafe {
        if D::WIDTH == 1 {
            to.write_bytes(zero, count);
        } else {
            for i in 0..count {
                to.cast::<u16>().add(i).write_unaligned(zero.into());
            }
        }
    }
}

/// Makes panels' weights those of a strip.
pub(super) struct Expand {
    pub from: *const i8,
    /// Groups of four channels, over all kernel elements.
    pub quads: usize,
    pub to: *mut u8,
}

impl Loop for Expand {
    type Operands = Self;

    #[inline(always)]
    unsafe fn run<D: Dot>(e: &Self) {
        // SAFETY: guaranteed by the caller
        unsafe { D::expand(e.from, e.quads, e.to) }
    }
}
