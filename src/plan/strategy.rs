//! Chooses the kernel of a convolution and how its work is split, by a cost model of arithmetic and memory.

use std::collections::HashSet;

use super::{ConvStrategy, PlanOptions, Settings, WeightLayout};
use crate::kernels::aligned::LINE;
use crate::kernels::nchw::gemm::Tiles;
use crate::kernels::nchwc::direct::{self, DirectPlan};
use crate::kernels::nchwc::{depthwise, pack};
use crate::kernels::winograd::{self, Size, Split, WinogradPlan};
use crate::kernels::{ConvShape, Isa};

/// The number of filters per group below which a matrix product does not pay off.
const MIN_GEMM_FILTERS: usize = 4;
/// The number of input channels up to which a plain feature map is read directly, rather than padded to a block.
const MAX_PLAIN_CHANNELS: usize = 4;
/// Floats in a strip, which shares the L2 cache with the weight panels that stream over it.
pub(super) const STRIP: usize = 96 << 10;

/// Multiply-adds per cycle.
const VECTOR: f64 = 16.0;
/// Memory bandwidth in bytes per cycle, for all threads together.
const MEMORY: f64 = 6.0;
/// Cycles per byte that is read again, from the last-level cache.
const NEAR: f64 = 1.0 / 40.0;
/// Usable bytes of the L2 cache.
const CACHE: usize = 768 << 10;
/// Cycles to transform the input of a tile with 4x4 outputs, for a block of 16 channels.
const TRANSFORM_4: f64 = 300.0;
/// The same for 2x2 outputs.
const TRANSFORM_2: f64 = 100.0;

/// Floats of transformed weights per cycle, with what their products lose because half of the L2 cache holds them.
const STORE: f64 = 2.5;

/// Floats copied to a strip per cycle.
const COPY: f64 = 4.0;
/// The minimum cycles of a task worth distributing.
const TASK: f64 = 60_000.0;
/// Pixels per tile.
const TILE: usize = 14;

/// The layouts of a convolution's weight and bias if values are plain.
const PLAIN: (WeightLayout, WeightLayout) = (WeightLayout::Plain, WeightLayout::Plain);

/// A convolution that needs a strategy.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConvQuery<'a> {
    pub name: &'a str,
    pub shape: &'a ConvShape,
    pub layout: ConvLayout,
    /// Whether it computes a gradient.
    pub gradient: bool,
}

/// A candidate strategy for a convolution.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    pub strategy: ConvStrategy,
    /// Floats of scratch memory per thread.
    pub scratch: usize,
    /// Layouts of the weight and the bias.
    pub layouts: (WeightLayout, WeightLayout),
    /// The reason, in words.
    pub why: String,
    /// Floats in the packed weight.
    packed: usize,
    /// Floats in the raw weight.
    raw: usize,
    /// Estimated cycles.
    cost: f64,
}

/// The strategy for plain layouts.
pub(super) fn plain(shape: &ConvShape, threads: usize) -> Choice {
    let raw = shape.filters * shape.depth();
    let (strategy, scratch) = if shape.filters / shape.groups < MIN_GEMM_FILTERS && shape.groups > 1 {
        (ConvStrategy::DirectNchw, 0)
    } else {
        let tiles = Tiles::choose(shape, threads);
        (ConvStrategy::Gemm(tiles), tiles.scratch(shape))
    };
    Choice { strategy, scratch, layouts: PLAIN, why: String::new(), packed: raw, raw, cost: 0.0 }
}

