//! Groups items into scopes by the names of their layers: `layer2.0.conv1` is in a scope `0` of a scope `layer2`.
//!
//! The scope of a layer follows from its name. The name of an operator without tensors is irrelevant: it belongs to the scope before
//! it if all scopes of that kind are followed by the same operator. So the ReLU after each addition belongs to the block, and the
//! pool after the last block does not.

use std::collections::{BTreeSet, HashMap};

use super::net::{Id, Net};
use super::tree::{self, Item, Join, Scope};
use crate::ir::Op;

/// The components of a name.
pub(super) type Path = Vec<String>;

/// Groups the items of a network. `paths` has the name of each node; empty if irrelevant.
pub(super) fn group(net: &Net, paths: &[Path], items: Vec<Item>) -> Vec<Item> {
    let mut grouping = Grouping { net, paths, trailing_ops: HashMap::new(), owners: HashMap::new(), ids: 0 };
    grouping.count_trailing(&items);
    let from = net.inputs[0];
    grouping.assign_owners(&items);
    grouping.body(items, &[], from)
}

/// Groups the items of a side path, as a single scope if it contains all layers.
pub(super) fn side(net: &Net, paths: &[Path], items: Vec<Item>) -> Vec<Item> {
    let mut grouping = Grouping { net, paths, trailing_ops: HashMap::new(), owners: HashMap::new(), ids: 0 };
    grouping.arm(items, &[], net.inputs[0], net.outputs[0].1)
}

struct Grouping<'n> {
    net: &'n Net,
    paths: &'n [Path],
    /// By kind of scope: the operators after each scope, up to the next layer.
    trailing_ops: HashMap<BTreeSet<String>, Vec<Vec<String>>>,
    /// The scope of an item without layers, by its value.
    owners: HashMap<Id, Path>,
    ids: usize,
}

/// The longest common prefix.
fn common<'p>(mut paths: impl Iterator<Item = &'p [String]>) -> Path {
    let Some(first) = paths.next() else { return Path::new() };
    let mut length = first.len();
    for path in paths {
        length = length.min(path.iter().zip(first).take_while(|(a, b)| a == b).count());
    }
    first[..length].to_vec()
}

fn ends_in_digit(part: &str) -> bool {
    part.ends_with(|c: char| c.is_ascii_digit())
}

