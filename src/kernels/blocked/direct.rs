//! Direct convolution: the micro-kernel over all taps, on a strip of the input at a time.
//!
//! A task is a strip (rows of one sample, or some whole samples) and a share of the output channels. Its input is copied into
//! the thread's scratch with the zeros of the padding around it, columns sorted by their remainder modulo the stride: so
//! neighbouring pixels of a tile always lie one block apart and no tap needs a condition. That walk over the input costs a
//! hundredth of the arithmetic. A 1x1 convolution of stride 1 reads its input in place. The panel of each unit of output
//! channels passes over the whole strip, which is chosen to stay in the second-level cache.
//!
//! Two pointwise convolutions whose results are added ([`pair`]: the last of a block, and its projection shortcut) are one
//! sum over the channels of both, and done as one: a strip's results do not leave the cache in between.

use super::pack::Panels;
use crate::kernels::aligned::LINE;
use crate::kernels::isa::{Isa, Kernels};
use crate::kernels::pool::{Disjoint, Pool, share};
use crate::kernels::tile::{Clamp, Tile};
use crate::kernels::{Activation, ConvOperands, ConvShape, Epilogue, Residual};

/// How the work is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct DirectPlan {
    /// Output rows of a strip; pixels of the flattened map where the convolution is pointwise.
    pub rows: usize,
    /// Whole samples of a strip, where `rows` covers a map.
    pub samples: usize,
    /// Shares of the output channels.
    pub shares: usize,
}

/// The sizes of a convolution as strips see them.
struct Geometry {
    /// Channels that lie together in the input.
    lanes: usize,
    /// Blocks of them.
    blocks: usize,
    /// Whether the input is read in place.
    pointwise: bool,
    /// Whether the rows of a strip lie one behind the other, and pixels of two rows may share a tile.
    flat: bool,
    /// Output rows; 1 where pointwise.
    lines: usize,
    /// Output pixels of a row; all where pointwise.
    width: usize,
    /// Input rows from a row of the strip's output to the next, as kept in the strip.
    step: usize,
    /// Columns kept of each remainder.
    columns: usize,
    /// Floats of a row of the strip.
    pitch: usize,
}

impl Geometry {
    fn new(shape: &ConvShape, lanes: usize) -> Geometry {
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

    /// Rows of input that so many rows of output read.
    fn rows_in(&self, shape: &ConvShape, rows: usize) -> usize {
        (rows - 1) * self.step + (shape.kernel[0] - 1) * shape.dilation[0] + 1
    }

    /// Floats of a sample's part of a strip.
    fn strip(&self, shape: &ConvShape, rows: usize) -> usize {
        if self.pointwise { 0 } else { self.blocks * self.rows_in(shape, rows) * self.pitch }
    }
}

/// Floats of a panel that stay in the first-level cache beside the pixels of a tile: half of 32 KiB.
const SLICE: usize = 4 << 10;

/// Taps whose offsets are kept on the stack.
const TAPS: usize = 128;

/// Whether this kernel serves the convolution.
pub fn serves(shape: &ConvShape) -> bool {
    shape.kernel[0] * shape.kernel[1] <= TAPS
}

/// Floats of scratch that each thread needs.
pub fn scratch(isa: Isa, plain: bool, shape: &ConvShape, plan: DirectPlan) -> usize {
    let geometry = Geometry::new(shape, if plain { 1 } else { isa.lanes() });
    geometry.strip(shape, plan.rows.min(geometry.lines)) * plan.samples
}

/// A range of output rows (pixels where pointwise) of some samples.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Strip {
    sample: usize,
    samples: usize,
    first: usize,
    count: usize,
}

/// Floats of scratch that each thread needs for a [`pair`].
pub fn pair_scratch(isa: Isa, second: &ConvShape, plan: DirectPlan) -> usize {
    scratch(isa, false, second, plan)
}

