//! Which kernel computes a convolution, and how its work is cut: a cost model of arithmetic and memory.

use std::collections::HashMap;

use super::layout::{ConvQuery, PLAIN};
use super::{ConvStrategy, WeightLayout, PlanOptions, Settings};
use crate::kernels::aligned::LINE;
use crate::kernels::blocked::direct::{self, DirectPlan};
use crate::kernels::blocked::{depthwise, pack};
use crate::kernels::gemm_conv::Tiles;
use crate::kernels::winograd::{self, Size, Split, WinogradPlan};
use crate::kernels::{ConvShape, Isa};

/// Filters of a group below which a matrix product does not pay.
const MIN_GEMM_FILTERS: usize = 4;
/// Input channels up to which a plain map is read as it is, rather than filled up to a block.
const MAX_PLAIN_CHANNELS: usize = 4;
/// Floats of a strip: it shares the second-level cache with the panels that pass over it.
pub(super) const STRIP: usize = 96 << 10;

/// Multiply-adds of a cycle.
const VECTOR: f64 = 16.0;
/// Bytes that come from memory in a cycle, for all threads together.
const MEMORY: f64 = 6.0;
/// Cycles for a byte that comes again, from the last-level cache.
const NEAR: f64 = 1.0 / 40.0;
/// Bytes of the second-level cache, of which some are taken.
const CACHE: usize = 768 << 10;
/// Cycles to transform the input of a tile of 4x4 results, for a block of 16 channels.
const TRANSFORM_4: f64 = 300.0;
/// The same for 2x2.
const TRANSFORM_2: f64 = 100.0;

/// Numbers that are copied to a strip in a cycle.
const COPY: f64 = 4.0;
/// Cycles below which a task is not worth handing out.
const TASK: f64 = 60_000.0;
/// Pixels of a tile.
const TILE: usize = 14;

/// A way to compute a convolution.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    pub strategy: ConvStrategy,
    /// Floats of scratch that each thread needs.
    pub scratch: usize,
    /// Of the weight and the bias.
    pub forms: (WeightLayout, WeightLayout),
    /// In words.
    pub why: String,
    /// Floats of the packed weight.
    packed: usize,
    /// Of the weight as stored.
    raw: usize,
    /// Estimate, in cycles.
    cost: f64,
}

/// The strategy over plain values.
pub(super) fn plain(shape: &ConvShape, threads: usize) -> Choice {
    let raw = shape.filters * shape.depth();
    let (strategy, scratch) = if shape.filters / shape.groups < MIN_GEMM_FILTERS && shape.groups > 1 {
        (ConvStrategy::Taps, 0)
    } else {
        let tiles = Tiles::choose(shape, threads);
        (ConvStrategy::Gemm(tiles), tiles.scratch(shape))
    };
    Choice { strategy, scratch, forms: PLAIN, why: String::new(), packed: raw, raw, cost: 0.0 }
}

/// The ways to compute a convolution with kernels of this instruction set's own, the one that the cost model likes best
/// first.
pub(super) fn candidates(asked: &ConvQuery<'_>, options: &PlanOptions, settings: &Settings) -> Vec<Choice> {
    let ConvQuery { shape, plain: plain_input, gradient, .. } = *asked;
    let isa = options.isa;
    if isa == Isa::Portable || !direct::serves(shape) {
        return vec![plain(shape, options.threads)];
    }
    if depthwise::serves(shape) && shape.groups > 1 {
        return vec![blocked(shape, ConvStrategy::Depthwise, options)];
    }
    let from_plain = plain_input && reads_plain(shape);
    let direct = cuts(shape, from_plain, isa, options.threads);
    let mut list: Vec<Choice> =
        direct.into_iter().map(|plan| blocked(shape, ConvStrategy::Direct { plan, plain: from_plain }, options)).collect();
    if !settings.precise && !from_plain && winograd::serves(shape) {
        let sizes: &[Size] = if settings.winograd_f2_only && !gradient { &[Size::F2] } else { &[Size::F4, Size::F2] };
        let plans = sizes.iter().flat_map(|&size| blocks(shape, size, options.threads));
        list.extend(plans.map(|plan| blocked(shape, ConvStrategy::Winograd(plan), options)));
    }
    list.sort_by(|a, b| a.cost.total_cmp(&b.cost));
    let best = |direct: bool| list.iter().find(|c| direct == matches!(c.strategy, ConvStrategy::Direct { .. })).map(|c| c.cost);
    if let (Some(direct), Some(winograd)) = (best(true), best(false)) {
        let why = format!("{} kcycles, direct {}, winograd {}", "{}", kilo(direct), kilo(winograd));
        for choice in &mut list {
            choice.why = why.replacen("{}", &kilo(choice.cost), 1);
        }
    }
    list
}

