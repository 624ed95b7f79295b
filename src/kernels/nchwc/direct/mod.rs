//! Direct convolution: the micro-kernel over all kernel elements, on one strip of the input at a time.
//!
//! A task is a strip (rows of one sample, or several whole samples) and a share of the output channels. Its input is copied into
//! the thread's scratch with zero padding around it and the columns sorted by their remainder modulo the stride. Then neighboring
//! pixels of a tile are always one block apart, and no kernel element needs a bounds check. Copying costs about a hundredth of
//! the arithmetic. A 1x1 convolution with stride 1 reads its input in place. The panel of each unit of output channels is applied
//! to the whole strip, which is sized to stay in the L2 cache.
//!
//! Two pointwise convolutions whose results are added ([`pair`]: the last one of a block and its projection shortcut) are one sum
//! over the channels of both, and are computed as one: the output of a strip stays in cache in between.

mod strip;

use self::strip::{Geometry, MAX_ELEMENTS, Strip, copy_strip, offsets};

use super::pack::Panels;
use super::vector;
use crate::kernels::aligned::LINE;
use crate::kernels::clamp::Clamp;
use crate::kernels::elementwise::apply;
use crate::kernels::isa::{Isa, VectorIsa};
use crate::kernels::microkernel::{self, Tile};
use crate::kernels::threads::{Disjoint, ThreadPool, share};
use crate::kernels::tiles::StripTiles;
use crate::kernels::{Activation, ConvOperands, ConvShape, Epilogue, Residual};

/// How the work is split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct DirectPlan {
    /// Output rows per strip; for pointwise convolutions, pixels of the flattened feature map.
    pub rows: usize,
    /// Whole samples per strip, if `rows` covers the output.
    pub samples: usize,
    /// Number of shares of the output channels.
    pub shares: usize,
    /// Whether long sums are made of short ones, for `--precise`; costs about 2 % of the time.
    #[serde(default)]
    pub exact: bool,
}

/// Floats of a panel that stay in the L1 cache next to the pixels of a tile: half of 32 KiB.
const SLICE: usize = 4 << 10;
/// The most tiles between two runs of the epilogue's program.
const WITH_PROGRAM: usize = 8;

/// Products per partial sum of an exact plan. Few enough that a sum of 4608 products (a 3x3 kernel over 512 channels) is as
/// accurate as PyTorch's, many enough that adding the partial sums takes only a fiftieth of the time.
const PIECE: usize = 64;

/// Output channels of the largest unit.
const UNIT: usize = 32;

/// Whether this kernel supports the convolution.
pub fn supports(shape: &ConvShape) -> bool {
    shape.kernel[0] * shape.kernel[1] <= MAX_ELEMENTS
}

/// Scratch floats per thread.
pub fn scratch(isa: Isa, plain: bool, shape: &ConvShape, plan: DirectPlan) -> usize {
    let geometry = Geometry::new(shape, if plain { 1 } else { isa.lanes() });
    geometry.strip(shape, plan.rows.min(geometry.lines)) * plan.samples
}

/// Whether the residual may be in the output buffer. It may not if the output temporarily holds sums over a part of the depth.
pub fn allows_residual_in_place(isa: Isa, plain: bool, shape: &ConvShape) -> bool {
    isa != Isa::Portable && slices(isa, &Panels::of(shape, isa.lanes(), plain), 0) == 1
}

/// Number of slices of a unit's depth. The small tiles of AVX2 and NEON consume weights faster than the L2 cache delivers them, so
/// that a panel, which is applied to many tiles, is processed in slices that stay in the L1 cache.
fn slices(isa: Isa, panels: &Panels, unit: usize) -> usize {
    let each = panels.len(unit) / panels.blocks.max(1);
    if matches!(isa, Isa::Avx2 | Isa::Neon) { panels.blocks.div_ceil((SLICE / each.max(1)).max(1)).max(1) } else { 1 }
}

