//! For the blocked layout, with the micro-kernel of [`super::outer_product`].
//!
//! The gradient is split into tiles: a unit of filters (up to three blocks), a block of channels (or one channel of NCHW), and
//! all kernel elements. A task computes some tiles over a range of pixels. It processes its range in chunks (rows of a feature
//! map, or whole feature maps) that stay in the L2 cache while all of its tiles use them; a kernel element reads the part of a
//! chunk that is inside the input. If one range covers everything, a task stores its tiles immediately; otherwise they are kept
//! and added in the order of the ranges.

use std::ops::Range;

use super::outer_product::{self, Outer, most_blocks, most_rows};
use crate::kernels::ConvShape;
use crate::kernels::conv::range_inside;
use crate::kernels::isa::VectorIsa;
use crate::kernels::nchwc::pack::Panels;
use crate::kernels::threads::{Disjoint, ThreadPool, share};

/// Maximum bytes of a task's tiles (unless a single one is larger): they share the L2 cache with the current chunk and what
/// follows it.
const TILES: usize = 160 << 10;
/// Approximate bytes of a chunk.
const CHUNK: usize = 288 << 10;
/// Minimum pixels per chunk: between chunks every sum goes to memory and back.
const MIN_PIXELS: usize = 64;
/// Desired number of tasks, so that up to four threads finish at nearly the same time.
const TASKS: usize = 16;

/// The tiles of a gradient.
struct Tiles {
    lanes: usize,
    filters: usize,
    /// Number of units of filters.
    units: usize,
    /// Contiguous channels in the input: `lanes`, or 1 for NCHW.
    depth: usize,
    /// Number of blocks of channels that a unit reads.
    blocks: usize,
    /// With groups, units are those of packed weights, and read only the blocks of their groups.
    grouped: Option<Panels>,
}

impl Tiles {
    fn new(shape: &ConvShape, lanes: usize, plain: bool) -> Tiles {
        let depth = if plain { 1 } else { lanes };
        let filters = shape.filters;
        if shape.groups > 1 {
            let panels = Panels::of(shape, lanes, plain);
            return Tiles { lanes, filters, units: panels.units(), depth, blocks: panels.blocks, grouped: Some(panels) };
        }
        let units = filters.div_ceil(lanes).div_ceil(most_blocks(lanes));
        Tiles { lanes, filters, units, depth, blocks: shape.channels.div_ceil(depth), grouped: None }
    }

    /// The most blocks of filters in a unit.
    fn most(&self) -> usize {
        if self.grouped.is_some() { 2 } else { most_blocks(self.lanes) }
    }

    /// The blocks of filters of a unit.
    fn filters(&self, unit: usize) -> Range<usize> {
        match &self.grouped {
            Some(panels) => 2 * unit..2 * unit + panels.width(unit),
            None => share(self.filters.div_ceil(self.lanes), self.units, unit),
        }
    }

    /// The first block of channels that a unit reads.
    fn first_block(&self, unit: usize) -> usize {
        self.grouped.as_ref().map_or(0, |panels| panels.first_block(unit))
    }
}

/// How the work is split.
struct Split {
    tiles: Tiles,
    /// Floats per tile.
    tile: usize,
    /// Sets of filter units.
    unit_sets: usize,
    /// Sets of channel blocks (of those that a unit reads).
    block_sets: usize,
    /// Maximum number of tiles per task.
    most: usize,
    /// Parts of a feature map, split by rows.
    pieces: usize,
    /// Sets of samples.
    sets: usize,
    /// Ranges of chunks.
    ranges: usize,
    /// Floats of a chunk of an NCHW input, with padding.
    copy: usize,
}

impl Split {
    fn new(shape: &ConvShape, lanes: usize, plain: bool, threads: usize) -> Split {
        let tiles = Tiles::new(shape, lanes, plain);
        let wide = tiles.most();
        let elements = shape.kernel[0] * shape.kernel[1];
        let tile = elements * tiles.depth * wide * lanes;
        let (units, blocks) = (tiles.units.max(1), tiles.blocks.max(1));
        // a task reads one block of x per block of channels, and `wide` of dy per unit of filters
        let most = (TILES / 4 / tile).max(1);
        let across = units.min((most / wide).isqrt().max(1));
        let deep = blocks.min(most / across);
        let across = units.min(most / deep);
        let (unit_sets, block_sets) = (units.div_ceil(across), blocks.div_ceil(deep));
        let (across, deep) = (units.div_ceil(unit_sets), blocks.div_ceil(block_sets));

        let floats = deep * tiles.depth + across * wide * lanes;
        let pixels = (CHUNK / 4 / floats).max(MIN_PIXELS);
        let (height, width) = (shape.output[0].max(1), shape.output[1].max(1));
        let (pieces, sets) = if pixels < height * width {
            (height.div_ceil((pixels / width).max(1)), shape.batch)
        } else {
            (1, shape.batch.div_ceil(pixels / (height * width)))
        };
        let tasks = TASKS.max(4 * threads);
        let ranges = tasks.div_ceil(unit_sets * block_sets).clamp(1, (pieces * sets).max(1));
        let mut split = Split { tiles, tile, unit_sets, block_sets, most: across * deep, pieces, sets, ranges, copy: 0 };
        if plain {
            let samples = shape.batch.div_ceil(sets.max(1));
            split.copy = samples * shape.channels * padded(shape, height.div_ceil(pieces)).iter().product::<usize>();
        }
        split
    }

