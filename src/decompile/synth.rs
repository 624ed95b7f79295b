//! Invents names for a network whose own are meaningless, in the style of torchvision.
//!
//! Residual blocks, parallel paths and runs of equal items become `layer1.0`, `layer1.1`, …: a layer is a run of one kind with the
//! same output shape. Layers between them that reduce the feature map, alike in several places, become `down1`, `down2`, …. Everything
//! that follows works as if the graph had these names.

use std::collections::HashSet;

use super::attrs;
use super::group::Path;
use super::net::{Id, Net};
use super::ranges::{BlockRange, Kind, ranges, reductions, repeats};
use super::tree::{self, Item, Join, Scope};
use crate::ir::{LayerNumbers, Op};

/// Names for the layers of blocks; empty for all others.
pub(super) fn layer_paths(net: &Net, items: &[Item]) -> Vec<Path> {
    let mut walk = Walk { net, paths: vec![Path::new(); net.nodes.len()], layers: 0, mixed: 0, downs: 0 };
    walk.body(items);
    walk.paths
}

struct Walk<'n> {
    net: &'n Net,
    paths: Vec<Path>,
    /// The number of names `layer1`, `layer2`, … in use.
    layers: usize,
    /// The number of names `mixed1`, `mixed2`, … in use.
    mixed: usize,
    /// The number of names `down1`, `down2`, … in use.
    downs: usize,
}

impl Walk<'_> {
    fn body(&mut self, items: &[Item]) {
        let net = self.net;
        let ranges = ranges(net, items);
        for range in reductions(net, items, &ranges) {
            self.downs += 1;
            assign(net, &items[range], &[format!("down{}", self.downs)], &mut Counts::default(), &mut self.paths);
        }
        let shape =
            |range: &BlockRange| items[range.start..range.end].iter().rev().find_map(Item::value).map(|id| &net.node(id).shape);
        let mut index = 0;
        for (at, range) in ranges.iter().enumerate() {
            let body = &items[range.start..range.end];
            // parallel paths have different widths, so each block has its own name
            if let [Item::Join(join), ..] = body
                && range.kind == Kind::Parallel
                && join.arms.iter().filter(|arm| !arm.is_empty()).count() > 1
            {
                self.mixed += 1;
                assign(net, body, &[format!("mixed{}", self.mixed)], &mut Counts::default(), &mut self.paths);
                continue;
            }
            let continues = at > 0 && {
                let before = &ranges[at - 1];
                before.end == range.start
                    && before.kind == range.kind
                    && (range.kind == Kind::Parallel || shape(before) == shape(range))
                    && (range.kind == Kind::Parallel || before.path == range.path)
            };
            index = if continues { index + 1 } else { 0 };
            self.layers += usize::from(!continues);
            let prefix = [format!("layer{}", self.layers), index.to_string()];
            assign(net, body, &prefix, &mut Counts::default(), &mut self.paths);
        }
        // blocks inside paths that are not blocks themselves, such as those below a feature pyramid's additions
        for (i, item) in items.iter().enumerate() {
            if ranges.iter().any(|range| (range.start..range.end).contains(&i)) {
                continue;
            }
            match item {
                Item::Join(join) => join.arms.iter().for_each(|arm| self.body(arm)),
                Item::Side(side) => self.body(&side.body),
                Item::Op(_) | Item::Scope(_) | Item::Irregular(_) | Item::Output(_) => {}
            }
        }
    }
}

/// The names of a scope.
#[derive(Default)]
struct Counts {
    layers: LayerNumbers,
    /// The names of paths within it.
    paths: HashSet<String>,
}

impl Counts {
    /// A unique name for a path.
    fn path(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_string();
        let mut number = 2;
        while !self.paths.insert(name.clone()) {
            name = format!("{wanted}{number}");
            number += 1;
        }
        name
    }

    /// `branch1`, `branch2`, …
    fn branch(&mut self) -> String {
        let mut number = self.paths.iter().filter(|name| !name.starts_with("downsample")).count() + 1;
        while !self.paths.insert(format!("branch{number}")) {
            number += 1;
        }
        format!("branch{number}")
    }

    fn next(&mut self, op: &Op) -> String {
        self.layers.next(match op {
            op if op.is_norm() => op.word(),
            Op::Linear(_) => "linear",
            _ => "conv",
        })
    }
}

