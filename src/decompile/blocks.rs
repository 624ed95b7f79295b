//! Finds blocks: bodies that differ only in numbers become one block with parameters, and runs of it become stages.

use std::collections::{HashMap, HashSet};

use super::attrs::{self, Val};
use super::group::Path;
use super::irregular::{self, Line};
use super::names;
use super::net::{Id, Net};
use super::stage::{ByIndex, by_index};
use super::standard::Standard;
use super::stmt::{Arm, Expr, Hole, Name, Param, Stmt, push_op, unify};
use super::tree::{self, Item, Join, Scope};
use crate::ir::{Op, Pair};

/// A block of the recovered source.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub name: String,
    pub params: Vec<Param>,
    pub stmts: Vec<Stmt>,
    pub exprs: Vec<Expr>,
    /// Whether it is in the standard library, so that it is not written.
    pub standard: bool,
    /// The number of statements before the value that a projection reads, if that is not the block's input.
    pub project_from: Option<usize>,
    /// Whether it has an `add shortcut`.
    pub residual: bool,
    /// For each call in it, the scopes of all instances of the call.
    pub calls: Vec<Vec<usize>>,
}

/// The shortcut of one instance of a block.
#[derive(Clone, Debug)]
pub(super) struct Residual {
    /// The block's input, and the value that the shortcut is added to.
    pub x: Id,
    pub f: Id,
    /// The product of the strides on the path.
    pub stride: Pair,
    pub arm: Vec<Item>,
    /// See [`Block::project_from`].
    pub project_from: Option<usize>,
    /// The depth at which the names of its layers begin.
    pub depth: usize,
}

/// A use of a block.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub block: usize,
    pub args: Vec<Val>,
    pub from: Id,
    pub to: Id,
    pub residual: Option<Residual>,
    /// Whether it is a standard residual block without its shortcut.
    pub plain: bool,
}

/// Consecutive calls of the same block.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub label: Option<String>,
    pub block: usize,
    pub calls: Vec<Call>,
}

/// The statements of a body, and their numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Built {
    pub stmts: Vec<Stmt>,
    pub holes: Vec<Hole>,
    /// The scopes of the calls in it, in text order.
    pub calls: Vec<usize>,
    pub residual: Option<Residual>,
}

pub(super) struct Blocks<'n> {
    pub net: &'n Net,
    pub paths: &'n [Path],
    pub blocks: Vec<Block>,
    /// By scope.
    pub calls: HashMap<usize, Call>,
    pub runs: Vec<Run>,
    /// Scopes that are written inline, since their body only occurs once.
    inline: HashSet<usize>,
}

/// A scope, with its position in the tree of scopes.
struct ScopeInfo<'i> {
    scope: &'i Scope,
    /// The number of named scopes around its layers.
    depth: usize,
    /// The number of levels of scopes inside it.
    height: usize,
    /// Whether it is a whole arm of a join.
    arm: bool,
}

/// Bodies with equal statements, and whether all of them are arms.
type Class<'i> = (Vec<Stmt>, Vec<(&'i Scope, Built)>, bool);

impl<'n> Blocks<'n> {
    /// Finds the blocks of a network, and its body that uses them.
    pub fn find(net: &'n Net, paths: &'n [Path], items: &[Item], standard: &mut Standard) -> (Blocks<'n>, Built) {
        let mut inline = HashSet::new();
        loop {
            let mut found = Blocks { net, paths, blocks: Vec::new(), calls: HashMap::new(), runs: Vec::new(), inline };
            found.classes(items, standard);
            found.runs = Vec::new();
            let mut body = Built::default();
            found.body(items, 0, false, "", &mut body);
            // a block that is used only once is written inline
            let mut uses = vec![0usize; found.blocks.len()];
            let mut seen = vec![false; found.blocks.len()];
            found.count(&body.stmts, &mut uses, &mut seen);
            let single: Vec<usize> = (0..found.blocks.len()).filter(|&b| uses[b] < 2 && !found.blocks[b].residual).collect();
            if single.is_empty() {
                return (found, body);
            }
            // every iteration has fewer scopes that are blocks
            inline = std::mem::take(&mut found.inline);
            inline.extend(found.calls.iter().filter(|(_, call)| single.contains(&call.block)).map(|(scope, _)| *scope));
        }
    }