    /// Number of buffers for a task's tiles: one per thread if they are stored immediately, otherwise one per task.
    fn places(&self, threads: usize) -> usize {
        if self.ranges == 1 { threads } else { self.tasks() }
    }

    fn tasks(&self) -> usize {
        self.ranges * self.unit_sets * self.block_sets
    }

    fn scratch(&self, threads: usize) -> usize {
        self.places(threads) * self.most * self.tile + threads * self.copy
    }
}

/// Rows and columns that `rows` output rows read, including padding.
fn padded(shape: &ConvShape, rows: usize) -> [usize; 2] {
    let reach =
        |axis: usize, count: usize| (count - 1) * shape.stride[axis] + (shape.kernel[axis] - 1) * shape.dilation[axis] + 1;
    [reach(0, rows), reach(1, shape.output[1])]
}

/// Scratch floats for a thread count.
pub(super) fn scratch(lanes: usize, plain: bool, shape: &ConvShape, threads: usize) -> usize {
    Split::new(shape, lanes, plain, threads).scratch(threads)
}

/// See [`super::conv_weight`]; slices have the right lengths, and no size is 0.
pub(super) fn conv_weight(
    pool: &ThreadPool,
    isa: VectorIsa,
    plain: bool,
    shape: &ConvShape,
    x: &[f32],
    dy: &[f32],
    scratch: &mut [f32],
    dw: &mut [f32],
) {
    let threads = pool.threads();
    let split = Split::new(shape, isa.lanes(), plain, threads);
    assert!(scratch.len() >= split.scratch(threads), "scratch");
    let (place, places) = (split.most * split.tile, split.places(threads));
    let (sums, copies) = scratch.split_at_mut(places * place);
    let (sums, copies, dw) = (Disjoint::new(sums), Disjoint::new(copies), Disjoint::new(dw));
    let job = Job { isa, plain, shape, split: &split, x, dy };
    pool.deal(split.tasks(), |thread, tasks| {
        // SAFETY: each thread has its own part
        let copy = unsafe { copies.slice(thread * split.copy, split.copy) };
        for task in tasks {
            let at = if split.ranges == 1 { thread } else { task };
            // SAFETY: no other task uses this buffer at the same time
            let sums = unsafe { sums.slice(at * place, place) };
            let (part, range) = (task % (split.unit_sets * split.block_sets), task / (split.unit_sets * split.block_sets));
            let part = job.part(part);
            job.run(range, &part, copy, sums);
            if split.ranges == 1 {
                for (index, (unit, block)) in part.tiles().enumerate() {
                    job.write(unit, block, &sums[index * split.tile..][..split.tile], &dw);
                }
            }
        }
    });
    if split.ranges > 1 {
        let parts = split.unit_sets * split.block_sets;
        pool.for_each(parts * split.most, |index, _| {
            let (part, index) = (index / split.most, index % split.most);
            let Some((unit, block)) = job.part(part).tiles().nth(index) else { return };
            // SAFETY: the sums of this tile belong to this task
            let of_range = |range: usize| unsafe { sums.slice((range * parts + part) * place + index * split.tile, split.tile) };
            let total = of_range(0);
            for range in 1..split.ranges {
                total.iter_mut().zip(of_range(range)).for_each(|(total, &mut sum)| *total += sum);
            }
            job.write(unit, block, total, &dw);
        });
    }
}

struct Job<'a> {
    isa: VectorIsa,
    plain: bool,
    shape: &'a ConvShape,
    split: &'a Split,
    x: &'a [f32],
    dy: &'a [f32],
}

/// The tiles of a task: units of filters, and blocks of channels relative to the first block that a unit reads.
struct Part {
    units: Range<usize>,
    blocks: Range<usize>,
}

impl Part {
    fn tiles(&self) -> impl Iterator<Item = (usize, usize)> {
        self.units.clone().flat_map(|unit| self.blocks.clone().map(move |block| (unit, block)))
    }
}