/// The candidate strategies of a convolution with this instruction set's kernels, the one that the cost model ranks best
/// first.
pub(super) fn candidates(query: &ConvQuery<'_>, options: &PlanOptions, settings: &Settings) -> Vec<Choice> {
    let ConvQuery { shape, layout, gradient, .. } = *query;
    if layout == ConvLayout::Plain {
        return vec![plain(shape, options.threads)];
    }
    if depthwise::supports(shape) && shape.groups > 1 {
        return vec![blocked(shape, ConvStrategy::Depthwise, options)];
    }
    let from_plain = layout == ConvLayout::FromPlain;
    let direct = cuts(shape, from_plain, settings.precise, options);
    let mut list: Vec<Choice> =
        direct.into_iter().map(|plan| blocked(shape, ConvStrategy::Direct { plan, plain: from_plain }, options)).collect();
    if !settings.precise && !from_plain && winograd::supports(shape) {
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

/// The layouts of a convolution's input and result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConvLayout {
    /// Both are plain.
    Plain,
    /// The input is plain, with few channels, and the result is blocked.
    FromPlain,
    /// Both are blocked.
    Blocked,
}

/// The layouts of a convolution; `plain_input` is whether its input is available only in the plain layout.
pub(super) fn layout(shape: &ConvShape, plain_input: bool, isa: Isa) -> ConvLayout {
    if isa == Isa::Portable || !direct::supports(shape) {
        ConvLayout::Plain
    } else if plain_input && reads_plain(shape) {
        ConvLayout::FromPlain
    } else {
        ConvLayout::Blocked
    }
}

/// Whether a plain input should be read directly.
pub(super) fn reads_plain(shape: &ConvShape) -> bool {
    shape.groups == 1 && shape.channels <= MAX_PLAIN_CHANNELS
}

fn kilo(cycles: f64) -> String {
    format!("{:.0}", cycles / 1e3)
}

/// A blocked strategy with its requirements.
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
                layouts: (WeightLayout::Filters { lanes, groups: shape.groups, plain }, bias),
                why: String::new(),
                packed: pack::packed_len(lanes, sizes, shape.groups, plain),
                raw,
                cost: direct_cost(shape, plan, plain, options),
            }
        }
        ConvStrategy::Winograd(plan) => {
            let sizes = [shape.filters, shape.channels];
            let transformed = winograd::packed_len(lanes, sizes, plan.size);
            let (packed, layout) = match plan.split {
                Split::Transform => {
                    let [filters, channels] = sizes;
                    let packed = pack::packed_len(lanes, [filters, channels, 3, 3], 1, false);
                    (packed, WeightLayout::Filters { lanes, groups: 1, plain: false })
                }
                Split::Tiles | Split::Filters => (transformed, WeightLayout::Winograd { lanes, size: plan.size }),
            };
            let scratch = winograd::scratch(isa, shape, plan).total(options.threads).div_ceil(options.threads);
            Choice {
                strategy,
                scratch: scratch.next_multiple_of(LINE),
                layouts: (layout, bias),
                why: String::new(),
                packed,
                raw,
                cost: winograd_cost(shape, plan, [packed, transformed], options),
            }
        }
        ConvStrategy::Depthwise => Choice {
            strategy,
            scratch: 0,
            layouts: (WeightLayout::Depthwise { lanes }, bias),
            why: String::new(),
            packed: raw.next_multiple_of(lanes),
            raw,
            cost: 0.0,
        },
        ConvStrategy::Gemm(_) | ConvStrategy::DirectNchw => plain(shape, options.threads),
    }
}

/// A strategy for each convolution, given by name with its candidates: the measured one, otherwise the cheapest. While packed weights
/// exceed the limit, it then makes the replacement with the lowest cost per float saved.
pub(super) fn choose(convs: Vec<(&str, Vec<Choice>)>, options: &PlanOptions, settings: &Settings) -> Vec<Choice> {
    let measured = settings.measured(options);
    let mut chosen: Vec<usize> = convs
        .iter()
        .map(|(name, list)| measured.get(name).and_then(|s| list.iter().position(|c| c.strategy == *s)).unwrap_or(0))
        .collect();
    let packed = |chosen: &[usize]| -> usize {
        convs.iter().zip(chosen).filter_map(|((_, list), &i)| list.get(i)).map(|choice| choice.packed).sum()
    };
    let raw: usize = convs.iter().filter_map(|(_, list)| list.first()).map(|choice| choice.raw).sum();
    // the limit is not meant to count zero padding of blocks, so it is at least the smallest possible size
    let smallest: usize = convs.iter().filter_map(|(_, list)| list.iter().map(|choice| choice.packed).min()).sum();
    let bound = (raw as f64 * f64::from(settings.max_packed_weights) / 100.0).max(smallest as f64);
    let mut total = packed(&chosen);
    while total as f64 > bound {
        let mut best: Option<(f64, usize, usize)> = None;
        for (index, (_, list)) in convs.iter().enumerate() {
            let Some(now) = list.get(chosen[index]) else { continue };
            for (other, choice) in list.iter().enumerate().filter(|(_, choice)| choice.packed < now.packed) {
                let price = (choice.cost - now.cost) / (now.packed - choice.packed) as f64;
                if best.is_none_or(|(lowest, ..)| price < lowest) {
                    best = Some((price, index, other));
                }
            }
        }
        let Some((_, index, other)) = best else { break };
        chosen[index] = other;
        total = packed(&chosen);
    }
    let choices = convs.into_iter().zip(chosen).filter_map(|((name, list), i)| {
        let mut choice = list.into_iter().nth(i)?;
        if measured.get(name) == Some(&choice.strategy) {
            choice.why = "measured".to_owned();
        }
        Some(choice)
    });
    choices.collect()
}