/// Convolution. The input is blocked, or NCHW if `plain`; the output is blocked. The weight is packed by [`super::pack::pack`],
/// the bias is padded to whole blocks; `scratch` needs [`scratch`] floats per thread.
///
/// # Panics
/// If the instruction set has no kernels, a slice has the wrong length, or the residual is in the output although this convolution
/// does not [support](allows_residual_in_place) that.
pub fn conv(
    pool: &ThreadPool,
    isa: Isa,
    plain: bool,
    shape: &ConvShape,
    plan: DirectPlan,
    operands: &ConvOperands<'_>,
    scratch: &mut [f32],
    out: &mut [f32],
) {
    let Epilogue { bias, residual, act } = operands.epilogue;
    assert!(!matches!(residual, Residual::InPlace) || allows_residual_in_place(isa, plain, shape), "a residual in place");
    let isa = vector(isa);
    let source = Source::new(shape, isa.lanes(), plain, operands.x, operands.weight, bias);
    sum(pool, isa, &[source], 1, plan, residual, act, scratch, out);
}

/// The second convolution of [`pair`], which is added to the first.
#[derive(Clone, Copy, Debug)]
pub struct Second<'a> {
    /// Its sizes: a 1x1 convolution with any stride and no padding, whose output has the size of the first one's.
    pub shape: &'a ConvShape,
    /// Its input, blocked.
    pub x: &'a [f32],
    /// Its weight.
    pub weight: &'a [f32],
    /// Its bias.
    pub bias: Option<&'a [f32]>,
}

/// The sum of a pointwise convolution and a second one. The plan's rows are output rows, and there is no residual; everything
/// else is as for [`conv`], with the second one's [`scratch`] per thread.
///
/// # Panics
/// Like [`conv`], and if the two do not match.
pub fn pair(
    pool: &ThreadPool,
    isa: Isa,
    shape: &ConvShape,
    plan: DirectPlan,
    operands: &ConvOperands<'_>,
    second: &Second<'_>,
    scratch: &mut [f32],
    out: &mut [f32],
) {
    let isa = vector(isa);
    let [one, two] = [shape, second.shape].map(|s| (s.batch, s.filters, s.output));
    assert!(pairs(shape, second.shape) && one == two, "a pair");
    let Epilogue { bias, residual, act } = operands.epilogue;
    let first = Source::new(shape, isa.lanes(), false, operands.x, operands.weight, bias);
    let second = Source::new(second.shape, isa.lanes(), false, second.x, second.weight, second.bias);
    sum(pool, isa, &[first, second], shape.output[1], plan, residual, act, scratch, out);
}

/// Whether [`pair`] supports two convolutions whose outputs have the same size.
pub fn pairs(shape: &ConvShape, second: &ConvShape) -> bool {
    let single = second.kernel == [1, 1] && second.pad == [[0; 2]; 2] && second.groups == 1;
    shape.is_pointwise() && shape.groups == 1 && single
}

/// A convolution as one term of a sum.
struct Source<'a> {
    shape: &'a ConvShape,
    g: Geometry,
    panels: Panels,
    offsets: [usize; MAX_ELEMENTS],
    x: &'a [f32],
    weight: &'a [f32],
    bias: Option<&'a [f32]>,
}

impl<'a> Source<'a> {
    fn new(shape: &'a ConvShape, lanes: usize, plain: bool, x: &'a [f32], weight: &'a [f32], bias: Option<&'a [f32]>) -> Self {
        let g = Geometry::new(shape, if plain { 1 } else { lanes });
        let panels = Panels::of(shape, lanes, plain);
        assert_eq!(x.len(), shape.batch * g.blocks * g.lanes * shape.input[0] * shape.input[1], "input");
        assert_eq!(weight.len(), panels.total(), "weight");
        assert!(bias.is_none_or(|b| b.len() == shape.filters.next_multiple_of(lanes)), "bias");
        Source { shape, offsets: offsets(shape, &g), g, panels, x, weight, bias }
    }