/// Rows of some samples.
struct Chunk {
    samples: Range<usize>,
    lines: Range<usize>,
}

impl Job<'_> {
    fn part(&self, part: usize) -> Part {
        let split = self.split;
        Part {
            units: share(split.tiles.units, split.unit_sets, part / split.block_sets),
            blocks: share(split.tiles.blocks, split.block_sets, part % split.block_sets),
        }
    }

    /// Sums the tiles of a part over a range of chunks.
    fn run(&self, range: usize, part: &Part, copy: &mut [f32], sums: &mut [f32]) {
        let split = self.split;
        sums.fill(0.0);
        for chunk in share(split.pieces * split.sets, split.ranges, range) {
            let chunk = Chunk {
                samples: share(self.shape.batch, split.sets, chunk / split.pieces),
                lines: share(self.shape.output[0], split.pieces, chunk % split.pieces),
            };
            if self.plain {
                self.copy(&chunk, copy);
            }
            for ((unit, block), sums) in part.tiles().zip(sums.chunks_exact_mut(split.tile)) {
                let block = split.tiles.first_block(unit) + block;
                if self.plain {
                    self.add_plain(unit, block, &chunk, copy, sums);
                } else {
                    self.add(unit, block, &chunk, sums);
                }
            }
        }
    }

    /// Adds a chunk to a tile.
    fn add(&self, unit: usize, block: usize, chunk: &Chunk, sums: &mut [f32]) {
        let s = self.shape;
        let lanes = self.isa.lanes();
        let filters = self.split.tiles.filters(unit);
        let width = filters.len();
        let ([h, w], [oh, ow]) = (s.input, s.output);
        let rows = most_rows(lanes, width);
        let Some(kernel) = outer_product::choose(self.isa, rows, width) else { unreachable!("a kernel of {rows} x {width}") };
        let (in_blocks, out_blocks) = (s.channels.div_ceil(lanes), s.filters.div_ceil(lanes));
        for element in 0..s.kernel[0] * s.kernel[1] {
            let reach = |axis: usize, element: usize| (element * s.dilation[axis]) as isize - s.pad[axis][0] as isize;
            let (down, right) = (reach(0, element / s.kernel[1]), reach(1, element % s.kernel[1]));
            let lines = range_inside(chunk.lines.start, chunk.lines.len(), h, s.stride[0], down);
            let columns = range_inside(0, ow, w, s.stride[1], right);
            if lines.is_empty() || columns.is_empty() {
                continue;
            }
            let oy = chunk.lines.start + lines.start;
            let y = ((oy * s.stride[0]) as isize + down) as usize;
            let x = ((columns.start * s.stride[1]) as isize + right) as usize;
            let x_steps = [in_blocks * h * w * lanes, s.stride[0] * w * lanes, s.stride[1] * lanes];
            let dy_steps = [out_blocks * oh * ow * lanes, ow * lanes, lanes];
            let mut counts = [chunk.samples.len(), lines.len(), columns.len()];
            let x_at = (((chunk.samples.start * in_blocks + block) * h + y) * w + x) * lanes;
            let dy_at = (((chunk.samples.start * out_blocks + filters.start) * oh + oy) * ow + columns.start) * lanes;
            let last = |steps: [usize; 3]| -> usize { steps.iter().zip(counts).map(|(step, count)| step * (count - 1)).sum() };
            assert!(x_at + last(x_steps) + lanes <= self.x.len());
            assert!(dy_at + last(dy_steps) + (width - 1) * oh * ow * lanes + lanes <= self.dy.len());
            // contiguous rows are merged into one
            if [x_steps, dy_steps].iter().all(|steps| steps[1] == counts[2] * steps[2]) {
                counts = [counts[0], 1, counts[1] * counts[2]];
            }
            for first in (0..lanes).step_by(rows) {
                let outer = Outer {
                    x: self.x[x_at + first..].as_ptr(),
                    x_steps,
                    dy: self.dy[dy_at..].as_ptr(),
                    dy_steps,
                    dy_block: oh * ow * lanes,
                    counts,
                    sums: sums[(element * lanes + first) * width * lanes..][..rows * width * lanes].as_mut_ptr(),
                };
                // SAFETY: the processor supports `self.isa`; the last pixels of both feature maps are
                // inside them, as asserted, and there are as many sums as the kernel writes
                unsafe { kernel(&outer) };
            }
        }
    }

    /// Adds a chunk to a tile of one channel of an NCHW input, from its copy.
    fn add_plain(&self, unit: usize, channel: usize, chunk: &Chunk, copy: &[f32], sums: &mut [f32]) {
        let s = self.shape;
        let lanes = self.isa.lanes();
        let filters = self.split.tiles.filters(unit);
        let width = filters.len();
        let [oh, ow] = s.output;
        let out_blocks = s.filters.div_ceil(lanes);
        let [high, wide] = padded(s, chunk.lines.len());
        let [kh, kw] = s.kernel;
        // kernel elements of a row that read contiguous values
        let most = if s.dilation[1] == 1 { most_rows(lanes, width).min(kw) } else { 1 };
        let runs = kw.div_ceil(most);
        let x_steps = [s.channels * high * wide, s.stride[0] * wide, s.stride[1]];
        let dy_steps = [out_blocks * oh * ow * lanes, ow * lanes, lanes];
        let counts = [chunk.samples.len(), chunk.lines.len(), ow];
        let last = |steps: [usize; 3]| -> usize { steps.iter().zip(counts).map(|(step, count)| step * (count - 1)).sum() };
        let dy_at = ((chunk.samples.start * out_blocks + filters.start) * oh + chunk.lines.start) * ow * lanes;
        assert!(dy_at + last(dy_steps) + (width - 1) * oh * ow * lanes + lanes <= self.dy.len());
        for (ky, run) in (0..kh).flat_map(|ky| (0..runs).map(move |run| (ky, run))) {
            let elements = share(kw, runs, run);
            let x_at = (channel * high + ky * s.dilation[0]) * wide + elements.start * s.dilation[1];
            assert!(x_at + last(x_steps) + elements.len() <= copy.len());
            let Some(kernel) = outer_product::choose(self.isa, elements.len(), width) else {
                unreachable!("a kernel of {elements:?} x {width}")
            };
            let outer = Outer {
                x: copy[x_at..].as_ptr(),
                x_steps,
                dy: self.dy[dy_at..].as_ptr(),
                dy_steps,
                dy_block: oh * ow * lanes,
                counts,
                sums: sums[(ky * kw + elements.start) * width * lanes..][..elements.len() * width * lanes].as_mut_ptr(),
            };
            // SAFETY: as in `add`
            unsafe { kernel(&outer) };
        }
    }

    /// Copies what a chunk reads of an NCHW input, with zeros for padding: `[sample][channel][row][column]`.
    fn copy(&self, chunk: &Chunk, to: &mut [f32]) {
        let s = self.shape;
        let [h, w] = s.input;
        let [high, wide] = padded(s, chunk.lines.len());
        let top = (chunk.lines.start * s.stride[0]) as isize - s.pad[0][0] as isize;
        let left = s.pad[1][0].min(wide);
        let inside = w.min(wide - left);
        let maps = chunk.samples.start * s.channels..chunk.samples.end * s.channels;
        for (map, to) in maps.zip(to.chunks_exact_mut(high * wide)) {
            let map = &self.x[map * h * w..][..h * w];
            for (row, to) in to.chunks_exact_mut(wide).enumerate() {
                match usize::try_from(top + row as isize).ok().filter(|&y| y < h) {
                    Some(y) => {
                        to[..left].fill(0.0);
                        to[left..][..inside].copy_from_slice(&map[y * w..][..inside]);
                        to[left + inside..].fill(0.0);
                    }
                    None => to.fill(0.0),
                }
            }
        }
    }

    /// Stores a tile in the gradient, for the pairs of filters and channels in the same group.
    fn write(&self, unit: usize, block: usize, sums: &[f32], dw: &Disjoint<'_>) {
        let s = self.shape;
        let tiles = &self.split.tiles;
        let (lanes, depth) = (self.isa.lanes(), tiles.depth);
        let blocks = tiles.filters(unit);
        let width = blocks.len() * lanes;
        let elements = s.kernel[0] * s.kernel[1];
        let (filters, channels) = (s.filters / s.groups, s.channels / s.groups);
        let first = (tiles.first_block(unit) + block) * depth;
        for lane in 0..width.min(s.filters - blocks.start * lanes) {
            let filter = blocks.start * lanes + lane;
            let group = filter / filters * channels;
            let (from, to) = (first.max(group), (first + depth).min(group + channels));
            if from >= to {
                continue;
            }
            // SAFETY: these channels of this filter are only in this tile
            let out = unsafe { dw.slice((filter * channels + from - group) * elements, (to - from) * elements) };
            let sums = &sums[(from - first) * width + lane..];
            if elements == 1 {
                out.iter_mut().zip(sums.iter().step_by(width)).for_each(|(out, &sum)| *out = sum);
                continue;
            }
            for (channel, out) in out.chunks_exact_mut(elements).enumerate() {
                for (element, out) in out.iter_mut().enumerate() {
                    *out = sums[(element * depth + channel) * width];
                }
            }
        }
    }
}
