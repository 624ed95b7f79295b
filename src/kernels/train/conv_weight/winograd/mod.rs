//! For 3x3 kernels with stride 1, with a quarter of the multiplications: the transpose of [`crate::kernels::winograd`].
//!
//! A tile of 4x4 outputs is `A^T [(G g G^T) . (B^T d B)] A`, so the gradient of the filter `g` is
//! `G^T [(A e A^T) . (B^T d B)] G`, where `e` is the gradient of the tile. `G` does not depend on the tile: the products are
//! first summed over all tiles, one sum of outer products for each of the 36 points ([`super::outer_product`]), and transformed once.
//!
//! The sums take four times the memory of the gradient. If those of all channels fit in the L2 cache, a task processes a range of
//! tiles, one chunk at a time, and the sums of the ranges are added in order. Otherwise all threads together transform a large
//! chunk, and each task then computes the sums of some channels over the whole chunk, which are added to the gradient
//! immediately.

mod transform;

use std::ops::Range;

use self::transform::{GradientTransform, Sums};
use super::outer_product::{self, Outer, most_rows};
use crate::kernels::ConvShape;
use crate::kernels::aligned::LINE;
use crate::kernels::dispatch::instance;
use crate::kernels::isa::VectorIsa;
use crate::kernels::threads::{Disjoint, ThreadPool, share};
use crate::kernels::winograd;
use crate::kernels::winograd::size::{Size, inside, odd_lines};
use crate::kernels::winograd::transform::{self as forward, InputTile};

/// Outputs per row of a tile.
const SIDE: usize = 4;
const POINTS: usize = 36;
/// Maximum bytes of the sums of all channels for a task to keep its own.
const OWN_SUMS: usize = 640 << 10;
/// Approximate bytes of a task's own transformed chunk.
const OWN_CHUNK: usize = 320 << 10;
/// Approximate bytes of the sums of all ranges.
const RANGES: usize = 2 << 20;
/// Approximate bytes of a chunk shared by all threads, which stays in the last-level cache.
const SHARED_CHUNK: usize = 12 << 20;
/// Minimum number of tiles per chunk: after each chunk, the sums go to memory and back.
const MIN_TILES: usize = 64;
/// Tiles per transform task.
const TRANSFORMED: usize = 8;
/// Desired number of tasks, so that up to four threads finish at nearly the same time.
const TASKS: usize = 16;
/// Channel blocks that a task sums side by side.
const DEEP: usize = 4;
/// Cost of transforming one vector of a tile, in vector multiply-adds.
const TRANSFORM: usize = 200;

/// Whether this method is applicable and faster.
pub(super) fn supports(shape: &ConvShape, lanes: usize) -> bool {
    if !winograd::supports(shape) {
        return false;
    }
    let (in_blocks, out_blocks) = (shape.channels.div_ceil(lanes), shape.filters.div_ceil(lanes));
    let tiles = shape.batch * shape.output.iter().map(|o| o.div_ceil(SIDE)).product::<usize>();
    let pairs = in_blocks * out_blocks * lanes;
    // the sums are stored and transformed at least once
    let here = tiles * (POINTS * pairs + TRANSFORM * (in_blocks + out_blocks)) + TRANSFORM * pairs;
    here + here / 8 < shape.batch * shape.pixels() * 9 * pairs
}

/// How the work is split.
struct Split {
    lanes: usize,
    /// Rows and columns of tiles per feature map.
    tiles: [usize; 2],
    /// Tiles of all samples.
    total: usize,
    in_blocks: usize,
    out_blocks: usize,
    /// Number of chunks of tiles.
    chunks: usize,
    /// Ranges of chunks with separate sums; 0 if chunks are shared.
    ranges: usize,
    /// Channel blocks per task, if chunks are shared.
    deep: usize,
    /// Point stride of the transformed input.
    v_point: usize,
    /// Point stride of the transformed gradient.
    e_point: usize,
}

