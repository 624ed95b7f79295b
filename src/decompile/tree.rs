//! Converts a graph to a tree: sequences of operators, and places where paths fork and join.
//!
//! The items of a body are the nodes on all paths from its first to its last value (its dominators). Between two of them is either
//! nothing, or the arms of a join: if the paths to its operands share no node, each is an arm with its own body. Otherwise the region
//! is [`Irregular`].

use std::collections::{HashMap, HashSet};

use super::net::{Id, Net};
use crate::ir::Op;

/// Arms nested deeper than this are irregular: the language's nesting limit is 64.
const MAX_DEPTH: usize = 24;

/// An item of a body.
#[derive(Clone, Debug)]
pub(super) enum Item {
    /// An operator on the current value.
    Op(Id),
    /// Paths that fork at the current value, and join.
    Join(Join),
    /// Items with a common prefix of their names.
    Scope(Scope),
    /// Operators that read each other without a simple structure.
    Irregular(Irregular),
    /// The current value is an output.
    Output(usize),
    /// A path from the current value to an output.
    Side(Side),
}

#[derive(Clone, Debug)]
pub(super) struct Join {
    /// The `add`, `mul` or `concat`.
    pub node: Id,
    /// The value at which the paths fork.
    pub from: Id,
    /// By operand slot; empty if the operand is that value itself.
    pub arms: Vec<Vec<Item>>,
}

#[derive(Clone, Debug)]
pub(super) struct Scope {
    /// A unique id.
    pub id: usize,
    /// Its component of the names inside; `None` if it only groups items, without a name.
    pub name: Option<String>,
    /// Whether the items directly in it are numbered.
    pub sequential: bool,
    pub body: Vec<Item>,
    /// The current value before it.
    pub from: Id,
    /// The current value after it.
    pub to: Id,
}

#[derive(Clone, Debug)]
pub(super) struct Irregular {
    /// The current value before it.
    pub from: Id,
    /// Operands before users.
    pub nodes: Vec<Id>,
    /// The node that is the current value after it.
    pub to: Id,
    /// Indices of the outputs inside.
    pub outputs: Vec<usize>,
}

#[derive(Clone, Debug)]
pub(super) struct Side {
    /// The index of the output.
    pub output: usize,
    pub from: Id,
    pub body: Vec<Item>,
}

/// The items of a network, and whether it is a single irregular region.
pub(super) fn tree(net: &Net) -> (Vec<Item>, bool) {
    match regular(net) {
        Some(items) => (items, false),
        None => (flat(net), true),
    }
}

/// The whole network as a single irregular region.
pub(super) fn flat(net: &Net) -> Vec<Item> {
    let (from, to) = (net.inputs[0], net.outputs[0].1);
    let outputs: Vec<usize> = (1..net.outputs.len()).collect();
    let others = net.nodes.iter().enumerate().filter(|(_, n)| !matches!(n.op, Op::Input(_))).map(|(id, _)| id);
    let mut nodes: Vec<Id> = others.filter(|&id| id != to).collect();
    if to == from {
        return outputs.iter().filter(|&&o| net.outputs[o].1 == from).map(|&o| Item::Output(o)).collect();
    }
    nodes.push(to);
    nodes.sort_unstable();
    vec![Item::Irregular(Irregular { from, nodes, to, outputs })]
}

fn regular(net: &Net) -> Option<Vec<Item>> {
    let &[input] = &net.inputs[..] else { return None };
    let main = ancestors(net, net.outputs[0].1, &HashSet::new());
    let mut known = main.clone();
    let mut sides = Sides::new();
    for (i, (_, value)) in net.outputs.iter().enumerate().skip(1) {
        if known.contains(value) {
            sides.entry(*value).or_default().push((i, None));
            continue;
        }
        let path = ancestors(net, *value, &known);
        let mut entries: Vec<Id> =
            path.iter().flat_map(|&id| net.node(id).operands.iter().copied()).filter(|o| !path.contains(o)).collect();
        entries.sort_unstable();
        entries.dedup();
        let &[entry] = &entries[..] else { return None };
        known.extend(&path);
        sides.entry(entry).or_default().push((i, Some(path)));
    }
    let wanted = net.outputs.len() - 1;
    let mut build = TreeBuilder { net, sides, placed: 0 };
    let mut items = build.sides_at(input, 0);
    let mut within = main;
    within.remove(&input);
    items.extend(build.body(input, net.outputs[0].1, within, 0));
    (build.placed == wanted).then_some(items)
}