/// Cycles to read `bytes` from memory, for all threads together.
fn fetch(bytes: usize) -> f64 {
    bytes as f64 / MEMORY
}

/// How much longer `tasks` equal tasks take than a perfectly even distribution.
fn imbalance(tasks: usize, threads: usize) -> f64 {
    (tasks.div_ceil(threads) * threads) as f64 / tasks as f64
}

/// The estimated cycles of a direct convolution: arithmetic, plus the weight traffic that it cannot hide.
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
    let uneven =
        if plan.shares > 1 { imbalance(units, plan.shares) } else { 1.0 } * imbalance(strips * plan.shares, options.threads);
    // a thread sometimes waits for half of another's task
    let uneven = uneven + 0.1 * options.threads as f64 / (strips * plan.shares) as f64;
    // weights are read once per strip and share; threads that split rows each read all of them
    let again = strips.max(if plan.shares > 1 { 1 } else { options.threads }) - 1;
    let weights = fetch(4 * panels) + NEAR * (4 * panels * again) as f64;
    // threads with their own share of filters each copy every strip
    let copies = if shape.is_pointwise() && !plain { 0 } else { if plan.shares <= options.threads { plan.shares } else { 1 } };
    let copying = (copies * shape.batch * shape.channels * shape.input[0] * shape.input[1]) as f64 / COPY;
    let products = products + copying;
    overlap(products / options.threads as f64 * uneven, weights)
}

/// Like [`direct_cost`]: products, transforms of tiles and of weights, and weights, which have `packed` floats in memory and
/// `transformed` ones in the products.
fn winograd_cost(shape: &ConvShape, plan: WinogradPlan, [packed, transformed]: [usize; 2], options: &PlanOptions) -> f64 {
    let (lanes, threads) = (options.isa.lanes(), options.threads);
    let side = plan.size.side();
    let tiles = shape.batch * shape.output[0].div_ceil(side) * shape.output[1].div_ceil(side);
    let (input, output) = match plan.size {
        Size::F4 => (TRANSFORM_4, 0.6 * TRANSFORM_4),
        Size::F2 => (TRANSFORM_2, 0.65 * TRANSFORM_2),
    };
    let (blocks_in, blocks_out) = (shape.channels.div_ceil(lanes), shape.filters.div_ceil(lanes));
    let products = (tiles * transformed) as f64 / VECTOR / 0.88;
    let sets = tiles.div_ceil(plan.tiles);
    let units = blocks_out.div_ceil(2);
    // narrow vectors take the same number of instructions per block, for more blocks
    let transforms = tiles as f64 * (blocks_in as f64 * input + blocks_out as f64 * output) * (lanes as f64 / 16.0).max(0.7);
    let weights = match plan.split {
        Split::Transform => transformed as f64 / STORE,
        Split::Tiles | Split::Filters => 0.0,
    };
    let transforms = transforms + weights;
    let uneven = match plan.split {
        Split::Tiles => imbalance(sets, threads) + 0.1 * threads as f64 / sets as f64,
        Split::Filters | Split::Transform => imbalance(sets * units, threads) * 1.03,
    };
    // a shared transform is read once per unit, from the last-level cache if it is large
    let input = 4 * plan.size.points() * tiles * shape.channels;
    let passes = if plan.split != Split::Tiles && input > CACHE { units } else { 0 };
    let again = NEAR * (input * passes) as f64;
    let weights = fetch(4 * packed) + NEAR * (4 * packed * (sets - 1)) as f64;
    overlap((products + transforms) / threads as f64 * uneven, weights + again)
}