fn assign(net: &Net, items: &[Item], prefix: &[String], counts: &mut Counts, paths: &mut [Path]) {
    for item in items {
        match item {
            Item::Op(id) => name_layer(net, *id, prefix, counts, paths),
            Item::Join(join) => {
                let (shortcut, main) = shortcut_and_main(net, join);
                let single = join.arms.iter().filter(|arm| !arm.is_empty()).count() == 1;
                for (slot, arm) in join.arms.iter().enumerate().filter(|(_, arm)| !arm.is_empty()) {
                    if Some(slot) == main {
                        assign(net, arm, prefix, counts, paths);
                    } else if Some(slot) == shortcut {
                        let name = counts.path("downsample");
                        for (n, item) in arm.iter().enumerate() {
                            if let Item::Op(id) = item
                                && net.node(*id).named
                            {
                                paths[*id] = prefix.iter().cloned().chain([name.clone(), n.to_string()]).collect();
                            }
                        }
                    } else {
                        let name = match &net.node(join.node).op {
                            op if op.is_mul() && counts.paths.is_empty() => counts.path("gate"),
                            Op::Concat if single => counts.path("grow"),
                            _ => counts.branch(),
                        };
                        let deeper: Path = prefix.iter().cloned().chain([name]).collect();
                        assign(net, arm, &deeper, &mut Counts::default(), paths);
                    }
                }
            }
            Item::Scope(Scope { body, .. }) => assign(net, body, prefix, counts, paths),
            // names cannot be preserved there
            Item::Irregular(_) | Item::Output(_) | Item::Side(_) => {}
        }
    }
}

/// The shortcut among the arms of a join, and the arm on the main path.
fn shortcut_and_main(net: &Net, join: &Join) -> (Option<usize>, Option<usize>) {
    match tree::shortcut(net, join) {
        Some(slot) => (Some(slot), Some(1 - slot)),
        None => (None, (!matches!(net.node(join.node).op, Op::Concat)).then_some(0)),
    }
}

fn name_layer(net: &Net, id: Id, prefix: &[String], counts: &mut Counts, paths: &mut [Path]) {
    if net.node(id).named {
        let leaf = counts.next(&net.node(id).op);
        paths[id] = prefix.iter().cloned().chain([leaf]).collect();
    }
}

/// Turns runs of equal items in a `sequential` into unnamed scopes, and thus blocks. The numbering gives them the right names.
pub(super) fn sequences(net: &Net, items: &mut [Item], depth: usize, paths: &mut [Path], ids: &mut usize) {
    for item in items {
        let Item::Scope(scope) = item else { continue };
        sequences(net, &mut scope.body, depth + 1, paths, ids);
        if !scope.sequential || !scope.body.iter().all(|i| matches!(i, Item::Op(_))) {
            continue;
        }
        let mut number = 0;
        let mut is_numbered = true;
        for (i, item) in scope.body.iter().enumerate() {
            let Item::Op(id) = item else { continue };
            let next_linear = matches!(scope.body.get(i + 1), Some(Item::Op(n)) if matches!(net.node(*n).op, Op::Linear(_)));
            if matches!(net.node(*id).op, Op::Flatten) && next_linear && attrs::is_map(&net.node(net.node(*id).operands[0]).shape)
            {
                continue;
            }
            let path = &paths[*id];
            is_numbered &= path.is_empty() || path.get(depth + 1..) == Some(&[number.to_string()][..]);
            number += 1;
        }
        if !is_numbered {
            continue;
        }
        let runs = repeats(net, &scope.body);
        let mut from = scope.from;
        let mut body = Vec::new();
        let mut rest = std::mem::take(&mut scope.body).into_iter().enumerate();
        let mut runs =
            runs.into_iter().flat_map(|(start, period, count)| (0..count).map(move |k| (start + k * period, period))).peekable();
        while let Some((i, item)) = rest.next() {
            let to = item.value().unwrap_or(from);
            match runs.next_if(|(start, _)| *start == i) {
                Some((_, period)) => {
                    let mut inner = vec![item];
                    inner.extend((1..period).filter_map(|_| rest.next()).map(|(_, item)| item));
                    let to = inner.iter().rev().find_map(Item::value).unwrap_or(to);
                    for item in &inner {
                        item.nodes(&mut |id| paths[id] = Path::new());
                    }
                    *ids += 1;
                    body.push(Item::Scope(Scope { id: *ids, name: None, sequential: false, body: inner, from, to }));
                    from = to;
                }
                None => {
                    body.push(item);
                    from = to;
                }
            }
        }
        scope.body = body;
    }
}