/// Convolves. The input is blocked, or plain (NCHW) where `plain`; the output is blocked. The weight is as
/// [`super::pack::pack`] made it, the bias filled up to whole blocks; `scratch` holds [`scratch`] floats for each thread.
///
/// # Panics
/// Where the instruction set has no kernels here, or a slice is not as long as the sizes say.
pub fn conv(
    pool: &Pool,
    isa: Isa,
    plain: bool,
    shape: &ConvShape,
    plan: DirectPlan,
    operands: &ConvOperands<'_>,
    scratch: &mut [f32],
    out: &mut [f32],
) {
    let Some(kernels) = isa.kernels() else { panic!("no kernels for {isa}") };
    let Epilogue { bias, residual, act } = operands.epilogue;
    let source = Source::new(shape, kernels.lanes, plain, operands.x, operands.weight, bias);
    sum(pool, kernels, &[source], 1, plan, residual, act, scratch, out);
}

/// What [`pair`] adds to the first convolution.
#[derive(Clone, Copy, Debug)]
pub struct Second<'a> {
    /// Its sizes: a 1x1 convolution of any stride, without padding, whose output is as large as the first one's.
    pub shape: &'a ConvShape,
    /// Its input, blocked.
    pub x: &'a [f32],
    /// Its weight.
    pub weight: &'a [f32],
    /// Its bias.
    pub bias: Option<&'a [f32]>,
}

/// The sum of a pointwise convolution and a second one. The plan's rows are rows of the output; there is no residual; all
/// else as for [`conv`], with [`pair_scratch`] floats for each thread.
///
/// # Panics
/// As [`conv`], and where the two do not fit together.
pub fn pair(
    pool: &Pool,
    isa: Isa,
    shape: &ConvShape,
    plan: DirectPlan,
    operands: &ConvOperands<'_>,
    second: &Second<'_>,
    scratch: &mut [f32],
    out: &mut [f32],
) {
    let Some(kernels) = isa.kernels() else { panic!("no kernels for {isa}") };
    let [one, two] = [shape, second.shape].map(|s| (s.batch, s.filters, s.output));
    assert!(pairs(shape, second.shape) && one == two, "a pair");
    let Epilogue { bias, residual, act } = operands.epilogue;
    let first = Source::new(shape, kernels.lanes, false, operands.x, operands.weight, bias);
    let second = Source::new(second.shape, kernels.lanes, false, second.x, second.weight, second.bias);
    sum(pool, kernels, &[first, second], shape.output[1], plan, residual, act, scratch, out);
}

/// Whether [`pair`] serves two convolutions with results of the same size.
pub fn pairs(shape: &ConvShape, second: &ConvShape) -> bool {
    let single = second.kernel == [1, 1] && second.pad == [[0; 2]; 2] && second.groups == 1;
    shape.is_pointwise() && shape.groups == 1 && single
}

/// A convolution as a part of a sum.
struct Source<'a> {
    shape: &'a ConvShape,
    g: Geometry,
    panels: Panels,
    taps: [usize; TAPS],
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
        Source { shape, taps: offsets(shape, &g), g, panels, x, weight, bias }
    }

    fn taps(&self) -> &[usize] {
        &self.taps[..self.shape.kernel[0] * self.shape.kernel[1]]
    }
}