/// Whether a plain input is better read as it is.
pub(super) fn reads_plain(shape: &ConvShape) -> bool {
    shape.groups == 1 && shape.channels <= MAX_PLAIN_CHANNELS
}

fn kilo(cycles: f64) -> String {
    format!("{:.0}", cycles / 1e3)
}

/// A blocked strategy with what it needs.
fn blocked(shape: &ConvShape, strategy: ConvStrategy, options: &PlanOptions) -> Choice {
    let (isa, lanes) = (options.isa, options.isa.lanes());
    let raw = shape.filters * shape.depth();
    let bias = WeightLayout::Channels { lanes };
    match strategy {
        ConvStrategy::Direct { plan, plain } => {
            let sizes = [shape.filters, shape.channels / shape.groups, shape.kernel[0], shape.kernel[1]];
            Choice {
                strategy,
                scratch: direct::scratch(isa, plain, shape, plan),
                forms: (WeightLayout::Filters { lanes, groups: shape.groups, plain }, bias),
                why: String::new(),
                packed: pack::packed_len(lanes, sizes, shape.groups, plain),
                raw,
                cost: direct_cost(shape, plan, plain, options),
            }
        }
        ConvStrategy::Winograd(plan) => {
            let packed = winograd::packed_len(lanes, [shape.filters, shape.channels], plan.size);
            let scratch = winograd::scratch(isa, shape, plan).total(options.threads).div_ceil(options.threads);
            Choice {
                strategy,
                scratch: scratch.next_multiple_of(LINE),
                forms: (WeightLayout::Winograd { lanes, size: plan.size }, bias),
                why: String::new(),
                packed,
                raw,
                cost: winograd_cost(shape, plan, packed, options),
            }
        }
        ConvStrategy::Depthwise => Choice {
            strategy,
            scratch: 0,
            forms: (WeightLayout::Depthwise { lanes }, bias),
            why: String::new(),
            packed: raw.next_multiple_of(lanes),
            raw,
            cost: 0.0,
        },
        ConvStrategy::Gemm(_) | ConvStrategy::Taps => plain(shape, options.threads),
    }
}

/// One way for each convolution, by name: what was measured, else the cheapest; then, while packed weights are over the
/// bound, whatever saves the most floats for the least time.
pub(super) fn choose(asked: Vec<(String, Vec<Choice>)>, options: &PlanOptions, settings: &Settings) -> HashMap<String, Choice> {
    let measured = settings.measured(options);
    let mut chosen: Vec<usize> = asked
        .iter()
        .map(|(name, ways)| measured.get(name.as_str()).and_then(|s| ways.iter().position(|way| way.strategy == *s)).unwrap_or(0))
        .collect();
    let packed = |chosen: &[usize]| -> usize {
        asked.iter().zip(chosen).filter_map(|((_, ways), &i)| ways.get(i)).map(|way| way.packed).sum()
    };
    let raw: usize = asked.iter().filter_map(|(_, ways)| ways.first()).map(|way| way.raw).sum();
    // blocks filled up with zeros are not what the bound is about
    let least: usize = asked.iter().filter_map(|(_, ways)| ways.iter().map(|way| way.packed).min()).sum();
    let bound = (raw as f64 * f64::from(settings.max_packed_weights) / 100.0).max(least as f64);
    let mut total = packed(&chosen);
    while total as f64 > bound {
        let mut best: Option<(f64, usize, usize)> = None;
        for (index, (_, ways)) in asked.iter().enumerate() {
            let Some(now) = ways.get(chosen[index]) else { continue };
            for (other, way) in ways.iter().enumerate().filter(|(_, way)| way.packed < now.packed) {
                let price = (way.cost - now.cost) / (now.packed - way.packed) as f64;
                if best.is_none_or(|(least, ..)| price < least) {
                    best = Some((price, index, other));
                }
            }
        }
        let Some((_, index, other)) = best else { break };
        chosen[index] = other;
        total = packed(&chosen);
    }
    let pairs = asked.into_iter().zip(chosen).filter_map(|((name, ways), i)| {
        let mut choice = ways.into_iter().nth(i)?;
        if measured.get(name.as_str()) == Some(&choice.strategy) {
            choice.why = "measured".to_owned();
        }
        Some((name, choice))
    });
    pairs.collect()
}

