//! Blocks: bodies that say the same but for numbers become one, with parameters; runs of it a stage.

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
    /// Whether it is the standard library's, which is not written.
    pub standard: bool,
    /// The steps before the value that a projection reads, where that is not the block's input.
    pub project_from: Option<usize>,
    /// Whether it has an `add shortcut`.
    pub residual: bool,
    /// For each call in it the scopes, those of all bodies that it stands for.
    pub calls: Vec<Vec<usize>>,
}

/// What a shortcut of one instance is made of.
#[derive(Clone, Debug)]
pub(super) struct Residual {
    /// The block's input, and the value that the shortcut is added to.
    pub x: Id,
    pub f: Id,
    /// The product of the strides on the path.
    pub stride: Pair,
    pub arm: Vec<Item>,
    /// As [`Block::project_from`].
    pub project_from: Option<usize>,
    /// How deep the names of its layers begin.
    pub depth: usize,
}

/// A block used by a scope.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub block: usize,
    pub args: Vec<Val>,
    pub from: Id,
    pub to: Id,
    pub residual: Option<Residual>,
    /// The stride that the path of a plain block has, where a standard block leaves its shortcut out.
    pub plain: bool,
}

/// Blocks of one kind, one after the other.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub label: Option<String>,
    pub block: usize,
    pub calls: Vec<Call>,
}

/// What a body was made to.
#[derive(Clone, Debug, Default)]
pub(super) struct Built {
    pub stmts: Vec<Stmt>,
    pub holes: Vec<Hole>,
    /// The scopes of the calls in it, in the order of the text.
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
    /// Scopes that are written where they stand, since their body stands at one place alone.
    inline: HashSet<usize>,
}

/// A scope with how many names are around its layers.
struct ScopeInfo<'i> {
    scope: &'i Scope,
    depth: usize,
    height: usize,
    /// Whether it is an arm of a join as a whole.
    arm: bool,
}

/// Bodies of equal steps; whether all of them are arms.
type Class<'i> = (Vec<Stmt>, Vec<(&'i Scope, Built)>, bool);

impl<'n> Blocks<'n> {
    /// Finds the blocks of a network; its body then.
    pub fn find(net: &'n Net, paths: &'n [Path], items: &[Item], standard: &mut Standard) -> (Blocks<'n>, Built) {
        let mut inline = HashSet::new();
        loop {
            let mut found = Blocks { net, paths, blocks: Vec::new(), calls: HashMap::new(), runs: Vec::new(), inline };
            found.classes(items, standard);
            found.runs = Vec::new();
            let mut body = Built::default();
            found.body(items, 0, false, "", &mut body);
            // a block that is used at one place, and once, is no block
            let mut uses = vec![0usize; found.blocks.len()];
            let mut seen = vec![false; found.blocks.len()];
            found.count(&body.stmts, &mut uses, &mut seen);
            let alone: Vec<usize> = (0..found.blocks.len()).filter(|&b| uses[b] < 2 && !found.blocks[b].residual).collect();
            if alone.is_empty() {
                return (found, body);
            }
            // each turn has fewer scopes that are blocks than the one before
            inline = std::mem::take(&mut found.inline);
            inline.extend(found.calls.iter().filter(|(_, call)| alone.contains(&call.block)).map(|(scope, _)| *scope));
        }
    }