    fn offsets(&self) -> &[usize] {
        &self.offsets[..self.shape.kernel[0] * self.shape.kernel[1]]
    }
}

/// The sum of several convolutions, over strips of `line` times as many pixels (or rows) as in the plan.
fn sum(
    pool: &ThreadPool,
    isa: VectorIsa,
    sources: &[Source<'_>],
    line: usize,
    plan: DirectPlan,
    residual: Residual<'_>,
    act: Option<Activation<'_>>,
    scratch: &mut [f32],
    out: &mut [f32],
) {
    let Source { shape, g, panels, .. } = &sources[0];
    assert_eq!(out.len(), shape.batch * shape.filters.next_multiple_of(isa.lanes()) * shape.pixels(), "output");
    if let Residual::From(r) = residual {
        assert_eq!(r.len(), out.len(), "residual");
    }
    let extent = if g.pointwise { g.width / line } else { g.lines };
    let rows = plan.rows.clamp(1, extent);
    let samples = if rows == extent { plan.samples.clamp(1, shape.batch) } else { 1 };
    let (pieces, sets) = (extent.div_ceil(rows), shape.batch.div_ceil(samples));
    let shares = plan.shares.clamp(1, panels.units());
    // at most one of them reads a copy
    let per_thread = sources.iter().map(|s| s.g.strip(s.shape, rows) * samples).sum();
    assert!(scratch.len() >= per_thread * pool.threads(), "scratch");
    let (out, scratch) = (Disjoint::new(out), Disjoint::new(scratch));
    let piece = if plan.exact { PIECE } else { usize::MAX };
    let job = Job { isa, sources, line, residual, act, piece, out };
    let threads = pool.threads();
    // a thread keeps either its share of the weights, for all strips, or its strips, for all shares
    pool.deal(shares * pieces * sets, |thread, tasks| {
        // SAFETY: each thread has its own part of the scratch
        let copy = unsafe { scratch.slice(thread * per_thread, per_thread) };
        let mut copied = None;
        for task in tasks {
            let (strip, part) =
                if shares <= threads { (task % (pieces * sets), task / (pieces * sets)) } else { (task / shares, task % shares) };
            let (piece, set) = (strip % pieces, strip / pieces);
            let lines = share(extent, pieces, piece);
            let batch = share(shape.batch, sets, set);
            let strip = Strip { sample: batch.start, samples: batch.len(), first: lines.start, count: lines.len() };
            if copied != Some(strip) {
                for source in sources.iter().filter(|s| !s.g.pointwise) {
                    copy_strip(source.shape, &source.g, source.x, strip, copy);
                }
                copied = Some(strip);
            }
            job.run(strip, share(panels.units(), shares, part), copy);
        }
    });
}

/// What all tasks of a convolution share.
struct Job<'a> {
    isa: VectorIsa,
    sources: &'a [Source<'a>],
    /// Pixels per row of a strip, if the first source is pointwise.
    line: usize,
    residual: Residual<'a>,
    act: Option<Activation<'a>>,
    /// Products per partial sum.
    piece: usize,
    out: Disjoint<'a>,
}

/// One pass over a strip: adds the products of a range of a source's blocks to a unit of output channels.
struct Pass<'a> {
    source: &'a Source<'a>,
    strip: Strip,
    unit: usize,
    blocks: std::ops::Range<usize>,
    /// Whether it is the first pass of the sum.
    first: bool,
    /// Whether it is the last pass of the sum.
    last: bool,
    /// Whether the pixels are read for the first time, so that they are not in cache.
    cold: bool,
    /// The weights that are read next.
    next: &'a [f32],
}

