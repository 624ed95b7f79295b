//! The convolution: how its work is split, and its tasks.

use std::ops::Range;

use super::size::{Size, inside, odd_lines};
use super::transform::{self, FilterBlocks, InputTile, OutputTile};
use super::weights;
use crate::kernels::aligned::LINE;
use crate::kernels::clamp::Clamp;
use crate::kernels::conv::{ConvOperands, ConvShape, Residual};
use crate::kernels::dispatch::Instance;
use crate::kernels::elementwise::{Activation, Code, apply};
use crate::kernels::isa::{Isa, VectorIsa};
use crate::kernels::microkernel::{self, Tile};
use crate::kernels::nchwc::pack::Panels;
use crate::kernels::nchwc::vector;
use crate::kernels::threads::{Disjoint, ThreadPool, share};

/// What a task computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// A block of tiles, for all output channels: each thread transforms its own input.
    Tiles,
    /// A unit of output channels of a block of tiles, after all threads together have transformed the whole input: each thread
    /// reads only its own weights, which for small feature maps are larger than all activations.
    Filters,
    /// Like `Filters`, but all tiles are one block, and the weights are as the direct convolution packs them: the task transforms
    /// them, a row of points at a time. It reads 4 or 1.8 times fewer bytes, which takes longer than the transform where
    /// the weights come from memory.
    Transform,
}

/// Floats of transformed weights at a time, those of a row of points: they stay in the L2 cache, with what they are made from.
const SLICE: usize = 48 << 10;

/// How to compute a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct WinogradPlan {
    /// Tile size.
    pub size: Size,
    /// Maximum number of tiles per block.
    pub tiles: usize,
    /// What a task computes.
    pub split: Split,
}

/// Scratch memory of a convolution, in floats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scratch {
    /// Per thread; a multiple of a cache line.
    pub per_thread: usize,
    /// Shared by all threads; a multiple of a cache line.
    pub shared: usize,
}

impl Scratch {
    /// Total floats for a thread count.
    pub fn total(self, threads: usize) -> usize {
        self.shared + threads * self.per_thread
    }
}

/// Whether this kernel supports the convolution.
pub fn supports(shape: &ConvShape) -> bool {
    shape.kernel == [3, 3] && shape.stride == [1, 1] && shape.dilation == [1, 1] && shape.groups == 1
}

/// The scratch memory that the convolution needs.
pub fn scratch(isa: Isa, shape: &ConvShape, plan: WinogradPlan) -> Scratch {
    Geometry::new(shape, isa.lanes(), plan).scratch(plan.split)
}

/// The sizes of a convolution in tiles.
struct Geometry {
    size: Size,
    lanes: usize,
    /// Rows and columns of tiles per feature map.
    tiles: [usize; 2],
    /// Tiles of all samples.
    total: usize,
    /// Number of blocks of tiles.
    sets: usize,
    in_blocks: usize,
    out_blocks: usize,
    /// Point stride in V.
    v_point: usize,
    /// Point stride in M.
    m_point: usize,
    /// Input blocks whose weights are transformed at a time.
    slice: usize,
    /// Point stride of transformed weights.
    u_point: usize,
}

impl Geometry {
    fn new(shape: &ConvShape, lanes: usize, plan: WinogradPlan) -> Geometry {
        let tiles = shape.output.map(|o| o.div_ceil(plan.size.side()));
        let total = shape.batch * tiles[0] * tiles[1];
        let sets = if plan.split == Split::Transform { 1 } else { total.div_ceil(plan.tiles.max(1)) };
        let widest = total.div_ceil(sets.max(1));
        let (in_blocks, out_blocks) = (shape.channels.div_ceil(lanes), shape.filters.div_ceil(lanes));
        let v_point = odd_lines(in_blocks * widest * lanes);
        let m_point = odd_lines(out_blocks.min(2) * widest * lanes);
        let unit = out_blocks.min(2) * lanes;
        let slice = (SLICE / (plan.size.reach() * lanes * unit).max(1)).clamp(1, in_blocks.max(1));
        let u_point = odd_lines(slice * lanes * unit);
        Geometry { size: plan.size, lanes, tiles, total, sets, in_blocks, out_blocks, v_point, m_point, slice, u_point }
    }

    /// Floats of V for a block of tiles.
    fn v(&self) -> usize {
        self.size.points() * self.v_point
    }

    /// Floats of M.
    fn m(&self) -> usize {
        self.size.points() * self.m_point
    }