    /// Counts at how many places of the text a block stands.
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
                    // a run of one counts as many as the stages that it may be one of
                    enter(self, run.block, run.calls.len().max(2), uses, seen);
                }
                Stmt::Scope { body, .. } | Stmt::Side { body, .. } => self.count(body, uses, seen),
                Stmt::Join { arms, .. } => arms.iter().for_each(|arm| self.count(&arm.body, uses, seen)),
                Stmt::Op { .. } | Stmt::Shortcut | Stmt::Irregular(_) | Stmt::Output(_) => {}
            }
        }
    }

    /// Makes blocks, from the innermost scopes outwards.
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
                // what stands in arms alone is read best where it stands
                let wanted = members.len() > 1 && !arms || stmts.contains(&Stmt::Shortcut);
                if wanted && !small(&stmts) && !fixed(&stmts) {
                    self.make(&members, standard);
                }
            }
        }
    }

    /// Makes a block of bodies of equal steps.
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
                // equal steps have as many calls
                let mut calls = vec![Vec::new(); first.calls.len()];
                for (_, built) in members {
                    calls.iter_mut().zip(&built.calls).for_each(|(all, &scope)| all.push(scope));
                }
                (Block { name, params, stmts, exprs, standard: false, project_from, residual, calls }, unified.args)
            }
        };
        // the same standard block may fit bodies that differ in what it does not show
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

    /// A name for a block: that of its scopes without their numbers, or one by what it does.
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

    /// The blocks of a scope whose children are `0`, `1`, … of one kind.
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

    /// Whether a stage or repeat can say these calls.
    fn is_run(&self, run: &Run) -> bool {
        // each block has parameters of its own: unlike ones are never compared argument by argument
        if run.calls.iter().any(|call| call.block != run.block) {
            return false;
        }
        let mut varying = 0;
        let fits = self.columns(run).all(|(param, column)| match by_index(&column) {
            Some(ByIndex::Same(_)) => true,
            // a stage states its filters once, for all instances
            _ if param.name == "filters" => false,
            // of two that differ one says nothing of the other
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

    /// A body as a unit, without blocks in it: for comparing.
    pub fn unit(net: &'n Net, paths: &'n [Path], items: &[Item], depth: usize) -> Built {
        let (calls, inline) = (HashMap::new(), HashSet::new());
        let mut found = Blocks { net, paths, blocks: Vec::new(), calls, runs: Vec::new(), inline };
        let mut out = Built::default();
        found.body(items, depth, true, "", &mut out);
        out
    }

    /// Makes statements of the steps of a body. In a unit the first sum of two paths is its shortcut.
    pub fn body(&mut self, items: &[Item], depth: usize, unit: bool, arm: &str, out: &mut Built) {
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
                    let slot = tree::shortcut(self.net, join).filter(|_| unit && out.residual.is_none());
                    match slot {
                        // what the block's input alone makes is its shortcut; or a projection of what the first steps make of it
                        Some(slot) if i == 0 || !join.arms[slot].is_empty() => {
                            self.residual(&items[..i], join, slot, depth, out);
                        }
                        _ => self.join(join, depth, out),
                    }
                }
                Item::Scope(scope) => {
                    if let Some(run) = self.alike(&items[i..]) {
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

    /// The nameless scopes of one block that stand here, where they are more than one.
    fn alike(&self, items: &[Item]) -> Option<Run> {
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

    /// Whether a flattening need not be written: a linear layer behind it flattens.
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

    /// A layer's name as it is in a scope so deep.
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
        // `stages.0.blocks` is one label
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

    /// A join as its arms.
    fn join(&mut self, join: &Join, depth: usize, out: &mut Built) {
        let node = self.net.node(join.node);
        let (word, is_concat) = (node.op.word(), matches!(node.op, Op::Concat));
        let single = join.arms.iter().filter(|arm| !arm.is_empty()).count() == 1;
        // of a concatenation the first way may have no scope of its own, where all others have one
        let scoped = |arm: &Vec<Item>| arm.is_empty() || named(arm, depth).1.is_some();
        let unscoped = join.arms.split_first().is_some_and(|(first, rest)| !scoped(first) && rest.iter().all(scoped));
        let mut arms = Vec::new();
        for (slot, items) in join.arms.iter().enumerate() {
            let mut inner = Built::default();
            // the first way of a sum or product is what the current value does
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

    /// The steps of an arm: those of its one scope, or the call of a block that this scope is.
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

    /// The path of a residual block, `add shortcut`, and what the shortcut is made of.
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

/// A depth at which no name of a layer can be kept.
const NO_NAMES: usize = usize::MAX;

/// The one scope of a side path, with its name and depth; where there is none, the names of its layers cannot be kept.
fn named(items: &[Item], depth: usize) -> (Option<String>, Option<&Scope>, usize) {
    let (mut name, mut found, mut deeper): (Option<String>, Option<&Scope>, usize) = (None, None, depth);
    let mut inside = items;
    // `layer_blocks.3` is one name
    while depth != NO_NAMES
        && let [Item::Scope(scope)] = inside
        && let Some(part) = &scope.name
    {
        name = Some(name.map_or_else(|| part.clone(), |name| format!("{name}.{part}")));
        (found, deeper, inside) = (Some(scope), deeper + 1, &scope.body);
    }
    (name, found, if found.is_some() { deeper } else { NO_NAMES })
}

/// Multiplies the strides along the current value's way.
fn strides(net: &Net, item: &Item, stride: &mut Pair) {
    match item {
        Item::Op(id) => {
            let step = attrs::step(&net.node(*id).op);
            *stride = [stride[0].saturating_mul(step[0]), stride[1].saturating_mul(step[1])];
        }
        Item::Scope(scope) => scope.body.iter().for_each(|item| strides(net, item, stride)),
        Item::Join(join) => {
            // arms side by side count as their last one, a branch does not count
            let way = if matches!(net.node(join.node).op, Op::Concat) { join.arms.last() } else { join.arms.first() };
            way.into_iter().flatten().for_each(|item| strides(net, item, stride));
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

/// Whether a body holds what belongs to a network.
fn fixed(stmts: &[Stmt]) -> bool {
    stmts.iter().any(|stmt| match stmt {
        Stmt::Run(_) | Stmt::Output(_) | Stmt::Side { .. } => true,
        Stmt::Irregular(lines) => lines.iter().any(|line| matches!(line, Line::Output { .. })),
        Stmt::Scope { body, .. } => fixed(body),
        Stmt::Join { arms, .. } => arms.iter().any(|arm| fixed(&arm.body)),
        Stmt::Op { .. } | Stmt::Call { .. } | Stmt::Shortcut => false,
    })
}

/// All scopes, those inside others first to be told by their height.
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
                // what a shortcut is made of belongs to its policy
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