impl Split {
    fn new(shape: &ConvShape, lanes: usize, threads: usize) -> Split {
        let tiles = shape.output.map(|o| o.div_ceil(SIDE));
        let total = shape.batch * tiles[0] * tiles[1];
        let (in_blocks, out_blocks) = (shape.channels.div_ceil(lanes), shape.filters.div_ceil(lanes));
        let sums = 4 * POINTS * in_blocks * out_blocks * lanes * lanes;
        let own = sums <= OWN_SUMS;
        let tile = 4 * POINTS * (in_blocks + out_blocks) * lanes;
        let chunk = (if own { OWN_CHUNK } else { SHARED_CHUNK } / tile).max(MIN_TILES);
        let chunks = total.div_ceil(chunk);
        let widest = total.div_ceil(chunks);
        let ranges = if own { (RANGES / sums).clamp(4, TASKS).max(threads).min(chunks) } else { 0 };
        let deep = (in_blocks * out_blocks.div_ceil(2)).div_ceil(TASKS.max(4 * threads)).clamp(1, DEEP.min(in_blocks));
        let (v_point, e_point) = (odd_lines(in_blocks * widest * lanes), odd_lines(out_blocks * widest * lanes));
        Split { lanes, tiles, total, in_blocks, out_blocks, chunks, ranges, deep, v_point, e_point }
    }

    fn chunk(&self, chunk: usize) -> Range<usize> {
        share(self.total, self.chunks, chunk)
    }

    /// Floats of a transformed chunk.
    fn transformed(&self) -> usize {
        POINTS * (self.v_point + self.e_point)
    }

    /// Floats of the sums for a unit of filters and a block of channels.
    fn pair(&self) -> usize {
        POINTS * self.lanes * 2 * self.lanes
    }

    fn units(&self) -> usize {
        self.out_blocks.div_ceil(2)
    }

    /// Number of blocks of a unit.
    fn width(&self, unit: usize) -> usize {
        (self.out_blocks - 2 * unit).min(2)
    }

    fn scratch(&self, threads: usize) -> usize {
        if self.ranges > 0 {
            threads * self.transformed() + self.ranges * self.units() * self.in_blocks * self.pair()
        } else {
            self.transformed() + threads * self.deep * self.pair()
        }
    }
}

/// Scratch floats for a thread count.
pub(super) fn scratch(lanes: usize, shape: &ConvShape, threads: usize) -> usize {
    Split::new(shape, lanes, threads).scratch(threads)
}

/// See [`super::conv_weight`]; slices have the right lengths, and no size is 0.
pub(super) fn conv_weight(
    pool: &ThreadPool,
    isa: VectorIsa,
    shape: &ConvShape,
    x: &[f32],
    dy: &[f32],
    scratch: &mut [f32],
    dw: &mut [f32],
) {
    let threads = pool.threads();
    let split = Split::new(shape, isa.lanes(), threads);
    assert!(scratch.len() >= split.scratch(threads), "scratch");
    let job = Job { isa, shape, split: &split, x, dy };
    let dw = Disjoint::new(dw);
    if split.ranges > 0 { job.by_ranges(pool, scratch, &dw) } else { job.by_channels(pool, scratch, &dw) }
}

struct Job<'a> {
    isa: VectorIsa,
    shape: &'a ConvShape,
    split: &'a Split,
    x: &'a [f32],
    dy: &'a [f32],
}