/// The sum of some convolutions over strips of `line` times as many pixels (or rows) as the plan says.
fn sum(
    pool: &Pool,
    kernels: &'static Kernels,
    sources: &[Source<'_>],
    line: usize,
    plan: DirectPlan,
    residual: Residual<'_>,
    act: Option<Activation>,
    scratch: &mut [f32],
    out: &mut [f32],
) {
    let Source { shape, g, panels, .. } = &sources[0];
    assert_eq!(out.len(), shape.batch * shape.filters.next_multiple_of(kernels.lanes) * shape.pixels(), "output");
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
    let job = Job { kernels, sources, line, residual, act, out };
    let threads = pool.threads();
    // a thread either keeps to its own share of the weights, for all strips, or to its strips, for all shares
    pool.deal(shares * pieces * sets, |thread, tasks| {
        // SAFETY: each thread has its own part of the scratch
        let copy = unsafe { scratch.slice(thread * per_thread, per_thread) };
        let mut held = None;
        for task in tasks {
            let (strip, part) =
                if shares <= threads { (task % (pieces * sets), task / (pieces * sets)) } else { (task / shares, task % shares) };
            let (piece, set) = (strip % pieces, strip / pieces);
            let lines = share(extent, pieces, piece);
            let batch = share(shape.batch, sets, set);
            let strip = Strip { sample: batch.start, samples: batch.len(), first: lines.start, count: lines.len() };
            if held != Some(strip) {
                for source in sources.iter().filter(|s| !s.g.pointwise) {
                    copy_strip(source.shape, &source.g, source.x, strip, copy);
                }
                held = Some(strip);
            }
            job.run(strip, share(panels.units(), shares, part), copy);
        }
    });
}

/// The offset of each tap in a strip (or input read in place).
fn offsets(shape: &ConvShape, g: &Geometry) -> [usize; TAPS] {
    let mut taps = [0; TAPS];
    let [kh, kw] = shape.kernel;
    assert!(kh * kw <= TAPS);
    for (tap, offset) in taps.iter_mut().enumerate().take(kh * kw) {
        let (y, x) = (tap / kw * shape.dilation[0], tap % kw * shape.dilation[1]);
        let (phase, column) = (x % shape.stride[1], x / shape.stride[1]);
        *offset = y * g.pitch + (phase * g.columns + column) * g.lanes;
    }
    taps
}

/// Copies the input of a strip: `[sample][block][row][remainder of the column][column][lanes]`, zeros for the padding.
fn copy_strip(shape: &ConvShape, g: &Geometry, x: &[f32], strip: Strip, to: &mut [f32]) {
    let [h, w] = shape.input;
    let rows = g.rows_in(shape, strip.count);
    // rows between those that the taps reach are left out
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

struct Job<'a> {
    kernels: &'static Kernels,
    sources: &'a [Source<'a>],
    /// Pixels of a row of a strip, where the first source is pointwise.
    line: usize,
    residual: Residual<'a>,
    act: Option<Activation>,
    out: Disjoint<'a>,
}

/// A range of a source's blocks, whose products are added to a unit of output channels in one pass over the strip.
struct Pass<'a> {
    source: &'a Source<'a>,
    strip: Strip,
    unit: usize,
    blocks: std::ops::Range<usize>,
    /// Whether it begins its source, and the sum, and ends the sum.
    begins: bool,
    first: bool,
    last: bool,
    /// Whether no pass before read the same pixels.
    cold: bool,
    /// The weights that are read next.
    next: &'a [f32],
}