/// Cycles in which so many bytes come from memory, for all threads together.
fn fetch(bytes: usize) -> f64 {
    bytes as f64 / MEMORY
}

/// How much longer `tasks` equal tasks take than if they could be shared out evenly.
fn imbalance(tasks: usize, threads: usize) -> f64 {
    (tasks.div_ceil(threads) * threads) as f64 / tasks as f64
}

/// An estimate, in cycles, of a direct convolution: arithmetic, and what of the weights' way from memory it cannot hide.
fn direct_cost(shape: &ConvShape, plan: DirectPlan, plain: bool, options: &PlanOptions) -> f64 {
    let panels = pack::packed_len(
        options.isa.lanes(),
        [shape.filters, shape.channels / shape.groups, shape.kernel[0], shape.kernel[1]],
        shape.groups,
        plain,
    );
    let products = (panels * shape.batch * shape.pixels()) as f64 / VECTOR / 0.93;
    let extent = if shape.is_pointwise() && !plain { shape.pixels() } else { shape.output[0] };
    let strips = extent.div_ceil(plan.rows) * shape.batch.div_ceil(plan.samples);
    let units = shape.filters.div_ceil(2 * options.isa.lanes());
    let spread =
        if plan.shares > 1 { imbalance(units, plan.shares) } else { 1.0 } * imbalance(strips * plan.shares, options.threads);
    // a thread waits for half a task of another's, now and then
    let spread = spread + 0.1 * options.threads as f64 / (strips * plan.shares) as f64;
    // weights pass once a strip and share; threads that share out rows read all of them
    let again = strips.max(if plan.shares > 1 { 1 } else { options.threads }) - 1;
    let weights = fetch(4 * panels) + NEAR * (4 * panels * again) as f64;
    // threads that keep to their share copy each strip again
    let copies = if shape.is_pointwise() && !plain { 0 } else { if plan.shares <= options.threads { plan.shares } else { 1 } };
    let copying = (copies * shape.batch * shape.channels * shape.input[0] * shape.input[1]) as f64 / COPY;
    let products = products + copying;
    join(products / options.threads as f64 * spread, weights)
}

/// As [`direct_cost`]: products, transforms of tiles and the weights, which are `packed` floats.
fn winograd_cost(shape: &ConvShape, plan: WinogradPlan, packed: usize, options: &PlanOptions) -> f64 {
    let (lanes, threads) = (options.isa.lanes(), options.threads);
    let side = plan.size.side();
    let tiles = shape.batch * shape.output[0].div_ceil(side) * shape.output[1].div_ceil(side);
    let (input, output) = match plan.size {
        Size::F4 => (TRANSFORM_4, 0.6 * TRANSFORM_4),
        Size::F2 => (TRANSFORM_2, 0.65 * TRANSFORM_2),
    };
    let (blocks_in, blocks_out) = (shape.channels.div_ceil(lanes), shape.filters.div_ceil(lanes));
    let products = (tiles * packed) as f64 / VECTOR / 0.88;
    let sets = tiles.div_ceil(plan.tiles);
    let units = blocks_out.div_ceil(2);
    // narrow vectors take as many instructions a block, for more blocks
    let transforms = tiles as f64 * (blocks_in as f64 * input + blocks_out as f64 * output) * (lanes as f64 / 16.0).max(0.7);
    let spread = match plan.split {
        Split::Tiles => imbalance(sets, threads) + 0.1 * threads as f64 / sets as f64,
        Split::Filters => imbalance(sets * units, threads) * 1.03,
    };
    // what all threads transformed together passes once a unit, from the last-level cache where it is large
    let transformed = 4 * plan.size.points() * tiles * shape.channels;
    let passes = if plan.split == Split::Filters && transformed > CACHE { units } else { 0 };
    let again = NEAR * (transformed * passes) as f64;
    let weights = fetch(4 * packed) + NEAR * (4 * packed * (sets - 1)) as f64;
    join((products + transforms) / threads as f64 * spread, weights + again)
}