impl Job<'_> {
    /// Computes all units of a share for a strip. `copy` is the strip's input unless it is read in place.
    fn run(&self, strip: Strip, units: std::ops::Range<usize>, copy: &[f32]) {
        let count = self.sources.len();
        for unit in units.clone() {
            for (index, source) in self.sources.iter().enumerate() {
                let Source { panels, weight, .. } = source;
                let each = panels.len(unit) / panels.blocks.max(1);
                let slices = slices(self.isa.into(), panels, unit);
                for slice in 0..slices {
                    let blocks = share(panels.blocks, slices, slice);
                    let next = if slice + 1 < slices {
                        &weight[panels.start(unit) + blocks.end * each..]
                    } else {
                        // the next source's panel of this unit, or the first source's panel of the next unit
                        let is_last_source = index + 1 == count;
                        let following = match unit + usize::from(is_last_source) {
                            next if next < units.end => next,
                            _ => units.start,
                        };
                        let Source { panels, weight, .. } = &self.sources[if is_last_source { 0 } else { index + 1 }];
                        &weight[panels.start(following)..]
                    };
                    let len = blocks.len() * each;
                    let pass = Pass {
                        source,
                        strip,
                        unit,
                        first: index == 0 && slice == 0,
                        last: index + 1 == count && slice + 1 == slices,
                        cold: unit == units.start,
                        blocks,
                        next: &next[..len.min(next.len())],
                    };
                    self.pass(&pass, copy);
                }
            }
        }
    }

    /// The bias of some channels. If several sources have one, `memory` receives their sum.
    fn bias<'b>(&'b self, channels: std::ops::Range<usize>, memory: &'b mut [f32; UNIT]) -> Option<&'b [f32]> {
        let mut biases = self.sources.iter().filter_map(|s| s.bias).map(|b| &b[channels.clone()]);
        let first = biases.next()?;
        let Some(second) = biases.next() else { return Some(first) };
        let sums = &mut memory[..channels.len()];
        sums.copy_from_slice(first);
        for other in std::iter::once(second).chain(biases) {
            sums.iter_mut().zip(other).for_each(|(s, &b)| *s += b);
        }
        Some(sums)
    }

    /// Computes a pass, tile by tile.
    fn pass(&self, pass: &Pass<'_>, copy: &[f32]) {
        let Pass { source, strip, unit, .. } = *pass;
        let Source { shape, g, panels, x, weight, .. } = source;
        let lanes = self.isa.lanes();
        let width = panels.width(unit);
        let out_plane = shape.pixels() * lanes;
        let out_blocks = shape.filters.div_ceil(lanes);
        let block = if g.pointwise { shape.input[0] * shape.input[1] * g.lanes } else { g.rows_in(shape, strip.count) * g.pitch };
        let each = panels.len(unit) / panels.blocks.max(1);
        let panel = &weight[panels.start(unit) + pass.blocks.start * each..][..pass.blocks.len() * each];
        let kernel_offsets = source.offsets();
        // if the strip is flat, pixels are counted as in a single row
        let flat = if g.pointwise { strip.first * self.line } else { strip.first * g.width };
        let strip_tiles = StripTiles::new(g.lines_of(strip, self.line), microkernel::widest(self.isa));
        let tiles = strip_tiles.tiles() * strip.samples;
        // the last tiles prefetch the next panel: enough of them that memory can keep up
        let visits = pass.blocks.len() * kernel_offsets.len();
        let lines = pass.next.len().div_ceil(LINE * visits.max(1));
        let prefetchers = (2 * lines).div_ceil(panels.depth).clamp(1, tiles);
        let (lines, begin) = (lines.div_ceil(prefetchers), tiles - prefetchers);
        let mut bias = [0.0; UNIT];
        let bias = if pass.last { self.bias(2 * unit * lanes..(2 * unit + width) * lanes, &mut bias) } else { None };
        let bias = bias.map_or(std::ptr::null(), <[f32]>::as_ptr);
        let clamp = if pass.last { Activation::clamp(self.act) } else { Clamp::None };
        let program = if pass.last { Activation::program(self.act) } else { None };
        // so that the program finds the outputs in the L1 cache
        let longest = if program.is_some() { WITH_PROGRAM } else { usize::MAX };
        let (mut size, mut kernel) = ((0, 0), None);
        let mut tile = 0usize;
        for sample in 0..strip.samples {
            let maps =
                if g.pointwise { &x[(strip.sample + sample) * g.blocks * block..] } else { &copy[sample * g.blocks * block..] };
            let read = &maps[panels.first_block(unit) * block..][..panels.blocks * block][pass.blocks.start * block..];
            let start = ((strip.sample + sample) * out_blocks + 2 * unit) * out_plane;
            let out = self.out.pointer(start, width * out_plane);
            for run in strip_tiles.clone() {
                let (from, at) = if g.pointwise {
                    ((flat + run.column) * lanes, (flat + run.column) * lanes)
                } else if g.flat {
                    (run.column * g.lanes, (flat + run.column) * lanes)
                } else {
                    let row = strip.first + run.row;
                    (run.row * g.step * g.pitch + run.column * g.lanes, (row * g.width + run.column) * lanes)
                };
                let mut done = 0;
                while done < run.count {
                    // up to the first one that prefetches
                    let most = if tile < begin { begin - tile } else { tiles - tile };
                    let count = (run.count - done).min(most).min(longest);
                    let (from, at) = (from + done * run.pixels * g.lanes, at + done * run.pixels * lanes);
                    let prefetched = tile.checked_sub(begin).map(|n| n * visits * lines * LINE).filter(|&n| n < pass.next.len());
                    (tile, done) = (tile + count, done + count);
                    let operands = Tile {
                        count,
                        x: read[from..].as_ptr(),
                        row: g.step * g.pitch,
                        blocks: pass.blocks.len(),
                        block,
                        offsets: kernel_offsets.as_ptr(),
                        elements: kernel_offsets.len(),
                        weight: panel.as_ptr(),
                        next: prefetched.map_or(panel, |n| &pass.next[n..]).as_ptr(),
                        lines: if prefetched.is_some() { lines } else { 0 },
                        ahead: if g.pointwise && pass.cold { run.pixels * lanes } else { 0 },
                        piece: self.piece.div_ceil(g.lanes),
                        resumes: !pass.first,
                        bias,
                        out: out.wrapping_add(at),
                        out_row: g.width * lanes,
                        out_block: out_plane,
                        residual: match self.residual {
                            _ if !pass.last => std::ptr::null(),
                            Residual::None => std::ptr::null(),
                            Residual::InPlace => out.wrapping_add(at),
                            Residual::From(r) => r[start + at..].as_ptr(),
                        },
                        clamp,
                    };
                    if size != (run.rows, run.pixels) {
                        size = (run.rows, run.pixels);
                        kernel = microkernel::choose(self.isa, run.rows, run.pixels, width, g.lanes > 1);
                    }
                    let Some(kernel) = kernel else { unreachable!("a tile of {} x {}", run.rows, run.pixels) };
                    // SAFETY: the processor supports `self.isa`. The tiles' kernel elements are inside the strip's copy, which has
                    // every row and column that they read (or, if pointwise, inside the feature map itself), and their outputs
                    // inside the unit's feature maps; the panel has the length given by blocks, kernel elements and channels. Each
                    // task writes its own outputs.
                    unsafe { kernel(&operands) };
                    if let Some(code) = program {
                        for (b, r) in (0..width).flat_map(|b| (0..run.rows).map(move |r| (b, r))) {
                            let at = start + b * out_plane + at + r * g.width * lanes;
                            let channels = shape.filters - (2 * unit + b) * lanes;
                            // SAFETY: outputs of these tiles only
                            apply(self.isa.into(), code, channels, unsafe { self.out.slice(at, count * run.pixels * lanes) });
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
