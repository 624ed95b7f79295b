//! Converts the items of a body to statements, with calls of the blocks found so far.

use std::collections::HashSet;

use super::attrs::{self, Val};
use super::blocks::{Blocks, Residual};
use super::group::Path;
use super::irregular;
use super::names;
use super::net::{Id, Net};
use super::stmt::{Arm, Hole, Name, Stmt, push_op};
use super::tree::{self, Item, Join, Scope};
use crate::ir::{Op, Pair};

/// The statements of a body, and their numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Built {
    pub stmts: Vec<Stmt>,
    pub holes: Vec<Hole>,
    /// The scopes of the calls in it, in text order.
    pub calls: Vec<usize>,
    pub residual: Option<Residual>,
}

/// The statements of a body as a block, without calls of other blocks, for comparisons.
pub(super) fn expanded(net: &Net, paths: &[Path], items: &[Item], depth: usize) -> Built {
    let mut out = Built::default();
    Blocks::new(net, paths, HashSet::new()).body(items, depth, true, "", &mut out);
    out
}

impl Blocks<'_> {
    /// Converts the items of a body to statements. In a block, the first sum that can be a shortcut is written as one.
    pub fn body(&mut self, items: &[Item], depth: usize, is_block: bool, arm: &str, out: &mut Built) {
        let in_sequence = std::mem::take(&mut self.in_sequence);
        let mut i = 0;
        while i < items.len() {
            let next = items.get(i + 1);
            match &items[i] {
                Item::Op(id) => {
                    if !self.implied(*id, next) {
                        push_op(self.net, *id, self.leaf(*id, depth), arm, &mut out.stmts, &mut out.holes);
                    }
                }
                Item::Join(join) => {
                    let slot = tree::shortcut(self.net, join).filter(|_| is_block && out.residual.is_none());
                    match slot {
                        // a shortcut of the block's input, or a projection of an activated value
                        Some(slot) if i == 0 || !join.arms[slot].is_empty() => {
                            self.residual(&items[..i], join, slot, depth, out);
                        }
                        _ => self.join(join, depth, out),
                    }
                }
                Item::Scope(scope) => {
                    if let Some(run) = self.unnamed_run(&items[i..], in_sequence) {
                        i += run.calls.len();
                        self.runs.push(run);
                        out.stmts.push(Stmt::Run(self.runs.len() - 1));
                        continue;
                    }
                    self.scope(scope, depth, arm, out);
                }
                Item::Irregular(irregular) => {
                    let paths = (depth != NO_NAMES).then_some((self.paths, depth));
                    out.stmts.push(Stmt::Irregular(irregular::lines(self.net, irregular, paths, &mut out.holes)));
                }
                Item::Output(output) => out.stmts.push(Stmt::Output(*output)),
                Item::Side(side) => {
                    let mut inner = Built::default();
                    let (name, scope, deeper) = named(&side.body, depth);
                    self.arm(&side.body, scope, deeper, name.as_deref().unwrap_or(""), &mut inner);
                    out.holes.append(&mut inner.holes);
                    out.calls.append(&mut inner.calls);
                    out.stmts.push(Stmt::Side { output: side.output, name, body: inner.stmts });
                }
            }
            i += 1;
        }
    }

    /// Whether a `flatten` is implied by the linear layer that follows it.
    fn implied(&self, id: Id, next: Option<&Item>) -> bool {
        fn first(item: &Item) -> Option<Id> {
            match item {
                Item::Op(id) => Some(*id),
                Item::Scope(scope) => scope.body.first().and_then(first),
                Item::Join(_) | Item::Irregular(_) | Item::Output(_) | Item::Side(_) => None,
            }
        }
        let node = self.net.node(id);
        matches!(node.op, Op::Flatten)
            && attrs::is_map(&self.net.node(node.operands[0]).shape)
            && next.and_then(first).is_some_and(|next| matches!(self.net.node(next).op, Op::Linear(_)))
    }

    /// A layer's name relative to a scope at this depth.
    fn leaf(&self, id: Id, depth: usize) -> Option<String> {
        let path = self.paths.get(id).filter(|p| p.len() > depth && depth != NO_NAMES)?;
        Some(path[depth..].join("."))
    }

    fn scope(&mut self, scope: &Scope, depth: usize, arm: &str, out: &mut Built) {
        if let Some(call) = self.calls.get(&scope.id) {
            let params = &self.blocks[call.block].params;
            out.holes.extend(params.iter().zip(&call.args).map(|(param, value)| Hole {
                key: param.name.clone(),
                arm: arm.to_string(),
                value: *value,
                default: param.default == Some(*value),
                is_width: param.is_width,
            }));
            out.calls.push(scope.id);
            out.stmts.push(Stmt::Call { block: call.block, label: scope.name.clone() });
            return;
        }
        if let Some(run) = self.run(scope).filter(|run| !(self.in_block && run.needs_prefix())) {
            self.runs.push(run);
            out.stmts.push(Stmt::Run(self.runs.len() - 1));
            return;
        }
        let mut inner = Built::default();
        let deeper = if depth == NO_NAMES { NO_NAMES } else { depth + usize::from(scope.name.is_some()) };
        let is_numbered = scope.name.is_some() && deeper != NO_NAMES && self.is_numbered(&scope.body, deeper);
        self.in_sequence = is_numbered && !self.in_block;
        self.body(&scope.body, deeper, false, arm, &mut inner);
        out.holes.append(&mut inner.holes);
        out.calls.append(&mut inner.calls);
        let Some(name) = &scope.name else {
            out.stmts.append(&mut inner.stmts);
            return;
        };
        if self.is_prefix(name, &inner.stmts) {
            self.prefix(name, &mut inner.stmts);
            out.stmts.append(&mut inner.stmts);
            return;
        }
        out.stmts.push(Stmt::Scope { name: name.clone(), sequential: scope.sequential || is_numbered, body: inner.stmts });
    }

    /// Whether scopes and layers are named by their positions, as in a `sequential`.
    fn is_numbered(&self, items: &[Item], depth: usize) -> bool {
        let is_at = |(position, item): (usize, &Item)| {
            let number = position.to_string();
            match item {
                Item::Op(id) => self.leaf(*id, depth).is_none_or(|leaf| leaf == number),
                Item::Scope(Scope { name: None, body, .. }) => is_gate(body, depth, &number),
                Item::Scope(scope) => scope.name.as_deref() == Some(&number[..]),
                Item::Join(_) => is_gate(std::slice::from_ref(item), depth, &number),
                Item::Irregular(_) | Item::Output(_) | Item::Side(_) => false,
            }
        };
        items.iter().any(|item| matches!(item, Item::Scope(_))) && items.iter().enumerate().all(is_at)
    }

    /// Whether the name of a scope with these statements becomes a part of their labels: `stages.0.blocks`, `features.1`, `head.fc`.
    fn is_prefix(&self, name: &str, stmts: &[Stmt]) -> bool {
        let run = |stmt: &Stmt| match stmt {
            Stmt::Run(run) => Some(&self.runs[*run]),
            _ => None,
        };
        let takes_prefix = |stmt: &Stmt| match stmt {
            Stmt::Run(run) => self.runs[*run].label.is_some(),
            Stmt::Call { label, .. } => label.is_some(),
            Stmt::Op { .. } | Stmt::Activation | Stmt::Scope { .. } => true,
            _ => false,
        };
        match stmts {
            [Stmt::Op { leaf: label, .. } | Stmt::Call { label, .. }] => label.is_some(),
            [Stmt::Scope { .. }] => true,
            [only] => run(only).is_some_and(|run| run.label.is_some()),
            // the stages of scopes that are numbered would have the same label
            _ => {
                let is_number = names::is_number(name) && !self.in_block;
                let mut runs = stmts.iter().filter_map(run);
                let has_stage = runs.any(|run| run.needs_prefix() || (is_number && run.label.is_some()));
                has_stage && stmts.iter().all(takes_prefix)
            }
        }
    }

    fn prefix(&mut self, name: &str, stmts: &mut [Stmt]) {
        for stmt in stmts {
            let label = match stmt {
                Stmt::Run(run) => self.runs[*run].label.as_mut(),
                Stmt::Call { label, .. } => label.as_mut(),
                Stmt::Op { leaf, .. } => leaf.as_mut(),
                Stmt::Scope { name, .. } => Some(name),
                _ => None,
            };
            if let Some(label) = label {
                *label = format!("{name}.{label}");
            }
        }
    }

    /// Converts a join that is not a shortcut.
    fn join(&mut self, join: &Join, depth: usize, out: &mut Built) {
        let node = self.net.node(join.node);
        let (word, is_concat) = (node.op.word().to_owned(), matches!(node.op, Op::Concat));
        let single = join.arms.iter().filter(|arm| !arm.is_empty()).count() == 1;
        let mut arms = Vec::new();
        for (slot, items) in join.arms.iter().enumerate() {
            let mut inner = Built::default();
            // the first arm of a sum or product continues the main path
            let main = slot == 0 && !is_concat;
            let (name, scope, deeper) = if main { (None, None, depth) } else { named(items, depth) };
            // only the paths of a join can be without a name
            let deeper = if scope.is_none() && attrs::is_join(&node.op) { depth } else { deeper };
            let name = match name {
                None => Name::None,
                Some(name) => match name.trim_end_matches(|c: char| c.is_ascii_digit()) {
                    stem if is_concat && single && stem.len() < name.len() && !stem.is_empty() => {
                        let number = name[stem.len()..].parse::<i64>().unwrap_or(0);
                        let key = "number".to_string();
                        out.holes.push(Hole {
                            key,
                            arm: String::new(),
                            value: Val::Int(number),
                            default: false,
                            is_width: false,
                        });
                        Name::Numbered(stem.to_string())
                    }
                    _ => Name::Plain(name),
                },
            };
            let hint = match &name {
                // of the widths of a gate, the last one is that of its input
                _ if node.op.is_mul() && !main => "squeeze".to_owned(),
                // all operands of a sum have the same
                Name::Plain(name) if is_concat => name.clone(),
                Name::Plain(_) | Name::None | Name::Numbered(_) => String::new(),
            };
            self.arm(items, scope, deeper, &hint, &mut inner);
            out.holes.append(&mut inner.holes);
            out.calls.append(&mut inner.calls);
            arms.push(Arm { name, body: inner.stmts });
        }
        out.stmts.push(Stmt::Join { word, arms });
    }

    /// The statements of an arm: the contents of its single scope, or the call that this scope is.
    fn arm(&mut self, items: &[Item], scope: Option<&Scope>, depth: usize, hint: &str, out: &mut Built) {
        let Some(scope) = scope else { return self.body(items, depth, false, hint, out) };
        if !self.calls.contains_key(&scope.id) {
            return self.body(&scope.body, depth, false, hint, out);
        }
        self.scope(scope, depth, hint, out);
        if let Some(Stmt::Call { label, .. }) = out.stmts.last_mut() {
            *label = None;
        }
    }

    /// Converts the path of a residual block and `add shortcut`, and records the shortcut.
    fn residual(&mut self, before: &[Item], join: &Join, slot: usize, depth: usize, out: &mut Built) {
        let path = &join.arms[1 - slot];
        let x = match before.first() {
            Some(Item::Op(id)) => self.net.node(*id).operands[0],
            _ => join.from,
        };
        let project_from = (!before.is_empty()).then_some(out.stmts.len());
        self.body(path, depth, false, "", out);
        out.stmts.push(Stmt::Shortcut);
        let mut stride = [1, 1];
        before.iter().chain(path).for_each(|item| strides(self.net, item, &mut stride));
        let f = path.iter().rev().find_map(Item::value).unwrap_or(join.from);
        out.residual = Some(Residual { x, f, stride, arm: join.arms[slot].clone(), project_from, depth });
    }
}