    /// Counts how many times each block is used in the text.
    fn count(&self, stmts: &[Stmt], uses: &mut [usize], seen: &mut [bool]) {
        let enter = |this: &Self, block: usize, times: usize, uses: &mut [usize], seen: &mut [bool]| {
            uses[block] += times;
            if !std::mem::replace(&mut seen[block], true) && !this.blocks[block].standard {
                this.count(&this.blocks[block].stmts, uses, seen);
            }
        };
        for stmt in stmts {
            match stmt {
                Stmt::Call { block, .. } => enter(self, *block, 1, uses, seen),
                Stmt::Run(run) => {
                    let run = &self.runs[*run];
                    // a run of a single call still counts as a stage
                    enter(self, run.block, run.calls.len().max(2), uses, seen);
                }
                Stmt::Scope { body, .. } | Stmt::Side { body, .. } => self.count(body, uses, seen),
                Stmt::Join { arms, .. } => arms.iter().for_each(|arm| self.count(&arm.body, uses, seen)),
                Stmt::Op { .. } | Stmt::Shortcut | Stmt::Irregular(_) | Stmt::Output(_) => {}
            }
        }
    }

    /// Creates blocks, from the innermost scopes outward.
    fn classes(&mut self, items: &[Item], standard: &mut Standard) {
        let mut places = Vec::new();
        gather(self.net, items, 0, &mut places);
        let highest = places.iter().map(|p| p.height).max().unwrap_or(0);
        for height in 0..=highest {
            let mut classes: Vec<Class<'_>> = Vec::new();
            for place in places.iter().filter(|p| p.height == height) {
                if self.inline.contains(&place.scope.id) || self.run(place.scope).is_some() {
                    continue;
                }
                let mut built = Built::default();
                self.body(&place.scope.body, place.depth, true, "", &mut built);
                match classes.iter_mut().find(|(stmts, ..)| *stmts == built.stmts) {
                    Some((_, members, arms)) => {
                        members.push((place.scope, built));
                        *arms &= place.arm;
                    }
                    None => classes.push((built.stmts.clone(), vec![(place.scope, built)], place.arm)),
                }
            }
            for (stmts, members, arms) in classes {
                // bodies that only occur in arms are most readable inline
                let wanted = members.len() > 1 && !arms || stmts.contains(&Stmt::Shortcut);
                if wanted && !small(&stmts) && !fixed(&stmts) {
                    self.make(&members, standard);
                }
            }
        }
    }

    /// Creates a block from bodies with equal statements.
    fn make(&mut self, members: &[(&Scope, Built)], standard: &mut Standard) -> Option<()> {
        let (_, first) = members.first()?;
        let residual = first.residual.is_some();
        let project_from = members.iter().filter_map(|(_, b)| b.residual.as_ref()?.project_from).max();
        let found = standard.block(self.net, members);
        let plain = found.as_ref().is_some_and(|f| f.residual && !residual);
        let (block, args) = match found {
            Some(found) => (
                Block {
                    name: found.name.to_string(),
                    params: found.params,
                    stmts: first.stmts.clone(),
                    exprs: Vec::new(),
                    standard: true,
                    project_from: None,
                    residual: found.residual,
                    calls: Vec::new(),
                },
                found.args,
            ),
            None => {
                let holes: Vec<&[Hole]> = members.iter().map(|(_, built)| &built.holes[..]).collect();
                let unified = unify(&holes)?;
                let name = self.block_name(members);
                let stmts = first.stmts.clone();
                let (params, exprs) = (unified.params, unified.exprs);
                // equal statements contain the same number of calls
                let mut calls = vec![Vec::new(); first.calls.len()];
                for (_, built) in members {
                    calls.iter_mut().zip(&built.calls).for_each(|(all, &scope)| all.push(scope));
                }
                (Block { name, params, stmts, exprs, standard: false, project_from, residual, calls }, unified.args)
            }
        };
        // bodies with different statements may fit the same standard block
        let known = self.blocks.iter().position(|b| b.standard && block.standard && b.name == block.name);
        let at = match known {
            Some(at) if self.blocks[at].params == block.params => at,
            Some(_) => return None,
            None => {
                self.blocks.push(block);
                self.blocks.len() - 1
            }
        };
        for ((scope, built), args) in members.iter().zip(args) {
            let residual = built.residual.clone();
            self.calls.insert(scope.id, Call { block: at, args, from: scope.from, to: scope.to, residual, plain });
        }
        Some(())
    }