impl Job<'_> {
    /// A task is a range of tiles, for all channels.
    fn by_ranges(&self, pool: &ThreadPool, scratch: &mut [f32], dw: &Disjoint<'_>) {
        let split = self.split;
        let (pair, pairs) = (split.pair(), split.units() * split.in_blocks);
        let (own, sums) = scratch.split_at_mut(pool.threads() * split.transformed());
        let (own, sums) = (Disjoint::new(own), Disjoint::new(sums));
        pool.for_each(split.ranges, |range, thread| {
            let to = own.pointer(thread * split.transformed(), split.transformed());
            // SAFETY: each range has its own part
            let sums = unsafe { sums.slice(range * pairs * pair, pairs * pair) };
            sums.fill(0.0);
            for chunk in share(split.chunks, split.ranges, range) {
                let tiles = split.chunk(chunk);
                self.transform(tiles.clone(), tiles.clone(), to);
                for (unit, sums) in sums.chunks_exact_mut(split.in_blocks * pair).enumerate() {
                    self.add(tiles.len(), to, unit, 0..split.in_blocks, sums);
                }
            }
        });
        pool.for_each(pairs, |index, _| {
            // SAFETY: the sums of this pair belong to this task
            let of_range = |range: usize| unsafe { sums.slice((range * pairs + index) * pair, pair) };
            let total = of_range(0);
            for range in 1..split.ranges {
                total.iter_mut().zip(of_range(range)).for_each(|(total, &mut sum)| *total += sum);
            }
            self.finish(index / split.in_blocks, index % split.in_blocks, total, false, dw);
        });
    }

    /// A task is some channels, for all tiles of a chunk.
    fn by_channels(&self, pool: &ThreadPool, scratch: &mut [f32], dw: &Disjoint<'_>) {
        let split = self.split;
        let pair = split.pair();
        let (shared, own) = scratch.split_at_mut(split.transformed());
        let (shared, own) = (Disjoint::new(shared), Disjoint::new(own));
        let to = || shared.pointer(0, split.transformed());
        let deeps = split.in_blocks.div_ceil(split.deep);
        for chunk in 0..split.chunks {
            let tiles = split.chunk(chunk);
            let parts = tiles.len().div_ceil(TRANSFORMED);
            pool.for_each(parts, |part, _| {
                let part = share(tiles.len(), parts, part);
                self.transform(tiles.clone(), tiles.start + part.start..tiles.start + part.end, to());
            });
            pool.for_each(split.units() * deeps, |task, thread| {
                let (unit, blocks) = (task / deeps, share(split.in_blocks, deeps, task % deeps));
                // SAFETY: each thread has its own part
                let sums = unsafe { own.slice(thread * split.deep * pair, blocks.len() * pair) };
                sums.fill(0.0);
                self.add(tiles.len(), to(), unit, blocks.clone(), sums);
                for (block, sums) in blocks.zip(sums.chunks_exact(pair)) {
                    self.finish(unit, block, sums, chunk > 0, dw);
                }
            });
        }
    }

    /// Transforms the tiles `of` a chunk: the input to `[point][block][tile][lanes]`, followed by the gradient.
    fn transform(&self, chunk: Range<usize>, of: Range<usize>, to: *mut f32) {
        let (s, split) = (self.shape, self.split);
        let lanes = split.lanes;
        let [down, across] = split.tiles;
        let ([h, w], [oh, ow]) = (s.input, s.output);
        let (input, gradient) = (forward::input(self.isa, Size::F4), instance::<GradientTransform>(self.isa));
        // the first output row and column of a tile, the origin of its input, and where its input and gradient start
        let place = |tile: usize| {
            let (sample, y, x) = (tile / across / down, tile / across % down * SIDE, tile % across * SIDE);
            let [top, left] = [y as isize - s.pad[0][0] as isize, x as isize - s.pad[1][0] as isize];
            let from = self
                .x
                .as_ptr()
                .wrapping_offset(((sample * split.in_blocks * h * w) as isize + top * w as isize + left) * lanes as isize);
            let of = self.dy.as_ptr().wrapping_add(((sample * split.out_blocks * oh + y) * ow + x) * lanes);
            ([y, x], [top, left], [from, of])
        };
        for tile in of {
            let ([y, x], [top, left], [from, of]) = place(tile);
            let [next, next_of] = place(tile + 1).2;
            let at = (tile - chunk.start) * lanes;
            let of_input = InputTile {
                x: from,
                row: w * lanes,
                block: h * w * lanes,
                blocks: split.in_blocks,
                rows: inside(top, h, SIDE + 2),
                columns: inside(left, w, SIDE + 2),
                v: to.wrapping_add(at),
                v_block: chunk.len() * lanes,
                v_point: split.v_point,
                next,
            };
            let of_gradient = InputTile {
                x: of,
                row: ow * lanes,
                block: oh * ow * lanes,
                blocks: split.out_blocks,
                rows: inside(y as isize, oh, SIDE),
                columns: inside(x as isize, ow, SIDE),
                v: to.wrapping_add(POINTS * split.v_point + at),
                v_block: chunk.len() * lanes,
                v_point: split.e_point,
                next: next_of,
            };
            // SAFETY: the processor supports `self.isa`; `rows` and `columns` are inside the feature
            // maps, whose lengths match the sizes, and there is room for every point of every block of the chunk's tiles
            unsafe {
                input(&of_input);
                gradient(&of_gradient);
            }
        }
    }

    /// Adds the products of the transformed tiles to the sums of a unit of filters and some blocks of channels.
    fn add(&self, tiles: usize, transformed: *const f32, unit: usize, blocks: Range<usize>, sums: &mut [f32]) {
        let split = self.split;
        let lanes = split.lanes;
        let width = split.width(unit);
        let rows = most_rows(lanes, width);
        let Some(kernel) = outer_product::choose(self.isa, rows, width) else { unreachable!("a kernel of {rows} x {width}") };
        let gradient = transformed.wrapping_add(POINTS * split.v_point + 2 * unit * tiles * lanes);
        for point in 0..POINTS {
            for (block, sums) in blocks.clone().zip(sums.chunks_exact_mut(split.pair())) {
                for first in (0..lanes).step_by(rows) {
                    let outer = Outer {
                        x: transformed.wrapping_add(point * split.v_point + block * tiles * lanes + first),
                        x_steps: [0, 0, lanes],
                        dy: gradient.wrapping_add(point * split.e_point),
                        dy_steps: [0, 0, lanes],
                        dy_block: tiles * lanes,
                        counts: [1, 1, tiles],
                        sums: sums[(point * lanes + first) * width * lanes..][..rows * width * lanes].as_mut_ptr(),
                    };
                    // SAFETY: the processor as above; all tiles of these blocks are transformed
                    unsafe { kernel(&outer) };
                }
            }
        }
    }

    /// Transforms the sums of a unit of filters and a block of channels, and stores them in the gradient or adds them to it.
    fn finish(&self, unit: usize, block: usize, sums: &[f32], add: bool, dw: &Disjoint<'_>) {
        let (s, lanes) = (self.shape, self.split.lanes);
        let width = self.split.width(unit);
        let step = lanes * width * lanes;
        let mut elements = [0.0; 9 * LINE * 2 * LINE];
        assert!(sums.len() >= POINTS * step && elements.len() >= 9 * step);
        let of = Sums { points: sums.as_ptr(), vectors: lanes * width, step, elements: elements.as_mut_ptr() };
        // SAFETY: the processor as above; lengths as asserted
        unsafe { instance::<Sums>(self.isa)(&of) };
        let channels = (s.channels - block * lanes).min(lanes);
        for lane in 0..(s.filters - unit * 2 * lanes).min(width * lanes) {
            let start = ((unit * 2 * lanes + lane) * s.channels + block * lanes) * 9;
            // SAFETY: these channels of this filter belong to this task
            let out = unsafe { dw.slice(start, channels * 9) };
            for (channel, out) in out.chunks_exact_mut(9).enumerate() {
                for (element, out) in out.iter_mut().enumerate() {
                    let value = elements[element * step + channel * width * lanes + lane];
                    *out = if add { *out + value } else { value };
                }
            }
        }
    }
}