/// Whether items are a join of the current value with a path of this name.
fn is_gate(items: &[Item], depth: usize, name: &str) -> bool {
    match items {
        [Item::Join(Join { arms, .. })] => {
            matches!(&arms[..], [main, side] if main.is_empty() && named(side, depth).0.as_deref() == Some(name))
        }
        _ => false,
    }
}

/// Instead of a depth: layer names cannot be preserved here.
const NO_NAMES: usize = usize::MAX;

/// The single scope of a side path, with its name and depth. Without one, the names of its layers cannot be preserved.
fn named(items: &[Item], depth: usize) -> (Option<String>, Option<&Scope>, usize) {
    let (mut name, mut found, mut deeper): (Option<String>, Option<&Scope>, usize) = (None, None, depth);
    let mut inside = items;
    // `layer_blocks.3` becomes a single name
    while depth != NO_NAMES
        && let [Item::Scope(scope)] = inside
        && let Some(part) = &scope.name
    {
        name = Some(name.map_or_else(|| part.clone(), |name| format!("{name}.{part}")));
        (found, deeper, inside) = (Some(scope), deeper + 1, &scope.body);
    }
    (name, found, if found.is_some() { deeper } else { NO_NAMES })
}

/// Multiplies `stride` by the strides along the main path.
fn strides(net: &Net, item: &Item, stride: &mut Pair) {
    match item {
        Item::Op(id) => step(net, *id, stride),
        Item::Scope(scope) => scope.body.iter().for_each(|item| strides(net, item, stride)),
        Item::Irregular(irregular) => {
            irregular::main_path(net, irregular).into_iter().for_each(|id| step(net, id, stride));
        }
        Item::Join(join) => {
            // of parallel arms, the last one counts; branches do not count
            let main = if matches!(net.node(join.node).op, Op::Concat) { join.arms.last() } else { join.arms.first() };
            main.into_iter().flatten().for_each(|item| strides(net, item, stride));
        }
        Item::Output(_) | Item::Side(_) => {}
    }
}

/// Multiplies `stride` by that of a node.
fn step(net: &Net, id: Id, stride: &mut Pair) {
    let own = net.node(id).op.stride();
    *stride = [stride[0].saturating_mul(own[0]), stride[1].saturating_mul(own[1])];
}