    /// A name for a block: that of its scopes without their numbers, or one that describes its operators.
    fn block_name(&self, members: &[(&Scope, Built)]) -> String {
        let stmts = &members[0].1.stmts;
        let convs = stmts.iter().filter(|s| matches!(s, Stmt::Op { word: "conv", .. })).count();
        let words: Vec<&str> =
            stmts.iter().filter_map(|s| if let Stmt::Op { word, .. } = s { Some(*word) } else { None }).collect();
        let arms = stmts.iter().find_map(|s| if let Stmt::Join { word: "concat", arms } = s { Some(arms) } else { None });
        let scope = members.iter().filter_map(|(scope, _)| scope.name.as_deref()).next().unwrap_or("");
        let stem = scope.trim_end_matches(|c: char| c.is_ascii_lowercase() && scope.chars().any(|c| c.is_ascii_digit()));
        let stem = stem.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_');
        let name = if stmts.contains(&Stmt::Shortcut) {
            match (words.first(), convs) {
                (Some(&"batchnorm"), _) => "pre_residual",
                (_, 2) => "pair",
                (_, 3) => "bottleneck",
                _ => "residual",
            }
            .to_string()
        } else if let [Stmt::Join { arms, .. }] = &stmts[..]
            && let Some(Name::Numbered(stem)) = arms.iter().map(|a| &a.name).find(|n| matches!(n, Name::Numbered(_)))
        {
            stem.clone()
        } else if stem.len() > 2 && !names::is_reserved(stem) && scope.len() > stem.len() {
            stem.to_string()
        } else if let Some(arms) = arms {
            if arms.iter().filter(|a| !a.body.is_empty()).count() > 1 { "parallel_paths" } else { "dense_layer" }.to_string()
        } else if words.len() == stmts.len() && words.len() <= 4 {
            words.join("_").replace("batchnorm", "norm")
        } else {
            "unit".to_string()
        };
        let name = names::word(&name, "unit");
        let taken = |name: &str| names::is_reserved(name) || self.blocks.iter().any(|b| b.name == name);
        if !taken(&name) {
            return name;
        }
        (2..).map(|n| format!("{name}_{n}")).find(|name| !taken(name)).unwrap_or(name)
    }

    /// The run of a scope whose children `0`, `1`, … are calls of the same block.
    fn run(&self, scope: &Scope) -> Option<Run> {
        let mut calls = Vec::new();
        for (i, item) in scope.body.iter().enumerate() {
            let Item::Scope(inner) = item else { return None };
            if inner.name.as_deref() != Some(&i.to_string()[..]) {
                return None;
            }
            calls.push(self.calls.get(&inner.id)?.clone());
        }
        let run = Run { label: scope.name.clone(), block: calls.first()?.block, calls };
        let label = scope.name.as_deref()?;
        (self.is_run(&run) && label.parse::<usize>().is_err()).then_some(run)
    }

    /// Whether a stage or repeat can express these calls.
    fn is_run(&self, run: &Run) -> bool {
        // arguments can only be compared if the block is the same
        if run.calls.iter().any(|call| call.block != run.block) {
            return false;
        }
        let mut varying = 0;
        let fits = self.columns(run).all(|(param, column)| match by_index(&column) {
            Some(ByIndex::Same(_)) => true,
            // a stage has a single value of `filters`
            _ if param.name == "filters" => false,
            // two different values are not a pattern
            Some(ByIndex::First(..)) if run.calls.len() == 2 && !matches!(&param.name[..], "stride" | "dilation") => false,
            Some(_) => {
                varying += 1;
                true
            }
            None => false,
        });
        fits && varying <= 3
    }