/// Overlaps arithmetic and memory: the larger, plus a fraction of the smaller.
fn overlap(arithmetic: f64, memory: f64) -> f64 {
    arithmetic.max(memory) + 0.3 * arithmetic.min(memory)
}

/// Candidate splits of a Winograd convolution into blocks of tiles.
fn blocks(shape: &ConvShape, size: Size, threads: usize) -> Vec<WinogradPlan> {
    let side = size.side();
    let tiles = shape.batch * shape.output[0].div_ceil(side) * shape.output[1].div_ceil(side);
    // V of a block stays in the L2 cache
    let max = (STRIP / (size.points() * shape.channels)).max(14);
    let mut list = Vec::new();
    for aim in [14, 28, 56] {
        if aim > max && aim > 14 {
            continue;
        }
        // a whole number of blocks per thread
        let sets = tiles.div_ceil(aim).next_multiple_of(threads);
        list.push(WinogradPlan { size, tiles: tiles.div_ceil(sets).max(1), split: Split::Tiles });
    }
    for aim in [28, 64, 128] {
        let sets = tiles.div_ceil(aim);
        list.push(WinogradPlan { size, tiles: tiles.div_ceil(sets), split: Split::Filters });
        if sets == 1 {
            list.push(WinogradPlan { size, tiles, split: Split::Transform });
        }
    }
    let mut seen = HashSet::new();
    list.retain(|plan| seen.insert(*plan));
    list
}

/// Candidate strips and shares of a direct convolution: by rows, and by output channels so that each thread reads its own
/// weights.
/// Each thread gets several tasks if they are long enough to be worth distributing, so that no thread waits long for another.
fn cuts(shape: &ConvShape, plain: bool, exact: bool, options: &PlanOptions) -> Vec<DirectPlan> {
    let (isa, threads) = (options.isa, options.threads);
    let pointwise = shape.is_pointwise() && !plain;
    let (extent, line) = if pointwise {
        (shape.pixels(), shape.channels)
    } else {
        (shape.output[0], shape.channels * shape.input[1] * shape.stride[0])
    };
    let units = shape.filters.div_ceil(2 * isa.lanes());
    let cycles = shape.macs() as f64 / VECTOR;
    let max = if threads == 1 { 1 } else { ((cycles / TASK) as usize / threads).clamp(1, 4) };
    let mut list = Vec::new();
    for each in [1, max.div_ceil(2), max] {
        let tasks = each * threads;
        // rows that fit the cache, in enough pieces for the tasks; pointwise pieces are whole tiles
        let fitting = (STRIP / line.max(1)).clamp(1, extent);
        // one slightly larger strip is better than two, which would read all weights twice
        let fitting = if extent - fitting <= (fitting / 16).max(1) { extent } else { fitting };
        let pieces = extent.div_ceil(fitting);
        let samples = if pieces == 1 { (STRIP / (line * extent).max(1)).clamp(1, shape.batch) } else { 1 };
        let per_task = samples.min(shape.batch.div_ceil(tasks)).max(1);
        let sets = shape.batch.div_ceil(per_task);
        let even = pieces.max(tasks.div_ceil(sets)).min(extent);
        let rows = extent.div_ceil(even);
        let rows = if pointwise { rows.next_multiple_of(TILE).min(extent) } else { rows };
        list.push(DirectPlan { rows, samples: if rows < extent { 1 } else { per_task }, shares: 1, exact });
        if threads > 1 && units > 1 {
            let rows =
                if pointwise && pieces > 1 { extent.div_ceil(pieces).next_multiple_of(TILE) } else { extent.div_ceil(pieces) };
            list.push(DirectPlan { rows: rows.min(extent), samples, shares: tasks.min(units), exact });
        }
    }
    list.sort_by_key(|p| (p.shares, p.rows, p.samples));
    list.dedup();
    list
}