/// The nodes from which a value is computed, including itself, up to `known` ones.
fn ancestors(net: &Net, value: Id, known: &HashSet<Id>) -> HashSet<Id> {
    let mut found = HashSet::new();
    let mut open = vec![value];
    while let Some(id) = open.pop() {
        if !known.contains(&id) && found.insert(id) {
            open.extend(&net.node(id).operands);
        }
    }
    found
}

/// By value: the outputs that are this value, and those to which a path from it leads, with the path's nodes.
type Sides = HashMap<Id, Vec<(usize, Option<HashSet<Id>>)>>;

struct TreeBuilder<'n> {
    net: &'n Net,
    sides: Sides,
    placed: usize,
}

impl TreeBuilder<'_> {
    /// The outputs and side paths that begin at a value.
    fn sides_at(&mut self, value: Id, depth: usize) -> Vec<Item> {
        let mut items = Vec::new();
        for (output, path) in self.sides.remove(&value).unwrap_or_default() {
            self.placed += 1;
            items.push(match path {
                None => Item::Output(output),
                Some(path) => {
                    let body = self.body(value, self.net.outputs[output].1, path, depth + 1);
                    Item::Side(Side { output, from: value, body })
                }
            });
        }
        items
    }

    /// The items between two values, given the nodes between them, including the last value but not the first.
    fn body(&mut self, from: Id, to: Id, within: HashSet<Id>, depth: usize) -> Vec<Item> {
        // ids are in topological order
        let mut nodes: Vec<Id> = within.iter().copied().collect();
        nodes.sort_unstable();
        let position: HashMap<Id, usize> = std::iter::once(from).chain(nodes.iter().copied()).zip(0..).collect();
        // a node is on every path if no edge bypasses it
        let mut furthest = vec![0usize; nodes.len() + 1];
        for &id in &nodes {
            for operand in &self.net.node(id).operands {
                if let Some(&p) = position.get(operand) {
                    furthest[p] = furthest[p].max(position[&id]);
                }
            }
        }
        let mut items = Vec::new();
        let (mut reach, mut start, mut open) = (furthest[0], from, Vec::new());
        for (at, &id) in nodes.iter().enumerate() {
            let is_on_every_path = reach <= at + 1;
            reach = reach.max(furthest[at + 1]);
            if !is_on_every_path {
                open.push(id);
                continue;
            }
            items.push(self.item(start, id, std::mem::take(&mut open), depth));
            items.extend(self.sides_at(id, depth));
            start = id;
        }
        debug_assert_eq!(start, to);
        items
    }

    /// The item between two dominators: an operator, or a join of the nodes between them.
    fn item(&mut self, from: Id, to: Id, between: Vec<Id>, depth: usize) -> Item {
        let operands = self.net.node(to).operands.clone();
        if between.is_empty() && operands.len() == 1 {
            return Item::Op(to);
        }
        let inside: HashSet<Id> = between.iter().copied().collect();
        let mut free = inside.clone();
        let mut paths = Vec::new();
        for &operand in &operands {
            let mut path = HashSet::new();
            let mut open = vec![operand];
            while let Some(id) = open.pop() {
                if inside.contains(&id) && path.insert(id) {
                    open.extend(&self.net.node(id).operands);
                }
            }
            // a node on two paths: the arms are not separate
            if path.iter().any(|id| !free.remove(id)) || depth >= MAX_DEPTH {
                let nodes = between.into_iter().chain([to]).collect();
                return Item::Irregular(Irregular { from, nodes, to, outputs: Vec::new() });
            }
            paths.push((operand, path));
        }
        let arms = paths
            .into_iter()
            .map(|(operand, path)| if path.is_empty() { Vec::new() } else { self.body(from, operand, path, depth + 1) })
            .collect();
        Item::Join(Join { node: to, from, arms })
    }
}