/// Arithmetic and memory side by side: the longer, and some of the shorter.
fn join(arithmetic: f64, memory: f64) -> f64 {
    arithmetic.max(memory) + 0.3 * arithmetic.min(memory)
}

/// Ways to cut a convolution into blocks of tiles.
fn blocks(shape: &ConvShape, size: Size, threads: usize) -> Vec<WinogradPlan> {
    let side = size.side();
    let tiles = shape.batch * shape.output[0].div_ceil(side) * shape.output[1].div_ceil(side);
    // V of a block stays in the second-level cache
    let most = (STRIP / (size.points() * shape.channels)).max(14);
    let mut list = Vec::new();
    for aim in [14, 28, 56] {
        if aim > most && aim > 14 {
            continue;
        }
        // a whole number of blocks for each thread
        let sets = tiles.div_ceil(aim).next_multiple_of(threads);
        list.push(WinogradPlan { size, tiles: tiles.div_ceil(sets).max(1), split: Split::Tiles });
    }
    for aim in [28, 64, 128] {
        let sets = tiles.div_ceil(aim);
        list.push(WinogradPlan { size, tiles: tiles.div_ceil(sets), split: Split::Filters });
    }
    list.dedup();
    list
}

/// Strips and shares of a direct convolution: by rows, and by output channels, so that each thread reads weights of its own.
/// Several tasks for each thread, where they are long enough to be worth handing out: so that none waits long for another.
fn cuts(shape: &ConvShape, plain: bool, isa: Isa, threads: usize) -> Vec<DirectPlan> {
    let pointwise = shape.is_pointwise() && !plain;
    let (extent, line) = if pointwise {
        (shape.pixels(), shape.channels)
    } else {
        (shape.output[0], shape.channels * shape.input[1] * shape.stride[0])
    };
    let units = shape.filters.div_ceil(2 * isa.lanes());
    let cycles = shape.macs() as f64 / VECTOR;
    let most = if threads == 1 { 1 } else { ((cycles / TASK) as usize / threads).clamp(1, 4) };
    let mut list = Vec::new();
    for each in [1, most.div_ceil(2), most] {
        let tasks = each * threads;
        // rows that fit the cache, in as many pieces as make the tasks; a tile is not cut where rows are pixels
        let fitting = (STRIP / line.max(1)).clamp(1, extent);
        // two strips for a little more than one would read all weights twice
        let fitting = if extent - fitting <= (fitting / 16).max(1) { extent } else { fitting };
        let pieces = extent.div_ceil(fitting);
        let samples = if pieces == 1 { (STRIP / (line * extent).max(1)).clamp(1, shape.batch) } else { 1 };
        let alone = samples.min(shape.batch.div_ceil(tasks)).max(1);
        let sets = shape.batch.div_ceil(alone);
        let even = pieces.max(tasks.div_ceil(sets)).min(extent);
        let rows = extent.div_ceil(even);
        let rows = if pointwise { rows.next_multiple_of(TILE).min(extent) } else { rows };
        list.push(DirectPlan { rows, samples: if rows < extent { 1 } else { alone }, shares: 1 });
        if threads > 1 && units > 1 {
            let rows =
                if pointwise && pieces > 1 { extent.div_ceil(pieces).next_multiple_of(TILE) } else { extent.div_ceil(pieces) };
            list.push(DirectPlan { rows: rows.min(extent), samples, shares: tasks.min(units) });
        }
    }
    list.sort_by_key(|p| (p.shares, p.rows, p.samples));
    list.dedup();
    list
}
