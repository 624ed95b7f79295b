//! Convolution as a matrix product (filters x depth times depth x pixels), with `matrixmultiply`.
//!
//! The second matrix (im2col) is built for one tile of pixels at a time, in the thread's own scratch, never as a whole; a 1x1
//! convolution with stride 1 needs no im2col. The epilogue runs on a tile while it is in cache.

use crate::kernels::conv::{ConvOperands, ConvShape, Residual, range_inside};
use crate::kernels::isa::Isa;
use crate::kernels::threads::{Disjoint, ThreadPool};

/// How the work is split: a task is a tile of pixels times a block of filters, in one group of one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Tiles {
    /// Output pixels per tile.
    pub pixels: usize,
    /// Filters per block, within a group.
    pub filters: usize,
}

impl Tiles {
    /// Chooses tiles for a thread count: as few tasks as keep all threads equally busy, since the product packs its operands in
    /// every task, and tiles of at most `MAX_TILE` floats, which fit in the L2 cache.
    pub fn choose(shape: &ConvShape, threads: usize) -> Tiles {
        const MAX_TILE: usize = 160 << 10;
        const MIN_PIXELS: usize = 96;
        let filters = shape.filters / shape.groups.max(1);
        let pixels = shape.pixels().max(1);
        let whole = (shape.batch * shape.groups).max(1);
        let limit = (MAX_TILE / shape.depth().max(1)).max(MIN_PIXELS);
        let mut columns = pixels.div_ceil(limit);
        let even = |tasks: usize| tasks.is_multiple_of(threads) || tasks >= 8 * threads;
        while !even(whole * columns) && pixels / (columns + 1) >= MIN_PIXELS {
            columns += 1;
        }
        let mut rows = 1;
        while !even(whole * columns * rows) && filters / (rows + 1) >= 8 {
            rows += 1;
        }
        Tiles { pixels: pixels.div_ceil(columns), filters: filters.div_ceil(rows).max(1) }
    }

    /// Scratch floats per thread.
    pub fn scratch(&self, shape: &ConvShape) -> usize {
        if shape.is_pointwise() { 0 } else { self.pixels * shape.depth() }
    }
}

/// Convolution of NCHW values, with the weight as stored. `scratch` needs [`Tiles::scratch`] floats per thread.
///
/// # Panics
/// If a slice has the wrong length, or the residual is in the output, which holds intermediate sums.
pub fn conv(
    pool: &ThreadPool,
    isa: Isa,
    shape: &ConvShape,
    tiles: Tiles,
    operands: &ConvOperands<'_>,
    scratch: &mut [f32],
    out: &mut [f32],
) {
    let ConvOperands { x, weight, epilogue } = *operands;
    assert!(!matches!(epilogue.residual, Residual::InPlace), "a residual in place");
    let pixels = shape.pixels();
    let depth = shape.depth();
    let (filters, channels) = (shape.filters / shape.groups, shape.channels / shape.groups);
    let plane = shape.input[0] * shape.input[1];
    let (columns, rows) = (pixels.div_ceil(tiles.pixels), filters.div_ceil(tiles.filters));
    let per_thread = tiles.scratch(shape);
    assert_eq!(x.len(), shape.input_sizes().iter().product::<usize>());
    assert_eq!(weight.len(), shape.filters * depth);
    let out = Disjoint::new(out);
    let scratch = Disjoint::new(scratch);
    // blocks of filters vary slowest, so that neighboring tasks share weights
    let tasks = shape.batch * shape.groups * columns * rows;
    pool.for_each(tasks, |task, thread| {
        let (column, task) = (task % columns, task / columns);
        let (sample, task) = (task % shape.batch, task / shape.batch);
        let (row, group) = (task % rows, task / rows);
        let first_pixel = column * tiles.pixels;
        let width = tiles.pixels.min(pixels - first_pixel);
        let first_filter = group * filters + row * tiles.filters;
        let height = tiles.filters.min(filters - row * tiles.filters);
        let input = &x[(sample * shape.channels + group * channels) * plane..][..channels * plane];
        let (b, b_stride) = if shape.is_pointwise() {
            (&input[first_pixel..], pixels)
        } else {
            // SAFETY: each thread has its own part of the scratch
            let tile = unsafe { scratch.slice(thread * per_thread, per_thread) };
            im2col(shape, input, first_pixel, width, tile);
            (&*tile, width)
        };
        let a = &weight[first_filter * depth..][..height * depth];
        assert!(b.len() >= (depth - 1) * b_stride + width);
        let start = (sample * shape.filters + first_filter) * pixels + first_pixel;
        let c = out.pointer(start, (height - 1) * pixels + width);
        // SAFETY: `a`, `b` and `c` hold all elements that the strides address, as asserted above; the rectangles of `c` of
        // different tasks do not overlap
        unsafe {
            matrixmultiply::sgemm(
                height,
                depth,
                width,
                1.0,
                a.as_ptr(),
                depth as isize,
                1,
                b.as_ptr(),
                b_stride as isize,
                1,
                0.0,
                c,
                pixels as isize,
                1,
            );
        }
        for f in 0..height {
            let start = start + f * pixels;
            // SAFETY: a row of this task's rectangle
            epilogue.finish(isa, first_filter + f, start, unsafe { out.slice(start, width) });
        }
    });
}

/// im2col for `width` pixels starting at `first`: `tile[k][pixel]` for each channel and kernel element `k`.
pub(in crate::internal::kernels) fn im2col(shape: &ConvShape, input: &[f32], first: usize, width: usize, tile: &mut [f32]) {
    let [h, w] = shape.input;
    let ow = shape.output[1];
    let [kh, kw] = shape.kernel;
    for (k, line) in tile.chunks_mut(width).take(shape.depth()).enumerate() {
        let (channel, element) = (k / (kh * kw), k % (kh * kw));
        let plane = &input[channel * h * w..][..h * w];
        let dy = (element / kw * shape.dilation[0]) as isize - shape.pad[0][0] as isize;
        let dx = (element % kw * shape.dilation[1]) as isize - shape.pad[1][0] as isize;
        let mut done = 0;
        while done < width {
            let pixel = first + done;
            let (y, x) = (pixel / ow, pixel % ow);
            let count = (ow - x).min(width - done);
            let to = &mut line[done..][..count];
            done += count;
            let row = (y * shape.stride[0]) as isize + dy;
            match plane.chunks(w).nth(usize::try_from(row).unwrap_or(usize::MAX)) {
                Some(row) => copy_row(row, x, shape.stride[1], dx, to),
                None => to.fill(0.0),
            }
        }
    }
}

/// `to[i] = row[(x + i) * stride + dx]`, zero outside of the row.
fn copy_row(row: &[f32], x: usize, stride: usize, dx: isize, to: &mut [f32]) {
    let inside = range_inside(x, to.len(), row.len(), stride, dx);
    to[..inside.start].fill(0.0);
    to[inside.end..].fill(0.0);
    if inside.is_empty() {
        return;
    }
    let from = (((x + inside.start) * stride) as isize + dx) as usize;
    let to = &mut to[inside];
    if stride == 1 {
        to.copy_from_slice(&row[from..][..to.len()]);
    } else {
        to.iter_mut().zip(row[from..].iter().step_by(stride)).for_each(|(t, &v)| *t = v);
    }
}
