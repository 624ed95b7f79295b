//! For NCHW: a matrix product of `dy` (filters x pixels) and the im2col columns of `x` (pixels x depth).
//!
//! A task computes the gradient of some channels over a range of pixels, tile by tile: the values that the channels' kernel
//! elements read at a tile's pixels are copied to the thread's scratch (im2col). If there are too few channels to keep the
//! threads busy, there are several ranges, whose sums are stored separately and added in order.

use crate::kernels::ConvShape;
use crate::kernels::nchw::gemm::im2col;
use crate::kernels::threads::{Disjoint, ThreadPool, share};

/// Approximate number of gradient columns per task.
const COLUMNS: usize = 96;
/// Approximate number of floats per tile, which stays in the L2 cache.
const TILE: usize = 64 << 10;
/// Desired number of tasks, so that up to four threads finish at nearly the same time.
const TASKS: usize = 16;

/// How the work is split.
struct Split {
    /// Sets of channels per group.
    sets: usize,
    /// Tiles per feature map.
    tiles: usize,
    /// Ranges of the tiles of all samples.
    ranges: usize,
    /// Floats per tile; 0 if the input is read in place.
    tile: usize,
}

impl Split {
    fn new(shape: &ConvShape, threads: usize) -> Split {
        let (channels, elements) = (shape.channels / shape.groups, shape.kernel[0] * shape.kernel[1]);
        let sets = (shape.depth() / COLUMNS).clamp(1, channels);
        let columns = channels.div_ceil(sets) * elements;
        let tiles = (shape.pixels() * columns).div_ceil(TILE).clamp(1, shape.pixels());
        let ranges = TASKS.max(4 * threads).div_ceil(sets * shape.groups).clamp(1, shape.batch * tiles);
        let tile = if shape.is_pointwise() { 0 } else { columns * shape.pixels().div_ceil(tiles) };
        Split { sets, tiles, ranges, tile }
    }

    /// Floats for the sums of all ranges; a single range is summed in the gradient itself.
    fn sums(&self, shape: &ConvShape) -> usize {
        if self.ranges == 1 { 0 } else { self.ranges * shape.filters * shape.depth() }
    }
}

/// Scratch floats for a thread count.
pub(super) fn scratch(shape: &ConvShape, threads: usize) -> usize {
    let split = Split::new(shape, threads);
    split.sums(shape) + threads * split.tile
}

/// See [`super::conv_weight`]; slices have the right lengths, and no size is 0.
pub(super) fn conv_weight(pool: &ThreadPool, shape: &ConvShape, x: &[f32], dy: &[f32], scratch: &mut [f32], dw: &mut [f32]) {
    let split = Split::new(shape, pool.threads());
    let (channels, filters) = (shape.channels / shape.groups, shape.filters / shape.groups);
    let (pixels, depth, elements) = (shape.pixels(), shape.depth(), shape.kernel[0] * shape.kernel[1]);
    let plane = shape.input[0] * shape.input[1];
    let len = dw.len();
    let (sums, own) = scratch.split_at_mut(split.sums(shape));
    let to = Disjoint::new(if split.ranges == 1 { &mut *dw } else { &mut *sums });
    let own = Disjoint::new(own);
    pool.for_each(split.ranges * split.sets * shape.groups, |task, thread| {
        let (set, task) = (task % split.sets, task / split.sets);
        let (group, range) = (task % shape.groups, task / shape.groups);
        let set = share(channels, split.sets, set);
        let columns = set.len() * elements;
        let c_at = range * len + group * filters * depth + set.start * elements;
        let c = to.pointer(c_at, (filters - 1) * depth + columns);
        let part = ConvShape { channels: set.len(), groups: 1, ..*shape };
        for (index, tile) in share(shape.batch * split.tiles, split.ranges, range).enumerate() {
            let (sample, tile) = (tile / split.tiles, tile % split.tiles);
            let tile = share(pixels, split.tiles, tile);
            let x = &x[(sample * shape.channels + group * channels + set.start) * plane..][..set.len() * plane];
            let (b, b_step) = if shape.is_pointwise() {
                (&x[tile.start..], pixels)
            } else {
                // SAFETY: each thread has its own part of the scratch
                let values = unsafe { own.slice(thread * split.tile, split.tile) };
                im2col(&part, x, tile.start, tile.len(), values);
                (&*values, tile.len())
            };
            let a = &dy[(sample * shape.filters + group * filters) * pixels + tile.start..];
            assert!(a.len() >= (filters - 1) * pixels + tile.len() && b.len() >= (columns - 1) * b_step + tile.len());
            // SAFETY: the slices hold these rows and columns, as asserted; each task writes its own columns
            unsafe {
                matrixmultiply::sgemm(
                    filters,
                    tile.len(),
                    columns,
                    1.0,
                    a.as_ptr(),
                    pixels as isize,
                    1,
                    b.as_ptr(),
                    1,
                    b_step as isize,
                    if index == 0 { 0.0 } else { 1.0 },
                    c,
                    depth as isize,
                    1,
                );
            }
        }
    });
    if split.ranges > 1 {
        pool.pieces(dw, 4096, |piece, out| {
            out.copy_from_slice(&sums[piece * 4096..][..out.len()]);
            for range in 1..split.ranges {
                let sums = &sums[range * len + piece * 4096..];
                out.iter_mut().zip(sums).for_each(|(total, &sum)| *total += sum);
            }
        });
    }
}
