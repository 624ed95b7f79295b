//! Convolution and linear layers in integers.
//!
//! A task is a strip (`strip.rs`) of the output and a share of its channels; within it, the weights of each panel are applied to
//! the whole strip. On AVX2 they are widened to 16 bits first, in slices that stay in the L1 cache, and sums over a part of the depth
//! wait in memory: integers do not depend on the order.

use std::ops::Range;

use super::depthwise::{ExpandPairs, Row};
use super::dot::{LANES, Limits, Segment};
use super::engine::{Engine, Instance, instance};
use super::floats::{self, FloatStrip};
use super::map::{Map, Quant, SLOT};
use super::strip::{Copy, Expand, Geometry, Strip};
use super::tile::{self, Finish, Tile};
use super::weights::{self, Input, Unsupported};
use crate::kernels::aligned::LINE_BYTES;
use crate::kernels::clamp::Clamp;
use crate::kernels::threads::{Disjoint, ThreadPool, share};
use crate::kernels::tiles::StripTiles;
use crate::kernels::{Activation, ConvShape, Isa, Layout};

/// Steps of widened weights that stay in the L1 cache next to the pixels of a tile: 20 of 32 KiB.
const SLICE: usize = 320;
/// Bytes of a strip that stay in the L2 cache next to weights.
const STRIP: usize = 192 << 10;

/// The sizes of a linear layer as a convolution.
pub fn linear(batch: usize, inputs: usize, features: usize) -> ConvShape {
    ConvShape {
        batch,
        channels: inputs,
        input: [1, 1],
        filters: features,
        output: [1, 1],
        kernel: [1, 1],
        stride: [1, 1],
        pad: [[0; 2]; 2],
        dilation: [1, 1],
        groups: 1,
    }
}

/// How the work is split. It depends on the sizes and the number of threads alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Split {
    /// Output rows per strip; for pointwise convolutions, pixels of all samples.
    pub rows: usize,
    /// Whole samples per strip, if `rows` covers the output.
    pub samples: usize,
    /// Shares of the output channels.
    pub shares: usize,
}