impl Job<'_> {
    /// All units of a share over a strip, whose copy is `copy` unless it is read in place.
    fn run(&self, strip: Strip, units: std::ops::Range<usize>, copy: &[f32]) {
        let count = self.sources.len();
        for unit in units.clone() {
            for (index, source) in self.sources.iter().enumerate() {
                let Source { panels, weight, .. } = source;
                let each = panels.len(unit) / panels.blocks.max(1);
                // a panel that passes over many tiles stays in the first-level cache, a slice at a time
                let slices = if self.kernels.sliced { panels.blocks.div_ceil((SLICE / each.max(1)).max(1)).max(1) } else { 1 };
                for slice in 0..slices {
                    let blocks = share(panels.blocks, slices, slice);
                    let next = if slice + 1 < slices {
                        &weight[panels.start(unit) + blocks.end * each..]
                    } else {
                        // the next source's panel of this unit, or the first one's of the next
                        let turn = index + 1 == count;
                        let following = match unit + usize::from(turn) {
                            next if next < units.end => next,
                            _ => units.start,
                        };
                        let Source { panels, weight, .. } = &self.sources[if turn { 0 } else { index + 1 }];
                        &weight[panels.start(following)..]
                    };
                    let len = blocks.len() * each;
                    let pass = Pass {
                        source,
                        strip,
                        unit,
                        begins: slice == 0,
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

    fn pass(&self, pass: &Pass<'_>, copy: &[f32]) {
        let Pass { source, strip, unit, .. } = *pass;
        let Source { shape, g, panels, x, weight, bias, .. } = source;
        let lanes = self.kernels.lanes;
        let width = panels.width(unit);
        let map = shape.pixels() * lanes;
        let out_blocks = shape.filters.div_ceil(lanes);
        let block = if g.pointwise { shape.input[0] * shape.input[1] * g.lanes } else { g.rows_in(shape, strip.count) * g.pitch };
        let each = panels.len(unit) / panels.blocks.max(1);
        let panel = &weight[panels.start(unit) + pass.blocks.start * each..][..pass.blocks.len() * each];
        let taps = source.taps();
        // where the strip is flat, pixels are counted as if it were one row
        let flat = if g.pointwise { strip.first * self.line } else { strip.first * g.width };
        let cut = Cut::new(g, strip, self.line, self.kernels.pixels);
        let tiles = cut.tiles() * strip.samples;
        // the last tiles together bring the next panel: some of them, so that memory keeps up
        let visits = pass.blocks.len() * taps.len();
        let lines = pass.next.len().div_ceil(LINE * visits.max(1));
        let bringers = (2 * lines).div_ceil(panels.depth).clamp(1, tiles);
        let (lines, begin) = (lines.div_ceil(bringers), tiles - bringers);
        let bias = bias.filter(|_| pass.begins).map_or(std::ptr::null(), |b| b[2 * unit * lanes..][..width * lanes].as_ptr());
        let clamp = if self.act == Some(Activation::Relu) && pass.last { Clamp::Relu } else { Clamp::None };
        let (mut size, mut kernel) = ((0, 0), None);
        let mut tile = 0usize;
        for sample in 0..strip.samples {
            let maps =
                if g.pointwise { &x[(strip.sample + sample) * g.blocks * block..] } else { &copy[sample * g.blocks * block..] };
            let read = &maps[panels.first_block(unit) * block..][..panels.blocks * block][pass.blocks.start * block..];
            let start = ((strip.sample + sample) * out_blocks + 2 * unit) * map;
            let out = self.out.pointer(start, width * map);
            for part in cut.clone() {
                let (from, at) = if g.pointwise {
                    ((flat + part.column) * lanes, (flat + part.column) * lanes)
                } else if g.flat {
                    (part.column * g.lanes, (flat + part.column) * lanes)
                } else {
                    let row = strip.first + part.row;
                    (part.row * g.step * g.pitch + part.column * g.lanes, (row * g.width + part.column) * lanes)
                };
                let brought = tile.checked_sub(begin).map(|n| n * visits * lines * LINE).filter(|&n| n < pass.next.len());
                tile += 1;
                let tile = Tile {
                    x: read[from..].as_ptr(),
                    row: g.step * g.pitch,
                    blocks: pass.blocks.len(),
                    block,
                    taps: taps.as_ptr(),
                    tap_count: taps.len(),
                    weight: panel.as_ptr(),
                    next: brought.map_or(panel, |n| &pass.next[n..]).as_ptr(),
                    lines: if brought.is_some() { lines } else { 0 },
                    ahead: if g.pointwise && pass.cold { part.pixels * lanes } else { 0 },
                    bias,
                    out: out.wrapping_add(at),
                    out_row: g.width * lanes,
                    out_block: map,
                    residual: match self.residual {
                        _ if !pass.first => out.wrapping_add(at),
                        Residual::None => std::ptr::null(),
                        Residual::InPlace => out.wrapping_add(at),
                        Residual::From(r) => r[start + at..].as_ptr(),
                    },
                    clamp,
                };
                if size != (part.rows, part.pixels) {
                    size = (part.rows, part.pixels);
                    kernel = (self.kernels.tile)(part.rows, part.pixels, width, g.lanes > 1);
                }
                let Some(kernel) = kernel else { unreachable!("a tile of {} x {}", part.rows, part.pixels) };
                // SAFETY: whoever has `kernels` runs on a processor with their instructions. The tile's taps lie in the
                // strip's copy, which has every row and column that they reach (or, pointwise, in the map itself), its
                // results in the unit's maps; the panel is as long as blocks, taps and channels say. Tasks write
                // results of their own.
                unsafe { kernel(&tile) };
                if self.act == Some(Activation::Sigmoid) && pass.last {
                    for (b, r) in (0..width).flat_map(|b| (0..part.rows).map(move |r| (b, r))) {
                        let at = start + b * map + at + r * g.width * lanes;
                        // SAFETY: this tile's own results
                        Activation::Sigmoid.apply(unsafe { self.out.slice(at, part.pixels * lanes) });
                    }
                }
            }
        }
    }
}

/// A tile within a strip.
struct Part {
    row: usize,
    column: usize,
    rows: usize,
    pixels: usize,
}

/// Cuts a strip into tiles of nearly equal width, the wider ones first; narrow maps go two rows at a time.
#[derive(Clone)]
struct Cut {
    lines: usize,
    width: usize,
    /// Tiles beside each other.
    across: usize,
    /// Pixels of the narrower ones.
    pixels: usize,
    two: bool,
    row: usize,
    column: usize,
}

impl Cut {
    fn new(g: &Geometry, strip: Strip, line: usize, most: usize) -> Cut {
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
    fn tiles(&self) -> usize {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::blocked::pack::{pack, pack_channels};
    use crate::kernels::reference::{Numbers, blocked, conv_f64, plain, worst};

    /// Convolves by this kernel, from and to plain layouts, and compares with the definition in f64.
    fn check(
        isa: Isa,
        shape: ConvShape,
        plan: DirectPlan,
        threads: usize,
        act: Option<Activation>,
        residual: usize,
        from_plain: bool,
    ) {
        let mut numbers = Numbers::new(shape.macs() + residual as u64);
        let lanes = isa.lanes();
        let x = numbers.take(shape.input_sizes().iter().product());
        let weight = numbers.take(shape.filters * shape.depth());
        let bias = numbers.take(shape.filters);
        let r = numbers.take(shape.output_sizes().iter().product());
        let expected = conv_f64(&shape, &x, &weight, Some(&bias), (residual > 0).then_some(&r[..]), act);

        let sizes = [shape.filters, shape.channels / shape.groups, shape.kernel[0], shape.kernel[1]];
        let packed = pack(lanes, sizes, shape.groups, from_plain, &weight).unwrap();
        let bias = pack_channels(lanes, &bias).unwrap();
        let (input, rest) = if from_plain {
            (x, blocked(&r, shape.output_sizes(), lanes))
        } else {
            (blocked(&x, shape.input_sizes(), lanes), blocked(&r, shape.output_sizes(), lanes))
        };
        let mut out = vec![f32::NAN; rest.len()];
        let residual = match residual {
            0 => Residual::None,
            1 => {
                out.copy_from_slice(&rest);
                Residual::InPlace
            }
            _ => Residual::From(&rest),
        };
        let pool = Pool::new(threads).unwrap();
        let mut room = vec![f32::NAN; scratch(isa, from_plain, &shape, plan) * threads];
        let epilogue = Epilogue { bias: Some(&bias), residual, act };
        let operands = ConvOperands { x: &input, weight: &packed, epilogue };
        conv(&pool, isa, from_plain, &shape, plan, &operands, &mut room, &mut out);
        assert!(out.iter().all(|v| v.is_finite()), "{isa} {shape:?} {plan:?}");
        let off = worst(&plain(&out, shape.output_sizes(), lanes), &expected);
        assert!(off < 5e-5, "{isa} {shape:?} {plan:?}: {off}");
    }

    fn shape(n: &mut Numbers, groups: bool) -> ConvShape {
        let mut below = |most: usize| n.below(most);
        let kernel = [[1, 1], [3, 3], [7, 7], [5, 3], [1, 3], [2, 2]][below(6)];
        let stride = [[1, 1], [2, 2], [3, 3], [1, 2], [2, 1]][below(5)];
        let dilation = [1 + below(2), 1 + below(2)];
        let pad = [[below(kernel[0]), below(kernel[0])], [below(kernel[1]), below(kernel[1])]];
        let reach = [0, 1].map(|i| (kernel[i] - 1) * dilation[i] + 1);
        let input = [0, 1].map(|i| reach[i] + below(18));
        let output = [0, 1].map(|i| (input[i] + pad[i][0] + pad[i][1] - reach[i]) / stride[i] + 1);
        let groups = if groups { [2, 3, 8][below(3)] } else { 1 };
        let channels = groups * [1, 3, 4, 16, 20, 40][below(6)];
        let filters = groups * [1, 4, 5, 16, 33, 48][below(6)];
        ConvShape { batch: 1 + below(3), channels, input, filters, output, kernel, stride, pad, dilation, groups }
    }

    #[test]
    fn agrees_with_the_definition() {
        for isa in Isa::ALL.into_iter().filter(|isa| isa.kernels().is_some()) {
            let mut n = Numbers::new(7);
            for round in 0..120 {
                let shape = shape(&mut n, round % 4 == 3);
                let plan = DirectPlan { rows: 1 + n.below(20), samples: 1 + n.below(3), shares: 1 + n.below(3) };
                let act = [None, Some(Activation::Relu), Some(Activation::Sigmoid)][n.below(3)];
                let plain = shape.groups == 1 && n.below(3) == 0;
                check(isa, shape, plan, 1 + n.below(3), act, n.below(3), plain);
            }
        }
    }

    #[test]
    fn a_pair_is_the_sum_of_two_convolutions() {
        for isa in Isa::ALL.into_iter().filter(|isa| isa.kernels().is_some()) {
            let mut n = Numbers::new(11);
            let lanes = isa.lanes();
            for round in 0..60 {
                let [batch, filters] = [1 + n.below(3), [1, 16, 40, 70][n.below(4)]];
                let output = [1 + n.below(9), 1 + n.below(17)];
                let stride = [[1, 1], [2, 2], [1, 3]][n.below(3)];
                let shape = |channels, stride: [usize; 2], input: [usize; 2]| ConvShape {
                    batch,
                    channels,
                    input,
                    filters,
                    output,
                    kernel: [1, 1],
                    stride,
                    pad: [[0; 2]; 2],
                    dilation: [1; 2],
                    groups: 1,
                };
                let one = shape([3, 16, 40, 300][n.below(4)], [1, 1], output);
                let larger = [0, 1].map(|i| (output[i] - 1) * stride[i] + 1 + n.below(stride[i]));
                let two = shape([4, 32, 50, 520][n.below(4)], stride, larger);
                let act = [None, Some(Activation::Relu), Some(Activation::Sigmoid)][round % 3];
                let mut made = [one, two].map(|s| {
                    let x = n.take(s.input_sizes().iter().product());
                    let (weight, bias) = (n.take(s.filters * s.depth()), n.take(s.filters));
                    let packed = pack(lanes, [s.filters, s.channels, 1, 1], 1, false, &weight).unwrap();
                    let sum = conv_f64(&s, &x, &weight, Some(&bias), None, None);
                    (blocked(&x, s.input_sizes(), lanes), packed, pack_channels(lanes, &bias).unwrap(), sum)
                });
                let expected: Vec<f32> = made[0].3.iter().zip(&made[1].3).map(|(a, b)| (a + b) as f32).collect();
                let mut expected = expected;
                if let Some(act) = act {
                    act.apply(&mut expected);
                }
                let [(x, weight, bias, _), (x2, weight2, bias2, _)] = &mut made;
                let plan = DirectPlan { rows: 1 + n.below(9), samples: 1 + n.below(3), shares: 1 + n.below(3) };
                let threads = 1 + n.below(3);
                let mut room = vec![f32::NAN; pair_scratch(isa, &two, plan) * threads];
                let mut out = vec![f32::NAN; batch * filters.next_multiple_of(lanes) * output[0] * output[1]];
                let epilogue = Epilogue { bias: Some(bias), residual: Residual::None, act };
                let operands = ConvOperands { x, weight, epilogue };
                let second = Second { shape: &two, x: x2, weight: weight2, bias: Some(bias2) };
                let pool = Pool::new(threads).unwrap();
                pair(&pool, isa, &one, plan, &operands, &second, &mut room, &mut out);
                let got = plain(&out, one.output_sizes(), lanes);
                let off = got.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(off < 1e-3 && got.iter().all(|v| v.is_finite()), "{isa} {one:?} {two:?} {plan:?}: {off}");
            }
        }
    }

    #[test]
    #[ignore = "a measurement: cargo test --release --lib direct::tests::speed -- --ignored --nocapture"]
    fn speed() {
        for isa in Isa::ALL.into_iter().filter(|isa| isa.kernels().is_some()) {
            for (channels, map, filters, kernel, stride) in [
                (64, 56, 64, 3, 1),
                (128, 28, 128, 3, 1),
                (256, 14, 256, 3, 1),
                (512, 7, 512, 3, 1),
                (3, 224, 64, 7, 2),
                (128, 56, 128, 3, 2),
                (64, 56, 256, 1, 1),
                (256, 56, 64, 1, 1),
                (512, 28, 128, 1, 1),
                (128, 28, 512, 1, 1),
                (1024, 14, 256, 1, 1),
                (256, 14, 1024, 1, 1),
                (2048, 7, 512, 1, 1),
                (512, 7, 2048, 1, 1),
                (1024, 14, 2048, 1, 2),
            ] {
                for batch in [1, 8] {
                    let pad = kernel / 2;
                    let out = (map + 2 * pad - kernel) / stride + 1;
                    let shape = ConvShape {
                        batch,
                        channels,
                        input: [map; 2],
                        filters,
                        output: [out; 2],
                        kernel: [kernel; 2],
                        stride: [stride; 2],
                        pad: [[pad; 2]; 2],
                        dilation: [1; 2],
                        groups: 1,
                    };
                    let plain = channels == 3;
                    let x = vec![0.5f32; batch * channels.next_multiple_of(if plain { 1 } else { 16 }) * map * map];
                    let weight =
                        pack(isa.lanes(), [filters, channels, kernel, kernel], 1, plain, &vec![0.5; filters * shape.depth()])
                            .unwrap();
                    let mut y = vec![0f32; shape.output_sizes().iter().product()];
                    let mut line = String::new();
                    for threads in [1, 2] {
                        let pool = Pool::new(threads).unwrap();
                        let lines = if shape.is_pointwise() { out * out } else { out };
                        let mut best: (f64, DirectPlan) = (f64::MAX, DirectPlan { rows: 1, samples: 1, shares: 1 });
                        for pieces in [1, 2, 4, 8, 16] {
                            for samples in [1, 2, 4, 8] {
                                for shares in [1, 2, 4] {
                                    if pieces > 1 && samples > 1 || samples > batch || pieces * 2 > out {
                                        continue;
                                    }
                                    let plan = DirectPlan { rows: lines.div_ceil(pieces), samples, shares };
                                    let mut room = vec![0f32; scratch(isa, plain, &shape, plan) * threads];
                                    let epilogue = Epilogue { bias: None, residual: Residual::None, act: Some(Activation::Relu) };
                                    let operands = ConvOperands { x: &x, weight: &weight, epilogue };
                                    for _ in 0..5 {
                                        let start = std::time::Instant::now();
                                        conv(&pool, isa, plain, &shape, plan, &operands, &mut room, &mut y);
                                        let t = start.elapsed().as_secs_f64();
                                        if t < best.0 {
                                            best = (t, plan)
                                        }
                                    }
                                }
                            }
                        }
                        line += &format!("  {:8.1} GFLOP/s {:?}", 2e-9 * shape.macs() as f64 / best.0, best.1);
                    }
                    eprintln!("{isa} {channels}x{map} -> {filters} {kernel}x{kernel}/{stride} b{batch}: {line}");
                }
            }
        }
    }
}