impl Item {
    /// Calls `visit` with every node of the item, in text order.
    pub fn nodes(&self, visit: &mut impl FnMut(Id)) {
        match self {
            Item::Op(id) => visit(*id),
            Item::Join(join) => {
                join.arms.iter().flatten().for_each(|item| item.nodes(visit));
                visit(join.node);
            }
            Item::Scope(scope) => scope.body.iter().for_each(|item| item.nodes(visit)),
            Item::Irregular(irregular) => irregular.nodes.iter().for_each(|&id| visit(id)),
            Item::Output(_) => {}
            Item::Side(side) => side.body.iter().for_each(|item| item.nodes(visit)),
        }
    }

    /// Calls `visit` with every irregular region in the item.
    pub fn irregulars(&self, visit: &mut impl FnMut(&Irregular)) {
        match self {
            Item::Irregular(irregular) => visit(irregular),
            Item::Join(join) => join.arms.iter().flatten().for_each(|item| item.irregulars(visit)),
            Item::Scope(scope) => scope.body.iter().for_each(|item| item.irregulars(visit)),
            Item::Side(side) => side.body.iter().for_each(|item| item.irregulars(visit)),
            Item::Op(_) | Item::Output(_) => {}
        }
    }

    /// The current value after the item; `None` if the item does not change it.
    pub fn value(&self) -> Option<Id> {
        match self {
            Item::Op(id) => Some(*id),
            Item::Join(join) => Some(join.node),
            Item::Scope(scope) => Some(scope.to),
            Item::Irregular(irregular) => Some(irregular.to),
            Item::Output(_) | Item::Side(_) => None,
        }
    }
}

/// The arm of a sum that can be written as a shortcut: the value itself, a projection, or subsampling and zero padding. `None` if
/// neither arm is of such a kind, or both are empty.
pub(super) fn shortcut(net: &Net, join: &Join) -> Option<usize> {
    let [first, second] = &join.arms[..] else { return None };
    if !net.node(join.node).op.is_add() {
        return None;
    }
    let (first, second) = (ArmOps::of(net, first), ArmOps::of(net, second));
    let (slot, arm, path) = if first.work() < second.work() { (0, first, second) } else { (1, second, first) };
    (arm.is_shortcut() && !path.ops.is_empty()).then_some(slot)
}

/// The operators of an arm.
struct ArmOps<'n> {
    ops: Vec<&'n Op>,
}

impl<'n> ArmOps<'n> {
    fn of(net: &'n Net, arm: &[Item]) -> ArmOps<'n> {
        let mut ops = Vec::new();
        arm.iter().for_each(|item| item.nodes(&mut |id| ops.push(&net.node(id).op)));
        ArmOps { ops }
    }

    fn kernels(&self) -> impl Iterator<Item = [usize; 2]> {
        self.ops.iter().filter_map(|op| if let Op::Conv(conv) = op { Some(conv.kernel) } else { None })
    }

    /// Convolutions, operators, and pixels of all kernels: of two arms, that with less is the shortcut.
    fn work(&self) -> (usize, usize, usize) {
        (self.kernels().count(), self.ops.len(), self.kernels().map(|[h, w]| h.saturating_mul(w)).fold(0, usize::saturating_add))
    }

    fn is_shortcut(&self) -> bool {
        let projects = |op: &&Op| op.is_norm() || matches!(op, Op::Conv(_) | Op::Pool(_) | Op::Subsample(_) | Op::Pad(_));
        let pads = |op: &&Op| matches!(op, Op::Subsample(_) | Op::Pad(_));
        match self.kernels().count() {
            0 => self.ops.iter().all(pads),
            1 => self.ops.len() <= 4 && self.ops.iter().all(projects),
            _ => false,
        }
    }
}