/// What is added to the output.
#[derive(Clone, Copy, Debug)]
pub enum Residual<'a> {
    /// Nothing.
    None,
    /// What is in the output, which is stored as bytes with this meaning.
    InPlace(Quant),
    /// A map of the output's sizes.
    Bytes(&'a [u8], Quant),
    /// Floats of the output's sizes.
    Floats(&'a [f32], Layout),
}

/// Where the output goes.
#[derive(Debug)]
pub enum Output<'a> {
    /// A map.
    Bytes(&'a mut [u8], Quant),
    /// Floats.
    Floats(&'a mut [f32], Layout),
}

/// What is computed. The output is `fma(sum, scale, bias)`, plus the residual, then the activation.
#[derive(Clone, Copy, Debug)]
pub struct Operands<'a> {
    /// The input: [`Conv::input_len`] bytes.
    pub x: &'a [u8],
    /// The input's zero point, which stands for padding.
    pub zero: u8,
    /// The [packed](super::weights::pack) weights.
    pub weight: &'a [i8],
    /// [What sums begin with](super::weights::starts), for each filter.
    pub start: &'a [i32],
    /// For each filter, [padded](super::weights::padded_values): the input's scale times the weight's, rounded once.
    pub scale: &'a [f32],
    /// For each filter, padded likewise.
    pub bias: &'a [f32],
    /// What is added.
    pub residual: Residual<'a>,
    /// Applied last.
    pub act: Option<Activation<'a>>,
}

/// A convolution that is ready to run: with the tables that depend on sizes alone.
#[derive(Clone, Debug)]
pub struct Conv {
    shape: ConvShape,
    input: Input,
    engine: Engine,
    isa: Isa,
    split: Split,
    geometry: Geometry,
    /// Whether each filter reads a channel of its own.
    depthwise: bool,
    /// Of each panel, or of all panels if these are equal.
    panels: Vec<Panel>,
    weight_len: usize,
}

/// The part of the depth that a panel reads.
#[derive(Clone, Debug)]
struct Panel {
    segments: Vec<Segment>,
    /// The segments of each slice, with their steps.
    slices: Vec<(Range<usize>, usize)>,
    /// Bytes of packed weights.
    len: usize,
    /// Bytes of packed weights before it, of all panels if these are equal.
    start: usize,
}

impl Conv {
    /// A convolution on the given engine for some threads; `isa` runs an activation that is a program. A linear layer is a 1x1
    /// convolution of a 1x1 map, or one of the size of the map that is flattened before it.
    pub fn new(engine: Engine, isa: Isa, shape: ConvShape, input: Input, threads: usize) -> Result<Conv, Unsupported> {
        weights::check(&shape, input)?;
        let split = Split::new(engine, &shape, input, threads);
        Ok(Conv::with_split(engine, isa, shape, input, split))
    }

    /// The same with another split; the sizes have been checked.
    fn with_split(engine: Engine, isa: Isa, shape: ConvShape, input: Input, split: Split) -> Conv {
        let geometry = Geometry::new(&shape, input, engine.width(), split.rows);
        let count = if shape.groups == 1 { 1 } else { weights::panels(&shape) };
        let depthwise = weights::is_depthwise(&shape);
        let mut start = 0;
        let panel = |panel: usize| {
            let quads = weights::quads(&shape, input, panel);
            let mut segments = geometry.segments(&shape, engine.width(), quads);
            let (slices, len) = if depthwise {
                // an even number of kernel elements
                segments.extend((segments.len() % 2 == 1).then(|| segments[segments.len() - 1]));
                let pairs = weights::depthwise_pairs(&shape);
                (vec![(0..segments.len(), pairs)], pairs * 2 * LANES)
            } else {
                let steps: usize = segments.iter().map(|s| s.steps).sum();
                (slices(engine, &segments, steps), steps / engine.width() * 4 * LANES)
            };
            start += len;
            Panel { slices, segments, len, start: start - len }
        };
        let panels = (0..count).map(panel).collect();
        let weight_len = weights::packed_len(&shape, input);
        Conv { shape, input, engine, isa, split, geometry, depthwise, panels, weight_len }
    }

    /// The sizes.
    pub fn shape(&self) -> &ConvShape {
        &self.shape
    }

    /// How the work is split.
    pub fn split(&self) -> Split {
        self.split
    }

    /// Bytes of the input.
    pub fn input_len(&self) -> usize {
        let map = Map::new(self.shape.input_sizes());
        let len = if self.input == Input::Image { map.image_len() } else { map.len() };
        len.unwrap_or(usize::MAX)
    }

    /// Bytes of the output, if it is a map.
    pub fn output_len(&self) -> usize {
        self.output().len().unwrap_or(usize::MAX)
    }

    /// Bytes of the packed weights.
    pub fn weight_len(&self) -> usize {
        self.weight_len
    }

    /// Bytes of scratch memory for a number of threads.
    pub fn scratch(&self, threads: usize) -> usize {
        self.parts().total * threads + LINE_BYTES
    }

    /// The output as a map.
    fn output(&self) -> Map {
        Map::new(self.shape.output_sizes())
    }

    /// Panels per unit of the work.
    fn unit(&self) -> usize {
        if self.shape.groups == 1 { self.engine.tile().1 } else { 1 }
    }

    /// The most output pixels of a strip.
    fn strip_pixels(&self) -> usize {
        self.split.rows * self.split.samples * if self.geometry.pointwise { 1 } else { self.geometry.width }
    }

    /// How a thread's scratch memory is divided.
    fn parts(&self) -> Parts {
        let line = |bytes: usize| bytes.next_multiple_of(LINE_BYTES);
        let panel = line(self.geometry.strip_len(self.split.samples));
        let widened = if self.engine.width() == 1 { 0 } else { 1 };
        let steps = self.panels.iter().flat_map(|p| &p.slices).map(|(_, steps)| steps).max().copied().unwrap_or(0);
        let sums = panel + widened * steps * 4 * LANES;
        let has_slices = self.panels.iter().any(|p| p.slices.len() > 1);
        let values = self.strip_pixels() * self.unit() * LANES * size_of::<f32>();
        let floats = sums + if has_slices { values } else { 0 };
        Parts { panel, sums, floats, total: floats + values }
    }

    /// Computes the output. `scratch` needs [`Conv::scratch`] bytes.
    ///
    /// # Panics
    /// If a slice has the wrong length, the processor lacks the instructions, or a residual is in place of floats.
    pub fn run(&self, pool: &ThreadPool, operands: &Operands<'_>, scratch: &mut [u8], out: Output<'_>) {
        let Conv { shape, .. } = self;
        let padded = weights::padded(shape.filters);
        assert_eq!(operands.x.len(), self.input_len(), "input");
        assert_eq!(operands.weight.len(), self.weight_len, "weights");
        let lens = [operands.start.len(), operands.scale.len(), operands.bias.len()];
        assert_eq!(lens, [padded; 3], "values of the filters");
        assert!(scratch.len() >= self.scratch(pool.threads()), "scratch");
        let sizes = shape.output_sizes();
        match operands.residual {
            Residual::None => {}
            Residual::InPlace(_) => assert!(matches!(out, Output::Bytes(..)), "a residual in place of floats"),
            Residual::Bytes(r, _) => assert_eq!(r.len(), self.output_len(), "residual"),
            Residual::Floats(r, layout) => assert_eq!(Some(r.len()), layout.len(sizes), "residual"),
        }
        let out = match out {
            Output::Bytes(bytes, quant) => {
                assert_eq!(bytes.len(), self.output_len(), "output");
                Target::Bytes(Disjoint::new(bytes), quant)
            }
            Output::Floats(floats, layout) => {
                assert_eq!(Some(floats.len()), layout.len(sizes), "output");
                Target::Floats(Disjoint::new(floats), layout)
            }
        };
        let before = scratch.as_ptr().align_offset(LINE_BYTES);
        let scratch = Disjoint::new(&mut scratch[before..]);
        let job = Job {
            conv: self,
            operands,
            out,
            copy: instance::<Copy<'_>>(self.engine),
            expand: instance::<Expand>(self.engine),
            expand_pairs: instance::<ExpandPairs>(self.engine),
            row: instance::<Row>(self.engine),
            store: instance::<floats::Store>(self.engine),
        };
        job.distribute(pool, &scratch);
    }
}

/// Where the parts of a thread's scratch memory begin, in bytes; the copy of the strip is first.
struct Parts {
    /// Widened weights.
    panel: usize,
    /// Sums over a part of the depth.
    sums: usize,
    /// Floats of a strip and a unit of output channels.
    floats: usize,
    total: usize,
}

/// The slices of a panel's depth.
fn slices(engine: Engine, segments: &[Segment], steps: usize) -> Vec<(Range<usize>, usize)> {
    let most = if engine.width() == 1 { usize::MAX } else { SLICE };
    let count = steps.div_ceil(most).max(1);
    let (mut slices, mut first, mut sum) = (Vec::new(), 0, 0);
    for (i, segment) in segments.iter().enumerate() {
        sum += segment.steps;
        if sum >= steps.div_ceil(count) || i + 1 == segments.len() {
            slices.push((first..i + 1, sum));
            (first, sum) = (i + 1, 0);
        }
    }
    slices
}

impl Split {
    /// A split for some threads: by output channels if there are more weights than activations, else by rows.
    fn new(engine: Engine, shape: &ConvShape, input: Input, threads: usize) -> Split {
        let one = Geometry::new(shape, input, engine.width(), 1);
        let extent = if one.pointwise { one.width } else { one.lines };
        let per_row = if one.pointwise { one.blocks * one.pixel } else { one.blocks * one.step.min(shape.kernel[0]) * one.pitch };
        let fixed = if one.pointwise { 0 } else { one.sample.saturating_sub(per_row) };
        // at least a few rows: those between them are copied more than once
        let least = if one.pointwise { 64 } else { 4 };
        let fitting = (STRIP.saturating_sub(fixed) / per_row.max(1)).max(least).min(extent);
        let units = weights::panels(shape).div_ceil(engine.tile().1);
        let bytes = weights::packed_len(shape, input);
        let map = shape.batch * shape.input[0] * shape.input[1] * one.blocks * SLOT;
        let samples_fitting = if one.pointwise { 1 } else { (STRIP / (fixed + per_row * extent).max(1)).clamp(1, shape.batch) };
        if threads > 1 && bytes > map && units >= threads {
            return Split { rows: fitting, samples: samples_fitting, shares: threads };
        }
        let samples = if one.pointwise { 1 } else { shape.batch };
        // several parts for each thread, as long as they are not small
        let small = if one.pointwise { 4 * engine.tile().0 } else { 1 };
        if samples > 1 && fitting == extent {
            // whole samples, as many strips as threads need
            let sets = samples.div_ceil(samples_fitting).next_multiple_of(threads).min(samples);
            return Split { rows: extent, samples: samples.div_ceil(sets), shares: 1 };
        }
        let pieces = extent.div_ceil(fitting);
        let balanced = (pieces * samples).next_multiple_of(threads).div_ceil(samples);
        let pieces = if threads == 1 { pieces } else { balanced.max(pieces) };
        Split { rows: extent.div_ceil(pieces).max(small).min(extent), samples: 1, shares: 1 }
    }
}

enum Target<'a> {
    Bytes(Disjoint<'a, u8>, Quant),
    Floats(Disjoint<'a>, Layout),
}

/// What all tasks share.
struct Job<'a> {
    conv: &'a Conv,
    operands: &'a Operands<'a>,
    out: Target<'a>,
    copy: Instance<Copy<'a>>,
    expand: Instance<Expand>,
    expand_pairs: Instance<ExpandPairs>,
    row: Instance<Row>,
    store: Instance<floats::Store>,
}

impl<'a> Job<'a> {
    fn distribute(&self, pool: &ThreadPool, scratch: &Disjoint<'_, u8>) {
        let Conv { shape, geometry: g, split, .. } = self.conv;
        let threads = pool.threads();
        let extent = if g.pointwise { g.width } else { g.lines };
        let (batch, samples) = if g.pointwise { (1, 1) } else { (shape.batch, split.samples) };
        let (pieces, sets) = (extent.div_ceil(split.rows), batch.div_ceil(samples));
        let units = weights::panels(shape).div_ceil(self.conv.unit());
        let shares = split.shares.min(units);
        let per_thread = self.conv.parts().total;
        // a thread keeps either its share of the weights, for all strips, or its strips, for all shares
        pool.deal(shares * pieces * sets, |thread, tasks| {
            let memory = scratch.pointer(thread * per_thread, per_thread);
            let mut copied = None;
            for task in tasks {
                let (strip, part) = if shares <= threads {
                    (task % (pieces * sets), task / (pieces * sets))
                } else {
                    (task / shares, task % shares)
                };
                let (piece, set) = (strip % pieces, strip / pieces);
                let (lines, maps) = (share(extent, pieces, piece), share(batch, sets, set));
                let strip = Strip { sample: maps.start, samples: maps.len(), first: lines.start, count: lines.len() };
                if !g.in_place && copied != Some(strip) {
                    let copy = Copy { shape, geometry: g, x: self.operands.x, zero: self.operands.zero, strip, to: memory };
                    // SAFETY: the processor has the instructions; each thread has its own part of the scratch, which begins with
                    // room for the longest strip
                    unsafe { (self.copy)(&copy) };
                    copied = Some(strip);
                }
                for unit in share(units, shares, part) {
                    self.unit(strip, unit, memory);
                }
            }
        });
    }

    /// Computes a unit of output channels of a strip.
    fn unit(&self, strip: Strip, unit: usize, memory: *mut u8) {
        let Conv { shape, geometry: g, engine, isa, .. } = self.conv;
        let (operands, parts) = (self.operands, self.conv.parts());
        let width = self.conv.unit().min(weights::panels(shape) - unit * self.conv.unit());
        let first = unit * self.conv.unit();
        let panel = &self.conv.panels[if self.conv.panels.len() == 1 { 0 } else { first }];
        let start = if self.conv.panels.len() == 1 { first * panel.len } else { panel.start };
        let packed = &operands.weight[start..][..width * panel.len];
        let channels = first * LANES..shape.filters.min((first + width) * LANES);
        let row = if g.pointwise { strip.count } else { g.width };
        let pixels = strip.samples * strip.count * if g.pointwise { 1 } else { g.width };
        // outputs of a strip are neighbors
        let at = if g.pointwise { strip.first } else { (strip.sample * g.lines + strip.first) * g.width };
        let place = (first * LANES / SLOT * shape.batch * shape.pixels() + at) * SLOT + first * LANES % SLOT;
        let len = (pixels - 1) * SLOT + width * LANES;
        let strip_floats = || FloatStrip { pixels: at..at + pixels, channels: channels.clone(), pitch: width * LANES };
        // SAFETY: inside this thread's scratch memory, which begins at a cache line
        let (weight, sums, values) =
            unsafe { (memory.add(parts.panel), memory.add(parts.sums).cast::<i32>(), memory.add(parts.floats).cast::<f32>()) };
        // SAFETY: as above; it has room for the longest strip
        let values = unsafe { std::slice::from_raw_parts_mut(values, pixels * width * LANES) };
        let program = Activation::program(operands.act);
        let mut finish = Finish {
            scale: operands.scale[first * LANES..][..width * LANES].as_ptr(),
            bias: operands.bias[first * LANES..][..width * LANES].as_ptr(),
            row,
            residual: std::ptr::null(),
            residual_scale: 0.0,
            residual_zero: 0.0,
            plus: std::ptr::null(),
            floats: std::ptr::null_mut(),
            bytes: std::ptr::null_mut(),
            inverse: 0.0,
            limits: Limits { zero: 0, low: 0, high: 255 },
            clamp: match Activation::clamp(operands.act) {
                Clamp::None => [f32::NEG_INFINITY, f32::INFINITY],
                Clamp::Relu => [0.0, f32::INFINITY],
                Clamp::Limits(limits) => limits,
            },
        };
        let added = match (operands.residual, &self.out) {
            (Residual::Bytes(r, quant), _) => Some((r[place..][..len].as_ptr(), quant)),
            (Residual::InPlace(quant), Target::Bytes(out, _)) => Some((out.pointer(place, len).cast_const(), quant)),
            (Residual::Floats(r, layout), _) => {
                floats::gather(r, layout, shape.output_sizes(), &strip_floats(), values);
                finish.plus = values.as_ptr();
                None
            }
            (Residual::InPlace(_) | Residual::None, _) => None,
        };
        if let Some((residual, quant)) = added {
            (finish.residual, finish.residual_scale, finish.residual_zero) = (residual, quant.scale, quant.zero.into());
        }
        match &self.out {
            Target::Bytes(out, quant) if program.is_none() => {
                finish.bytes = out.pointer(place, len);
                finish.inverse = quant.inverse();
                finish.limits = floats::limits(*quant, finish.clamp);
            }
            _ => finish.floats = values.as_mut_ptr(),
        }
        let mut done = 0;
        for (index, (range, steps)) in panel.slices.iter().enumerate() {
            let len = if self.conv.depthwise { panel.len } else { steps / engine.width() * 4 * LANES };
            let from = packed[done..][..len].as_ptr();
            done += len;
            let mut weights = from.cast::<u8>();
            if engine.width() > 1 {
                // SAFETY: the processor has the instructions, and the scratch memory has room for the longest slice
                unsafe {
                    if self.conv.depthwise {
                        (self.expand_pairs)(&ExpandPairs { from, pairs: *steps, to: weight });
                    } else {
                        (self.expand)(&Expand { from, quads: steps / engine.width(), to: weight });
                    }
                }
                weights = weight;
            }
            let slice = Slice {
                segments: &panel.segments[range.clone()],
                weight: weights,
                panel: panel.len,
                start: (index == 0).then(|| operands.start[first * LANES..][..width * LANES].as_ptr()),
                sums,
                last: index + 1 == panel.slices.len(),
            };
            self.tiles(strip, width, memory, &slice, finish);
        }
        if finish.floats.is_null() {
            return;
        }
        if let Some(code) = program {
            crate::kernels::elementwise::apply(*isa, code, usize::MAX, values);
        }
        match &self.out {
            Target::Bytes(out, quant) => {
                let bytes = out.pointer(place, len);
                let limits = floats::limits(*quant, [f32::NEG_INFINITY, f32::INFINITY]);
                let floats = values.as_ptr();
                let store = floats::Store { floats, pixels, panels: width, bytes, inverse: quant.inverse(), limits };
                // SAFETY: the processor has the instructions; outputs of this task only
                unsafe { (self.store)(&store) };
            }
            Target::Floats(out, layout) => floats::scatter(values, *layout, shape.output_sizes(), &strip_floats(), out),
        }
    }

    /// Computes all tiles of a strip, over a slice of the depth.
    fn tiles(&self, strip: Strip, width: usize, memory: *mut u8, slice: &Slice<'_>, finish: Finish) {
        let Conv { shape, geometry: g, engine, .. } = self.conv;
        let x = if g.in_place { self.operands.x[strip.first * SLOT..].as_ptr() } else { memory.cast_const() };
        let lines = match g.is_flat(shape) {
            _ if g.pointwise => [1, strip.count],
            true => [1, strip.count * g.width],
            false => [strip.count, g.width],
        };
        let finish_at = |at: usize| {
            let mut finish = finish;
            finish.advance(at, width);
            finish
        };
        let from = |sample: usize, row: usize, column: usize| {
            x.wrapping_add(sample * g.sample + row * g.step * g.pitch + column * g.pixel)
        };
        let start = slice.start.unwrap_or(std::ptr::null());
        if self.conv.depthwise {
            for (sample, row) in (0..strip.samples).flat_map(|sample| (0..lines[0]).map(move |row| (sample, row))) {
                let row = Row {
                    pixels: lines[1],
                    x: from(sample, row, 0),
                    step: g.pixel,
                    segments: slice.segments.as_ptr(),
                    pairs: slice.segments.len() / 2,
                    weight: slice.weight,
                    start,
                    finish: finish_at((sample * lines[0] + row) * lines[1]),
                };
                // SAFETY: as below
                unsafe { (self.row)(&row) };
            }
            return;
        }
        let tiles = StripTiles::new(lines, engine.tile().0);
        let (mut size, mut kernel) = ((0, 0), None);
        let mut sums = slice.sums;
        for sample in 0..strip.samples {
            for run in tiles.clone() {
                if size != (run.rows, run.pixels) {
                    size = (run.rows, run.pixels);
                    kernel = tile::choose(*engine, run.rows, run.pixels, width);
                }
                let Some(kernel) = kernel else { unreachable!("a tile of {} x {}", run.rows, run.pixels) };
                let tile = Tile {
                    count: run.count,
                    x: from(sample, run.row, run.column),
                    row: g.step * g.pitch,
                    segments: slice.segments.as_ptr(),
                    depth: slice.segments.len(),
                    weight: slice.weight,
                    panel: slice.panel,
                    start,
                    sums,
                    last: slice.last,
                    finish: finish_at((sample * lines[0] + run.row) * lines[1] + run.column),
                };
                // SAFETY: the processor has the instructions. Every kernel element of the tiles' pixels is inside the strip's copy (or
                // the input itself), the weights have as many steps as the segments, and each task writes its own outputs.
                unsafe { kernel(&tile) };
                sums = sums.wrapping_add(run.count * run.rows * run.pixels * width * LANES);
            }
        }
    }
}

/// A part of the depth of a unit.
struct Slice<'a> {
    segments: &'a [Segment],
    weight: *const u8,
    panel: usize,
    start: Option<*const i32>,
    sums: *mut i32,
    last: bool,
}