impl Grouping<'_> {
    /// The names of the layers inside.
    fn names(&self, items: &[Item]) -> Vec<&[String]> {
        let mut list: Vec<&[String]> = Vec::new();
        items.iter().for_each(|item| {
            item.nodes(&mut |id| {
                if let Some(path) = self.paths.get(id).filter(|p| !p.is_empty()) {
                    list.push(path);
                }
            });
        });
        list
    }

    fn scope_of(&self, items: &[Item]) -> Option<Path> {
        let names = self.names(items);
        if names.is_empty() { None } else { Some(common(names.iter().map(|p| &p[..p.len() - 1]))) }
    }

    /// The scope of each item of a body; `None` for an item without layers.
    fn scopes(&self, items: &[Item]) -> Vec<Option<Path>> {
        let plain: Vec<Path> =
            items.iter().filter(|i| matches!(i, Item::Op(_))).filter_map(|i| self.scope_of(std::slice::from_ref(i))).collect();
        let scope = |item: &Item| {
            let mut path = self.scope_of(std::slice::from_ref(item))?;
            let join = match item {
                Item::Join(join) => join,
                // it has its own name, wherever it begins
                Item::Side(_) => return None,
                Item::Op(_) | Item::Scope(_) | Item::Irregular(_) | Item::Output(_) => return Some(path),
            };
            let is_alone = !plain.iter().any(|other| other.starts_with(&path));
            let named = join.arms.iter().filter(|arm| !self.names(arm).is_empty()).count();
            let lifted = if tree::shortcut(self.net, join).is_some() {
                // a path that is a separate module within the block
                matches!(&path[..], [.., outer, inner] if ends_in_digit(outer) && !ends_in_digit(inner))
            } else {
                // the one arm with layers has the scope, not the join
                named == 1
            };
            if is_alone && lifted {
                path.pop();
            }
            Some(path)
        };
        items.iter().map(scope).collect()
    }

    /// The kind of a scope: the names of the layers directly in it or, if there are none, of the scopes in it.
    fn kind(&self, scope: &Path) -> BTreeSet<String> {
        let inside = || self.paths.iter().filter(|p| p.len() > scope.len() && p.starts_with(scope));
        let layers: BTreeSet<String> = inside().filter(|p| p.len() == scope.len() + 1).map(|p| p[scope.len()].clone()).collect();
        if layers.is_empty() { inside().map(|p| format!("{}.", p[scope.len()])).collect() } else { layers }
    }

    /// Calls `visit` with each scope that ends in a body, and the items without layers after it.
    fn endings<'i>(&self, items: &'i [Item], outer: &Path, visit: &mut impl FnMut(&Path, &'i [Item])) {
        let scopes = self.scopes(items);
        for (item, scope) in items.iter().zip(&scopes) {
            match item {
                Item::Join(join) => {
                    let here = scope.as_ref().unwrap_or(outer);
                    join.arms.iter().for_each(|arm| self.endings(arm, here, visit));
                }
                Item::Side(side) => self.endings(&side.body, outer, visit),
                Item::Op(_) | Item::Scope(_) | Item::Irregular(_) | Item::Output(_) => {}
            }
        }
        let mut i = 0;
        while i < items.len() {
            let trailing = scopes[i + 1..].iter().take_while(|scope| scope.is_none()).count();
            if let Some(scope) = scopes[i].as_ref().filter(|scope| !scope.is_empty()) {
                let next = scopes.get(i + 1 + trailing).and_then(|scope| scope.as_ref()).unwrap_or(outer);
                if !next.starts_with(scope) {
                    visit(scope, &items[i + 1..i + 1 + trailing]);
                }
            }
            i += 1 + trailing;
        }
    }

    fn count_trailing(&mut self, items: &[Item]) {
        let mut found: Vec<(Path, Vec<String>)> = Vec::new();
        self.endings(items, &Path::new(), &mut |scope, trailing| {
            let words = trailing.iter().map_while(|item| Some(self.net.node(item.value()?).op.word().to_owned()));
            found.push((scope.clone(), words.collect()));
        });
        let mut kinds: HashMap<Path, BTreeSet<String>> = HashMap::new();
        for (scope, words) in found {
            let kind = kinds.entry(scope.clone()).or_insert_with(|| self.kind(&scope)).clone();
            self.trailing_ops.entry(kind).or_default().push(words);
        }
    }

    /// Determines which items without layers belong to the end of a scope.
    fn assign_owners(&mut self, items: &[Item]) {
        let mut found: Vec<(Id, Path)> = Vec::new();
        self.endings(items, &Path::new(), &mut |scope, trailing| {
            if let Some(share) = self.named_trailing(scope, trailing) {
                found.extend(trailing[..share].iter().filter_map(Item::value).map(|value| (value, scope.clone())));
                return;
            }
            let kind = self.kind(scope);
            let trailing_ops = self.trailing_ops.get(&kind).map_or(&[][..], |g| &g[..]);
            let numbered = kind.iter().all(|leaf| leaf.parse::<usize>().is_ok());
            let share = match trailing_ops {
                [] => 0,
                [_] => trailing.iter().take_while(|item| self.closes(item, numbered)).count(),
                [first, rest @ ..] => {
                    rest.iter().fold(first.len(), |n, gap| n.min(gap.iter().zip(first).take_while(|(a, b)| a == b).count()))
                }
            };
            for item in &trailing[..share.min(trailing.len())] {
                found.extend(item.value().map(|value| (value, scope.clone())));
            }
        });
        self.owners.extend(found);
    }

    /// How many of the items after a scope are in it by their own names, which exporters take from their modules; `None` if these
    /// do not say.
    fn named_trailing(&self, scope: &Path, trailing: &[Item]) -> Option<usize> {
        let is_inside = |item: &Item| match item {
            Item::Op(id) => {
                let mut parts = self.net.node(*id).name.split('.');
                let is_scoped = self.net.node(*id).name.contains('.');
                is_scoped.then(|| scope.iter().all(|part| parts.next() == Some(part)))
            }
            _ => None,
        };
        trailing.first().and_then(is_inside)?;
        Some(trailing.iter().map_while(is_inside).take_while(|inside| *inside).count())
    }

    /// Whether an item without layers belongs to the end of the only scope of its kind.
    fn closes(&self, item: &Item, numbered: bool) -> bool {
        match item {
            Item::Op(id) => {
                let op = &self.net.node(*id).op;
                op.is_activation() || matches!(op, Op::Pool(_)) && numbered
            }
            _ => false,
        }
    }

    /// The items of a body whose scope is `prefix`, with those of deeper scopes grouped.
    fn body(&mut self, items: Vec<Item>, prefix: &[String], from: Id) -> Vec<Item> {
        let depth = prefix.len();
        let scopes = self.scopes(&items);
        // the next component of each item's scope; `None` for an item directly in this scope, `Some(None)` for one that can be anywhere
        let parts: Vec<Option<Option<String>>> = items
            .iter()
            .zip(scopes)
            .map(|(item, scope)| {
                let owner = || item.value().and_then(|value| self.owners.get(&value).cloned());
                match scope.or_else(owner) {
                    Some(scope) if scope.len() > depth && scope.starts_with(prefix) => Some(Some(scope[depth].clone())),
                    Some(_) => None,
                    None => Some(None),
                }
            })
            .collect();
        let mut out = Vec::new();
        let mut current = from;
        let mut rest = items.into_iter().enumerate().peekable();
        while let Some((i, item)) = rest.next() {
            let Some(Some(part)) = &parts[i] else {
                current = item.value().unwrap_or(current);
                out.push(self.group_arms(item, prefix));
                continue;
            };
            // up to the last item of this scope before one of another scope
            let ours = parts[i..].iter().take_while(|p| p.as_ref().is_some_and(|p| p.as_ref().is_none_or(|p| p == part)));
            let last = i + ours.enumerate().filter(|(_, p)| matches!(p, Some(Some(_)))).map(|(n, _)| n).last().unwrap_or(0);
            let mut body = vec![item];
            while let Some((_, item)) = rest.next_if(|(n, _)| *n <= last) {
                body.push(item);
            }
            let deeper: Path = prefix.iter().cloned().chain([part.clone()]).collect();
            let start = current;
            current = body.iter().rev().find_map(Item::value).unwrap_or(current);
            let body = self.body(body, &deeper, start);
            out.push(Item::Scope(self.scope(Some(part.clone()), body, start, current)));
        }
        out
    }

    fn scope(&mut self, name: Option<String>, body: Vec<Item>, from: Id, to: Id) -> Scope {
        self.ids += 1;
        let sequential = name.is_some() && self.is_sequence(&body);
        Scope { id: self.ids, name, sequential, body, from, to }
    }

    /// Whether the layers directly in a body are named by their positions, as in a `sequential`.
    fn is_sequence(&self, body: &[Item]) -> bool {
        let (mut number, mut any) = (0, false);
        for (i, item) in body.iter().enumerate() {
            match item {
                Item::Op(id) => {
                    let before_linear =
                        matches!(body.get(i + 1), Some(Item::Op(next)) if matches!(self.net.node(*next).op, Op::Linear(_)));
                    // a linear layer flattens its input
                    if matches!(self.net.node(*id).op, Op::Flatten) && before_linear {
                        continue;
                    }
                    if let Some(leaf) = self.paths.get(*id).and_then(|path| path.last()) {
                        any = true;
                        if *leaf != number.to_string() {
                            return false;
                        }
                    }
                    number += 1;
                }
                Item::Join(_) | Item::Scope(_) => number += 1,
                Item::Irregular(_) => return false,
                Item::Output(_) | Item::Side(_) => {}
            }
        }
        any
    }

    /// Groups the arms of an item in the scope `prefix`.
    fn group_arms(&mut self, item: Item, prefix: &[String]) -> Item {
        match item {
            Item::Join(Join { node, from, arms }) => {
                let whole = Join { node, from, arms };
                let main = match tree::shortcut(self.net, &whole) {
                    Some(slot) => Some(1 - slot),
                    None => (!matches!(self.net.node(node).op, Op::Concat)).then_some(0),
                };
                let is_shortcut = tree::shortcut(self.net, &whole).is_some();
                let ends = self.net.node(node).operands.clone();
                let arms: Vec<Vec<Item>> = whole
                    .arms
                    .into_iter()
                    .zip(ends)
                    .enumerate()
                    .map(
                        |(slot, (arm, end))| {
                            if main == Some(slot) { self.body(arm, prefix, from) } else { self.arm(arm, prefix, from, end) }
                        },
                    )
                    .collect();
                let numbered =
                    |arm: &Vec<Item>| matches!(&arm[..], [Item::Scope(Scope { name: Some(name), .. })] if ends_in_digit(name));
                let one = !is_shortcut && arms.iter().filter(|arm| !arm.is_empty()).count() == 1 && arms.iter().any(numbered);
                let join = Item::Join(Join { node, from, arms });
                // such as a dense layer: a block without its own scope
                if one { Item::Scope(self.scope(None, vec![join], from, node)) } else { join }
            }
            Item::Side(mut side) => {
                let end = side.body.iter().rev().find_map(Item::value).unwrap_or(side.from);
                side.body = self.arm(side.body, prefix, side.from, end);
                Item::Side(side)
            }
            other => other,
        }
    }

    /// The items of a side path, in a single scope if it contains all layers.
    fn arm(&mut self, arm: Vec<Item>, prefix: &[String], from: Id, to: Id) -> Vec<Item> {
        let depth = prefix.len();
        let names = self.names(&arm);
        let part = names.first().and_then(|path| path.get(depth)).cloned();
        match part {
            Some(part) if names.iter().all(|p| p.len() > depth + 1 && p.starts_with(prefix) && p[depth] == part) => {
                let deeper: Path = prefix.iter().cloned().chain([part.clone()]).collect();
                let body = self.body(arm, &deeper, from);
                vec![Item::Scope(self.scope(Some(part), body, from, to))]
            }
            _ => self.body(arm, prefix, from),
        }
    }
}