    /// The parameters of a run's block, each with its argument in every call.
    pub fn columns<'r>(&'r self, run: &'r Run) -> impl Iterator<Item = (&'r Param, Vec<Val>)> {
        let params = &self.blocks[run.block].params;
        params
            .iter()
            .enumerate()
            .map(|(p, param)| (param, run.calls.iter().filter_map(|call| call.args.get(p).copied()).collect()))
    }

    /// The statements of a body as a block, without calls of other blocks, for comparisons.
    pub fn expanded(net: &'n Net, paths: &'n [Path], items: &[Item], depth: usize) -> Built {
        let (calls, inline) = (HashMap::new(), HashSet::new());
        let mut found = Blocks { net, paths, blocks: Vec::new(), calls, runs: Vec::new(), inline };
        let mut out = Built::default();
        found.body(items, depth, true, "", &mut out);
        out
    }

    /// Converts the items of a body to statements. In a block, the first sum that can be a shortcut is written as one.
    pub fn body(&mut self, items: &[Item], depth: usize, is_block: bool, arm: &str, out: &mut Built) {
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
                    if let Some(run) = self.unnamed_run(&items[i..]) {
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

    /// The run of consecutive unnamed scopes with the same block, if there are several.
    fn unnamed_run(&self, items: &[Item]) -> Option<Run> {
        let of = |item: &Item| match item {
            Item::Scope(Scope { id, name: None, .. }) => self.calls.get(id).cloned(),
            _ => None,
        };
        let mut calls: Vec<Call> = Vec::new();
        for call in items.iter().map_while(of) {
            if calls.first().is_some_and(|first| first.block != call.block) {
                break;
            }
            calls.push(call);
        }
        let mut run = Run { label: None, block: calls.first()?.block, calls };
        while run.calls.len() > 1 && !self.is_run(&run) {
            run.calls.pop();
        }
        (run.calls.len() > 1).then_some(run)
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
            }));
            out.calls.push(scope.id);
            out.stmts.push(Stmt::Call { block: call.block, label: scope.name.clone() });
            return;
        }
        if let Some(run) = self.run(scope) {
            self.runs.push(run);
            out.stmts.push(Stmt::Run(self.runs.len() - 1));
            return;
        }
        let mut inner = Built::default();
        let deeper = if depth == NO_NAMES { NO_NAMES } else { depth + usize::from(scope.name.is_some()) };
        self.body(&scope.body, deeper, false, arm, &mut inner);
        out.holes.append(&mut inner.holes);
        out.calls.append(&mut inner.calls);
        let Some(name) = &scope.name else {
            out.stmts.append(&mut inner.stmts);
            return;
        };
        // `stages.0.blocks` becomes a single label
        let label = |stmt: &Stmt| match stmt {
            Stmt::Run(run) => self.runs[*run].label.clone(),
            _ => None,
        };
        let labels: Option<Vec<String>> = inner.stmts.iter().map(label).collect();
        let whole = labels.filter(|l| l.len() == 1 || l.iter().any(|l| !names::is_path(l)));
        if let Some(labels) = whole {
            for (stmt, label) in inner.stmts.iter().zip(labels) {
                if let Stmt::Run(run) = stmt {
                    self.runs[*run].label = Some(format!("{name}.{label}"));
                }
            }
            out.stmts.append(&mut inner.stmts);
            return;
        }
        out.stmts.push(Stmt::Scope { name: name.clone(), sequential: scope.sequential, body: inner.stmts });
    }

    /// Converts a join that is not a shortcut.
    fn join(&mut self, join: &Join, depth: usize, out: &mut Built) {
        let node = self.net.node(join.node);
        let (word, is_concat) = (node.op.word(), matches!(node.op, Op::Concat));
        let single = join.arms.iter().filter(|arm| !arm.is_empty()).count() == 1;
        // the first arm of a concatenation may have no scope although all others have one
        let scoped = |arm: &Vec<Item>| arm.is_empty() || named(arm, depth).1.is_some();
        let unscoped = join.arms.split_first().is_some_and(|(first, rest)| !scoped(first) && rest.iter().all(scoped));
        let mut arms = Vec::new();
        for (slot, items) in join.arms.iter().enumerate() {
            let mut inner = Built::default();
            // the first arm of a sum or product continues the main path
            let main = slot == 0 && (!is_concat || unscoped && depth != NO_NAMES);
            let (name, scope, deeper) = if main { (None, None, depth) } else { named(items, depth) };
            let name = match name {
                None if main && is_concat => Name::Main,
                None => Name::Any,
                Some(name) => match name.trim_end_matches(|c: char| c.is_ascii_digit()) {
                    stem if is_concat && single && stem.len() < name.len() && !stem.is_empty() => {
                        let number = name[stem.len()..].parse::<i64>().unwrap_or(0);
                        let key = "number".to_string();
                        out.holes.push(Hole { key, arm: String::new(), value: Val::Int(number), default: false });
                        Name::Numbered(stem.to_string())
                    }
                    _ => Name::Plain(name),
                },
            };
            let hint = match &name {
                Name::Plain(name) => name.clone(),
                Name::Any | Name::Main | Name::Numbered(_) => String::new(),
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
        Item::Op(id) => {
            let own = attrs::stride(&net.node(*id).op);
            *stride = [stride[0].saturating_mul(own[0]), stride[1].saturating_mul(own[1])];
        }
        Item::Scope(scope) => scope.body.iter().for_each(|item| strides(net, item, stride)),
        Item::Join(join) => {
            // of parallel arms, the last one counts; branches do not count
            let main = if matches!(net.node(join.node).op, Op::Concat) { join.arms.last() } else { join.arms.first() };
            main.into_iter().flatten().for_each(|item| strides(net, item, stride));
        }
        Item::Irregular(_) | Item::Output(_) | Item::Side(_) => {}
    }
}

/// Whether a body is too short to be a block.
fn small(stmts: &[Stmt]) -> bool {
    match stmts {
        [] | [Stmt::Op { .. }] => true,
        [Stmt::Scope { body, .. }] => small(body),
        [Stmt::Call { .. }] => true,
        _ => false,
    }
}

/// Whether a body contains statements that are only allowed in a network.
fn fixed(stmts: &[Stmt]) -> bool {
    stmts.iter().any(|stmt| match stmt {
        Stmt::Run(_) | Stmt::Output(_) | Stmt::Side { .. } => true,
        Stmt::Irregular(lines) => lines.iter().any(|line| matches!(line, Line::Output { .. })),
        Stmt::Scope { body, .. } => fixed(body),
        Stmt::Join { arms, .. } => arms.iter().any(|arm| fixed(&arm.body)),
        Stmt::Op { .. } | Stmt::Call { .. } | Stmt::Shortcut => false,
    })
}

/// Collects all scopes, and returns the number of levels.
fn gather<'i>(net: &Net, items: &'i [Item], depth: usize, out: &mut Vec<ScopeInfo<'i>>) -> usize {
    let mut highest = 0;
    for item in items {
        highest = highest.max(match item {
            Item::Scope(scope) => {
                let inner = depth + usize::from(scope.name.is_some());
                let height = gather(net, &scope.body, inner, out);
                out.push(ScopeInfo { scope, depth: inner, height, arm: false });
                height + 1
            }
            Item::Join(join) => {
                // the shortcut belongs to its policy
                let shortcut = tree::shortcut(net, join);
                let arms = join.arms.iter().enumerate().filter(|(slot, _)| Some(*slot) != shortcut);
                let gather_arm = |(_, arm): (usize, &'i Vec<Item>)| {
                    let height = gather(net, arm, depth, out);
                    if let ([Item::Scope(_)], Some(last)) = (&arm[..], out.last_mut()) {
                        last.arm = true;
                    }
                    height
                };
                arms.map(gather_arm).max().unwrap_or(0)
            }
            Item::Side(side) => gather(net, &side.body, depth, out),
            Item::Op(_) | Item::Irregular(_) | Item::Output(_) => 0,
        });
    }
    highest
}
