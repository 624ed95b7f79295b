//! Finds the items that form a block, in a network without names: residual blocks, parallel paths, and runs of equal items.

use std::ops::Range;

use super::net::Net;
use super::tree::{self, Item};
use crate::ir::Op;

/// The longest period of repeated items that is searched for.
const MAX_PERIOD: usize = 12;
/// Fewer equal items before the first block are the stem.
const MIN_BEFORE_BLOCKS: usize = 4;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Residual,
    Parallel,
    Chain,
}

/// Items that form a block.
pub(super) struct BlockRange {
    pub start: usize,
    pub end: usize,
    pub kind: Kind,
    /// The signatures of its path, without the shortcut.
    pub path: Vec<String>,
}

/// Appends an item without its widths and strides.
fn signature(net: &Net, item: &Item, out: &mut String) {
    match item {
        Item::Op(id) => {
            let op = &net.node(*id).op;
            out.push_str(op.word());
            // blocks of a kind have depthwise convolutions of several sizes
            if let Op::Conv(c) = op {
                let kernel = if c.groups > 1 { "grouped".to_owned() } else { format!("{:?}", c.kernel) };
                out.push_str(&kernel);
            }
        }
        Item::Join(join) => {
            out.push_str(net.node(join.node).op.word());
            for arm in &join.arms {
                out.push('(');
                arm.iter().for_each(|item| signature(net, item, out));
                out.push(')');
            }
        }
        Item::Scope(scope) => scope.body.iter().for_each(|item| signature(net, item, out)),
        Item::Irregular(_) => out.push_str("irregular"),
        Item::Output(_) => out.push_str("output"),
        Item::Side(_) => out.push_str("side"),
    }
    out.push(' ');
}

fn all_signatures(net: &Net, items: &[Item]) -> Vec<String> {
    let one = |item: &Item| {
        let mut out = String::new();
        signature(net, item, &mut out);
        out
    };
    items.iter().map(one).collect()
}

/// Runs of equal items (start, period, count) with the shortest period that repeats and contains a convolution.
pub(super) fn repeats(net: &Net, items: &[Item]) -> Vec<(usize, usize, usize)> {
    let signatures = all_signatures(net, items);
    let is_op = |i: usize| matches!(items[i], Item::Op(_));
    let is_conv = |i: usize| matches!(&items[i], Item::Op(id) if matches!(net.node(*id).op, Op::Conv(_)));
    let mut found = Vec::new();
    let mut i = 0;
    while i < items.len() {
        let run = (1..=MAX_PERIOD).find_map(|period| {
            let fits = |at: usize| at < items.len() && is_op(at);
            // a block begins with a layer, not with the last activation of the previous one
            if !(i..i + period).all(fits) || !(i..i + period).any(is_conv) || !net_named(net, &items[i]) {
                return None;
            }
            let equal =
                |k: usize| (0..period).all(|p| fits(i + k * period + p) && signatures[i + k * period + p] == signatures[i + p]);
            let count = 1 + (1..).take_while(|&k| equal(k)).count();
            (count > 1 && period > 1).then_some((i, period, count))
        });
        match run {
            Some(run) => {
                i += run.1 * run.2;
                found.push(run);
            }
            None => i += 1,
        }
    }
    found
}

fn net_named(net: &Net, item: &Item) -> bool {
    matches!(item, Item::Op(id) if net.node(*id).named)
}

/// The blocks among the items of a body, in order.
pub(super) fn ranges(net: &Net, items: &[Item]) -> Vec<BlockRange> {
    let signatures = all_signatures(net, items);
    let mut ranges: Vec<BlockRange> = Vec::new();
    let mut rest = 0;
    let residual = |item: &Item| match item {
        Item::Join(join) => {
            let slot = tree::shortcut(net, join)?;
            let path = &join.arms[1 - slot];
            is_block(net, path).then(|| (join.arms[slot].is_empty(), all_signatures(net, path)))
        }
        _ => None,
    };
    let plain: Vec<Vec<String>> = items.iter().filter_map(residual).filter(|(same, _)| *same).map(|(_, s)| s).collect();
    for (i, item) in items.iter().enumerate() {
        let Item::Join(join) = item else { continue };
        let kind = match (residual(item), &net.node(join.node).op) {
            (Some(_), _) => Kind::Residual,
            (None, Op::Concat) => Kind::Parallel,
            _ => continue,
        };
        // items before the fork that blocks with an identity shortcut have on their path (pre-activation)
        let mut before = 0;
        if let Some((false, path)) = residual(item) {
            let max_before = (i - rest).min(3);
            before = (1..=max_before)
                .rev()
                .find(|&k| {
                    let whole: Vec<&String> = signatures[i - k..i].iter().chain(&path).collect();
                    plain.iter().any(|other| other.iter().collect::<Vec<_>>() == whole)
                })
                .unwrap_or(0);
        }
        between(net, items, &signatures, rest..i - before, &plain, &mut ranges);
        let path = residual(item).map_or_else(Vec::new, |(_, path)| path);
        let path = signatures[i - before..i].iter().cloned().chain(path).collect();
        ranges.push(BlockRange { start: i - before, end: i + 1, kind, path });
        rest = i + 1;
    }
    // if there are other blocks, a few equal items are the stem
    if ranges.is_empty() {
        chains(net, items, 0, items.len(), 2, &mut ranges);
    } else {
        without_shortcut(items, &signatures, rest..items.len(), &plain, &mut ranges);
    }
    // activations after all blocks of a kind belong to them
    for kind in [Kind::Residual, Kind::Parallel] {
        let activations_after = |range: &BlockRange| {
            let rest = signatures[range.end..].iter().zip(&items[range.end..]);
            let acts = rest.take_while(|(_, i)| matches!(i, Item::Op(id) if net.node(*id).op.is_activation()));
            acts.count()
        };
        let min = ranges.iter().filter(|u| u.kind == kind).map(activations_after).min().unwrap_or(0);
        ranges.iter_mut().filter(|u| u.kind == kind).for_each(|u| u.end += min);
    }
    ranges
}