    fn scratch(&self, split: Split) -> Scratch {
        match split {
            Split::Tiles => Scratch { per_thread: self.v() + self.m(), shared: 0 },
            Split::Filters => Scratch { per_thread: self.m(), shared: self.sets * self.v() },
            Split::Transform => Scratch { per_thread: self.m() + self.size.reach() * self.u_point, shared: self.v() },
        }
    }

    /// Sample, row and column of a tile.
    fn position(&self, tile: usize) -> [usize; 3] {
        let [down, across] = self.tiles;
        [tile / across / down, tile / across % down, tile % across]
    }
}

/// Convolution from blocked to blocked layout. The weight is packed by [`pack`](super::weights::pack), or for [`Split::Transform`]
/// by [the direct convolution's](crate::kernels::nchwc::pack::pack); the bias is padded to whole blocks; `scratch` needs
/// [`Scratch::total`] floats for the pool's threads.
///
/// # Panics
/// If the instruction set has no kernels, the convolution is not supported (see [`supports`]), or a slice has the wrong length.
pub fn conv(
    pool: &ThreadPool,
    isa: Isa,
    shape: &ConvShape,
    plan: WinogradPlan,
    operands: &ConvOperands<'_>,
    scratch: &mut [f32],
    out: &mut [f32],
) {
    let vector = vector(isa);
    assert!(supports(shape), "{shape:?}");
    let lanes = vector.lanes();
    let g = Geometry::new(shape, lanes, plan);
    let panels = match plan.split {
        Split::Transform => Panels::of(shape, lanes, false),
        Split::Tiles | Split::Filters => weights::panels(lanes, shape.filters, shape.channels, plan.size),
    };
    for axis in 0..2 {
        let [before, after] = shape.pad[axis];
        assert_eq!(shape.output[axis] + 2, shape.input[axis] + before + after, "output");
    }
    assert_eq!(operands.x.len(), shape.batch * g.in_blocks * lanes * shape.input[0] * shape.input[1], "input");
    assert_eq!(operands.weight.len(), panels.total(), "weight");
    assert!(operands.epilogue.bias.is_none_or(|b| b.len() == g.out_blocks * lanes), "bias");
    assert_eq!(out.len(), shape.batch * g.out_blocks * lanes * shape.pixels(), "output");
    if let Residual::From(r) = operands.epilogue.residual {
        assert_eq!(r.len(), out.len(), "residual");
    }
    let needed = g.scratch(plan.split);
    let threads = pool.threads();
    assert!(scratch.len() >= needed.total(threads), "scratch");
    let (shared, own) = scratch.split_at_mut(needed.shared);
    let (shared, own, out) = (Disjoint::new(shared), Disjoint::new(own), Disjoint::new(out));
    let (input, output) = (transform::input(vector, plan.size), transform::output(vector, plan.size));
    let filter = transform::filter(vector, plan.size);
    let job = Job { isa: vector, input, output, filter, shape, g: &g, panels: &panels, operands, out };
    match plan.split {
        Split::Tiles => pool.for_each(g.sets, |set, thread| {
            let start = thread * needed.per_thread;
            let (v, m) = (own.pointer(start, g.v()), own.pointer(start + g.v(), g.m()));
            let tiles = share(g.total, g.sets, set);
            job.input(tiles.clone(), 0..g.in_blocks, v);
            for unit in 0..panels.units() {
                job.unit(tiles.clone(), unit, v, m);
            }
        }),
        Split::Filters | Split::Transform => {
            pool.for_each(g.in_blocks * g.sets, |task, _| {
                let (block, set) = (task % g.in_blocks, task / g.in_blocks);
                job.input(share(g.total, g.sets, set), block..block + 1, shared.pointer(set * g.v(), g.v()));
            });
            // units vary slowest, so that each thread reads its own weights
            pool.for_each(panels.units() * g.sets, |task, thread| {
                let (set, unit) = (task % g.sets, task / g.sets);
                let (start, v) = (thread * needed.per_thread, shared.pointer(set * g.v(), g.v()));
                let m = own.pointer(start, g.m());
                if plan.split == Split::Transform {
                    job.transformed(unit, v, m, own.pointer(start + g.m(), needed.per_thread - g.m()));
                } else {
                    job.unit(share(g.total, g.sets, set), unit, v, m);
                }
            });
        }
    }
}

/// Transformed weights of a unit.
struct Weights<'a> {
    /// `[point][input channel][output channel]`, from the first point that is computed.
    u: *const f32,
    /// Point stride.
    point: usize,
    /// The weights that are read next, to be prefetched.
    next: &'a [f32],
}