/// Whether a path belongs to a single block: it contains no other sums or outputs.
fn is_block(net: &Net, path: &[Item]) -> bool {
    path.iter().all(|item| match item {
        Item::Op(_) => true,
        Item::Join(join) => {
            let op = &net.node(join.node).op;
            (op.is_mul() || matches!(op, Op::Concat)) && join.arms.iter().all(|arm| is_block(net, arm))
        }
        Item::Scope(scope) => is_block(net, &scope.body),
        Item::Irregular(_) | Item::Output(_) | Item::Side(_) => false,
    })
}

/// Adds the blocks between two others: those that only lack the shortcut of others, and runs of equal items.
fn between(net: &Net, items: &[Item], all: &[String], range: Range<usize>, plain: &[Vec<String>], ranges: &mut Vec<BlockRange>) {
    let mut found = Vec::new();
    without_shortcut(items, all, range.clone(), plain, &mut found);
    let mut start = range.start;
    let between = |start: usize, end: usize, ranges: &mut Vec<BlockRange>| {
        chains(net, items, start, end, if ranges.is_empty() { MIN_BEFORE_BLOCKS } else { 2 }, ranges);
    };
    for block in found {
        between(start, block.start, ranges);
        start = block.end;
        ranges.push(block);
    }
    between(start, range.end, ranges);
}

/// Adds the items that have the same operators as the path of a block with an identity shortcut, as the first block of a stage of
/// inverted residuals, whose shortcut would not fit.
fn without_shortcut(items: &[Item], all: &[String], range: Range<usize>, plain: &[Vec<String>], ranges: &mut Vec<BlockRange>) {
    let mut at = range.start;
    while at < range.end {
        let fits = |path: &&Vec<String>| path.len() > 2 && at + path.len() <= range.end && all[at..at + path.len()] == path[..];
        match plain.iter().filter(fits).max_by_key(|path| path.len()) {
            Some(path) if items[at..at + path.len()].iter().all(|item| matches!(item, Item::Op(_) | Item::Join(_))) => {
                ranges.push(BlockRange { start: at, end: at + path.len(), kind: Kind::Residual, path: path.clone() });
                at += path.len();
            }
            _ => at += 1,
        }
    }
}

/// Adds the runs of at least so many equal items between two blocks.
fn chains(net: &Net, items: &[Item], start: usize, end: usize, least: usize, ranges: &mut Vec<BlockRange>) {
    for (first, period, count) in repeats(net, &items[start..end]).into_iter().filter(|(.., count)| *count >= least) {
        let path = all_signatures(net, &items[start + first..start + first + period]);
        for k in 0..count {
            let start = start + first + k * period;
            ranges.push(BlockRange { start, end: start + period, kind: Kind::Chain, path: path.clone() });
        }
    }
}

/// The layers between blocks that reduce the feature map, as before each stage of Darknet-53, if the same operators do in several places.
pub(super) fn reductions(net: &Net, items: &[Item], blocks: &[BlockRange]) -> Vec<Range<usize>> {
    let signatures = all_signatures(net, items);
    let mut end = 0;
    let gaps: Vec<Range<usize>> = blocks.iter().map(|block| std::mem::replace(&mut end, block.end)..block.start).collect();
    let reduces = |gap: &Range<usize>| {
        let ops =
            items[gap.clone()].iter().map_while(|item| if let Item::Op(id) = item { Some(&net.node(*id).op) } else { None });
        let ops: Vec<&Op> = ops.collect();
        let strided = |op: &&Op| matches!(op, Op::Conv(conv) if conv.stride.iter().any(|&stride| stride > 1));
        ops.len() == gap.len() && gap.len() > 1 && ops.iter().any(strided)
    };
    let Some((first, rest)) = gaps.split_first() else { return Vec::new() };
    let rest: Vec<&Range<usize>> = rest.iter().filter(|gap| reduces(gap)).collect();
    let same = |a: &Range<usize>, b: &Range<usize>| signatures[a.clone()] == signatures[b.clone()];
    let repeats = |gap: &&&Range<usize>| rest.iter().filter(|other| same(gap, other)).count() > 1;
    let mut found: Vec<Range<usize>> = rest.iter().filter(repeats).map(|gap| (*gap).clone()).collect();
    // the one before the first block follows the stem
    if let Some(start) = found.first().and_then(|gap| first.end.checked_sub(gap.len()))
        && start > first.start
        && same(&(start..first.end), &found[0])
        && reduces(&(start..first.end))
    {
        found.insert(0, start..first.end);
    }
    found
}