struct Job<'a> {
    isa: VectorIsa,
    input: Instance<InputTile>,
    output: Instance<OutputTile>,
    filter: Instance<FilterBlocks>,
    shape: &'a ConvShape,
    g: &'a Geometry,
    panels: &'a Panels,
    operands: &'a ConvOperands<'a>,
    out: Disjoint<'a>,
}

impl Job<'_> {
    /// Transforms the input of some tiles, for some blocks of channels, to `v`.
    fn input(&self, tiles: Range<usize>, blocks: Range<usize>, v: *mut f32) {
        let Job { shape, g, .. } = *self;
        let (lanes, side, reach) = (g.lanes, g.size.side(), g.size.reach());
        let [h, w] = shape.input;
        for tile in tiles.clone() {
            let [sample, y, x] = g.position(tile);
            let [top, left] = [(y * side) as isize - shape.pad[0][0] as isize, (x * side) as isize - shape.pad[1][0] as isize];
            let map = self.operands.x[(sample * g.in_blocks + blocks.start) * h * w * lanes..].as_ptr();
            let part = InputTile {
                x: map.wrapping_offset((top * w as isize + left) * lanes as isize),
                row: w * lanes,
                block: h * w * lanes,
                blocks: blocks.len(),
                rows: inside(top, h, reach),
                columns: inside(left, w, reach),
                v: v.wrapping_add((blocks.start * tiles.len() + tile - tiles.start) * lanes),
                v_block: tiles.len() * lanes,
                v_point: g.v_point,
                next: std::ptr::null(),
            };
            // SAFETY: the processor supports `self.isa`. `rows` and `columns` are inside the feature
            // map, whose length was checked; `v` has room for all points of all blocks of at least this many tiles, and no other
            // task writes this tile of these blocks.
            unsafe { (self.input)(&part) };
        }
    }

    /// Products and output transform of a unit of channels of some tiles, whose transformed input is `v`.
    fn unit(&self, tiles: Range<usize>, unit: usize, v: *const f32, m: *mut f32) {
        let panels = self.panels;
        let start = panels.start(unit);
        let len = panels.len(unit) / self.g.size.points();
        // panels are read in memory order
        let weights =
            Weights { u: self.operands.weight[start..].as_ptr(), point: len, next: &self.operands.weight[start + len..] };
        self.products(tiles.clone(), unit, 0..self.g.in_blocks, 0..self.g.size.points(), &weights, v, m);
        self.outputs(tiles, unit, m);
    }

    /// The same for all tiles, with weights that are transformed to `u` first.
    fn transformed(&self, unit: usize, v: *const f32, m: *mut f32, u: *mut f32) {
        let Job { g, panels, .. } = *self;
        let (width, panel) = (panels.width(unit), &self.operands.weight[panels.start(unit)..][..panels.len(unit)]);
        let of_block = panel.len() / g.in_blocks.max(1);
        let (slices, rows) = (g.in_blocks.div_ceil(g.slice), g.size.reach());
        for slice in 0..slices {
            let blocks = share(g.in_blocks, slices, slice);
            let weight = &panel[blocks.start * of_block..][..blocks.len() * of_block];
            // the next slice, or the first one of the next unit
            let next = &self.operands.weight[panels.start(unit) + blocks.end * of_block..];
            let next = &next[..next.len().min(weight.len())];
            for row in 0..rows {
                let part = FilterBlocks {
                    weight: weight.as_ptr(),
                    blocks: blocks.len(),
                    width,
                    row: weights::row(g.size, row),
                    u_point: g.u_point,
                    u,
                };
                // SAFETY: the processor supports `self.isa`; `weight` has these blocks, `u` has room for a row of points of as many
                // blocks as are in a slice, and belongs to this thread
                unsafe { (self.filter)(&part) };
                let weights = Weights { u, point: g.u_point, next: &next[share(next.len(), rows, row)] };
                self.products(0..g.total, unit, blocks.clone(), row * rows..(row + 1) * rows, &weights, v, m);
            }
        }
        self.outputs(0..g.total, unit, m);
    }

    /// The output transform of a unit.
    fn outputs(&self, tiles: Range<usize>, unit: usize, m: *const f32) {
        for block in 0..self.panels.width(unit) {
            self.output(tiles.clone(), unit * 2 + block, m.wrapping_add(block * tiles.len() * self.g.lanes));
        }
    }

    /// The products of some blocks of input channels and a unit of some tiles, whose transformed input is `v`, for some points. The
    /// first block begins the sums in `m`, others are added.
    fn products(
        &self,
        tiles: Range<usize>,
        unit: usize,
        blocks: Range<usize>,
        points: Range<usize>,
        weights: &Weights<'_>,
        v: *const f32,
        m: *mut f32,
    ) {
        let Job { isa, g, panels, .. } = *self;
        let lanes = g.lanes;
        let width = panels.width(unit);
        let len = blocks.len() * lanes * width * lanes;
        let parts = tiles.len().div_ceil(microkernel::widest(isa));
        let offsets = [0usize];
        for (index, point) in points.enumerate() {
            let panel = weights.u.wrapping_add(index * weights.point);
            let after = weights.next.get(index * len..).unwrap_or(&[]);
            for part in 0..parts {
                let columns = share(tiles.len(), parts, part);
                // each tile prefetches a cache line per channel: two tiles prefetch a whole panel of two blocks
                let ahead = part * blocks.len() * lanes * LINE;
                let next = if part < width { after.get(ahead..) } else { None };
                let Some(kernel) = microkernel::choose(isa, 1, columns.len(), width, true) else {
                    unreachable!("a tile of {}", columns.len())
                };
                let tile = Tile {
                    count: 1,
                    x: v.wrapping_add(point * g.v_point + (blocks.start * tiles.len() + columns.start) * lanes),
                    row: 0,
                    blocks: blocks.len(),
                    block: tiles.len() * lanes,
                    offsets: offsets.as_ptr(),
                    elements: 1,
                    weight: panel,
                    next: next.map_or(panel, <[f32]>::as_ptr),
                    lines: if next.is_some() { lanes } else { 0 },
                    ahead: 0,
                    piece: usize::MAX,
                    resumes: blocks.start > 0,
                    bias: std::ptr::null(),
                    out: m.wrapping_add(point * g.m_point + columns.start * lanes),
                    out_row: 0,
                    out_block: tiles.len() * lanes,
                    residual: std::ptr::null(),
                    clamp: Clamp::None,
                };
                // SAFETY: the processor as above. `v` holds this point for every block of these tiles, the weights of the point have
                // as many channels as the blocks, and `m` has room for two blocks of them and belongs to this thread.
                unsafe { kernel(&tile) };
            }
        }
    }

    /// Transforms some tiles of a block of output channels from `m` to the output.
    fn output(&self, tiles: Range<usize>, block: usize, m: *const f32) {
        let Job { shape, g, .. } = *self;
        let epilogue = &self.operands.epilogue;
        let (lanes, side) = (g.lanes, g.size.side());
        let [oh, ow] = shape.output;
        for tile in tiles.clone() {
            let [sample, y, x] = g.position(tile);
            let [y, x] = [y * side, x * side];
            let (rows, columns) = (side.min(oh - y), side.min(ow - x));
            let start = (((sample * g.out_blocks + block) * oh + y) * ow + x) * lanes;
            let reach = ((rows - 1) * ow + columns) * lanes;
            let out = self.out.pointer(start, reach);
            let part = OutputTile {
                m: m.wrapping_add((tile - tiles.start) * lanes),
                m_point: g.m_point,
                bias: epilogue.bias.map_or(std::ptr::null(), |b| b[block * lanes..][..lanes].as_ptr()),
                residual: match epilogue.residual {
                    Residual::None => std::ptr::null(),
                    Residual::InPlace => out,
                    Residual::From(r) => r[start..][..reach].as_ptr(),
                },
                clamp: Activation::clamp(epilogue.act),
                out,
                row: ow * lanes,
                rows,
                columns,
            };
            // SAFETY: the processor as above. `m` holds all points of the tile; `rows` and `columns` are inside the output, and
            // no other task writes this tile of this block.
            unsafe { (self.output)(&part) };
        }
        if let Some(code) = Activation::program(epilogue.act) {
            self.activate(tiles, block, code);
        }
    }

    /// Applies a program to the outputs of some tiles of a block, as many at a time as are in the same row.
    fn activate(&self, tiles: Range<usize>, block: usize, code: &Code) {
        let Job { shape, g, .. } = *self;
        let (lanes, side) = (g.lanes, g.size.side());
        let [oh, ow] = shape.output;
        let mut tile = tiles.start;
        while tile < tiles.end {
            let [sample, y, x] = g.position(tile);
            let count = (tiles.end - tile).min(g.tiles[1] - x);
            let (rows, columns) = (side.min(oh - y * side), (count * side).min(ow - x * side));
            for row in 0..rows {
                let start = (((sample * g.out_blocks + block) * oh + y * side + row) * ow + x * side) * lanes;
                // SAFETY: outputs of these tiles only
                let values = unsafe { self.out.slice(start, columns * lanes) };
                apply(self.isa.into(), code, shape.filters - block * lanes, values);
            }
            tile += count;
        }
    }
}
