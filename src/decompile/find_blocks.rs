//! Finds blocks: bodies that differ only in numbers become one block with parameters, and runs of it become stages.

use std::collections::HashSet;

use super::attrs::Val;
use super::blocks::{Block, Blocks, Call};
use super::body::Built;
use super::group::Path;
use super::names;
use super::net::Net;
use super::standard::Standard;
use super::stmt::{ACTIVATION, Line, Name, Stmt};
use super::tree::{self, Item, Scope};
use super::unify::{Instance, Unified, unify};

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

/// Finds the blocks of a network, and its body that uses them.
pub(super) fn find_blocks<'n>(net: &'n Net, paths: &'n [Path], items: &[Item], standard: &mut Standard) -> (Blocks<'n>, Built) {
    let mut inline = HashSet::new();
    loop {
        let mut found = Blocks::new(net, paths, inline);
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

impl Blocks<'_> {
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
                Stmt::Op { .. } | Stmt::Activation | Stmt::Shortcut | Stmt::Irregular(_) | Stmt::Output(_) => {}
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
                self.in_block = true;
                self.body(&place.scope.body, place.depth, true, "", &mut built);
                self.in_block = false;
                match classes.iter_mut().find(|(stmts, ..)| *stmts == built.stmts) {
                    Some((_, members, arms)) => {
                        members.push((place.scope, built));
                        *arms &= place.arm;
                    }
                    None => classes.push((built.stmts.clone(), vec![(place.scope, built)], place.arm)),
                }
            }
            for (stmts, members, arms) in self.optional_shortcuts(classes, standard) {
                // bodies that only occur in arms are most readable inline
                let wanted = members.len() > 1 && !arms || stmts.contains(&Stmt::Shortcut);
                if wanted && !small(&stmts) && !fixed(&stmts) {
                    self.make(&members, standard);
                }
            }
        }
    }

    /// Creates blocks from bodies that differ in whether they have their shortcut, if their sizes tell which have it; returns the
    /// other classes.
    fn optional_shortcuts<'i>(&mut self, mut classes: Vec<Class<'i>>, standard: &mut Standard) -> Vec<Class<'i>> {
        let mut at = 0;
        while at < classes.len() {
            let Some((other, members)) = without_shortcut(&classes, at) else {
                at += 1;
                continue;
            };
            if self.make(&members, standard).is_none() {
                at += 1;
                continue;
            }
            let mut index = 0..;
            classes.retain(|_| index.next().is_some_and(|i| i != at && i != other));
            at -= usize::from(other < at);
        }
        classes
    }

    /// Creates a block from bodies with equal statements, of which some may lack the shortcut of the others.
    fn make(&mut self, members: &[(&Scope, Built)], standard: &mut Standard) -> Option<()> {
        let full = members.iter().find(|(_, built)| built.residual.is_some());
        let (_, first) = full.or(members.first())?;
        let residual = full.is_some();
        let is_optional = residual && members.iter().any(|(_, built)| built.residual.is_none());
        let project_from = members.iter().filter_map(|(_, b)| b.residual.as_ref()?.project_from).max();
        let found = if is_optional { None } else { standard.block(self.net, members) };
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
                    condition: None,
                    calls: Vec::new(),
                },
                found.args,
            ),
            None => {
                let instances: Vec<Instance<'_>> = members.iter().map(|(scope, built)| self.instance(scope, built)).collect();
                let unified = unify(&instances)?;
                let condition = if is_optional { Some(condition(members, &instances, &unified)?) } else { None };
                let name = self.block_name(&first.stmts, members);
                let stmts = first.stmts.clone();
                let (params, exprs) = (unified.params, unified.exprs);
                // equal statements contain the same number of calls
                let mut calls = vec![Vec::new(); first.calls.len()];
                for (_, built) in members {
                    calls.iter_mut().zip(&built.calls).for_each(|(all, &scope)| all.push(scope));
                }
                (Block { name, params, stmts, exprs, standard: false, project_from, residual, condition, calls }, unified.args)
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

    /// Whether a residual block has a depthwise convolution after another one.
    fn is_inverted(&self, stmts: &[Stmt]) -> bool {
        let mut convs = Vec::new();
        self.convs(stmts, &mut convs);
        convs.first().is_some_and(|first| *first == "conv") && convs.contains(&"depthwise")
    }

    /// The convolutions of the main path, with those of the blocks in it.
    fn convs<'s>(&'s self, stmts: &'s [Stmt], out: &mut Vec<&'s str>) {
        for stmt in stmts {
            match stmt {
                Stmt::Op { word, .. } if matches!(&word[..], "conv" | "depthwise") => out.push(word),
                Stmt::Scope { body, .. } => self.convs(body, out),
                Stmt::Call { block, .. } => self.convs(&self.blocks[*block].stmts, out),
                _ => {}
            }
        }
    }

    fn instance<'m>(&self, scope: &Scope, built: &'m Built) -> Instance<'m> {
        let channels = |id: usize| i64::try_from(self.net.node(id).shape.channels()?).ok();
        let channels = channels(scope.from).zip(channels(scope.to)).map(|(from, to)| [from, to]);
        Instance { holes: &built.holes, channels }
    }

    /// A name for a block: that of its scopes without their numbers, or one that describes its operators.
    fn block_name(&self, stmts: &[Stmt], members: &[(&Scope, Built)]) -> String {
        let convs =
            stmts.iter().filter(|s| matches!(s, Stmt::Op { word, .. } if matches!(&**word, "conv" | "depthwise"))).count();
        let words = stmts.iter().filter_map(|stmt| match stmt {
            Stmt::Op { word, .. } => Some(word.as_str()),
            Stmt::Activation => Some(activation(members)),
            _ => None,
        });
        let words: Vec<&str> = words.collect();
        let arms = stmts.iter().find_map(|s| match s {
            Stmt::Join { word, arms } if word == "concat" => Some(arms),
            _ => None,
        });
        let scope = members.iter().filter_map(|(scope, _)| scope.name.as_deref()).next().unwrap_or("");
        let stem = scope.trim_end_matches(|c: char| c.is_ascii_lowercase() && scope.chars().any(|c| c.is_ascii_digit()));
        let stem = stem.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_');
        let name = if stmts.contains(&Stmt::Shortcut) {
            match (words.first(), convs) {
                (Some(&"batchnorm"), _) => "pre_residual",
                _ if self.is_inverted(stmts) => "inverted_residual",
                (_, 2) => "pair",
                (_, 3) => "bottleneck",
                _ => "residual",
            }
            .to_string()
        } else if let [Stmt::Join { arms, .. }] = stmts
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
        let is_function = |name: &str| self.net.functions.iter().any(|function| function.name == name);
        let taken = |name: &str| names::is_reserved(name) || is_function(name) || self.blocks.iter().any(|b| b.name == name);
        if !taken(&name) {
            return name;
        }
        (2..).map(|n| format!("{name}_{n}")).find(|name| !taken(name)).unwrap_or(name)
    }
}

/// The class whose bodies only lack the identity shortcut of those of another, and the members of both in the order of the network.
fn without_shortcut<'i>(classes: &[Class<'i>], at: usize) -> Option<(usize, Vec<(&'i Scope, Built)>)> {
    let (stmts, members, _) = &classes[at];
    let is_identity = |(_, built): &(&Scope, Built)| built.residual.as_ref().is_some_and(|r| r.arm.is_empty());
    if !stmts.contains(&Stmt::Shortcut) || fixed(stmts) || !members.iter().all(is_identity) {
        return None;
    }
    let plain: Vec<&Stmt> = stmts.iter().filter(|stmt| **stmt != Stmt::Shortcut).collect();
    let other = classes.iter().position(|(stmts, ..)| stmts.iter().eq(plain.iter().copied()))?;
    let mut all: Vec<(&Scope, Built)> = members.iter().chain(&classes[other].1).cloned().collect();
    all.sort_by_key(|(scope, _)| scope.to);
    Some((other, all))
}

/// The activation of all these bodies in the name of a block.
fn activation(members: &[(&Scope, Built)]) -> &'static str {
    let mut all = members.iter().flat_map(|(_, built)| &built.holes).filter_map(|hole| match hole.value {
        Val::Word(name) if hole.key == ACTIVATION => Some(name),
        _ => None,
    });
    let first = all.next().unwrap_or("act");
    if all.all(|name| name == first) { first } else { "act" }
}

/// The condition under which the bodies of a block have their shortcut; `None` if their sizes do not tell.
fn condition(members: &[(&Scope, Built)], instances: &[Instance<'_>], unified: &Unified) -> Option<String> {
    let stride = unified.params.iter().position(|param| param.name == "stride");
    let keeps_map = |args: &[Val]| stride.is_none_or(|stride| args[stride] == Val::Int(1));
    let keeps_width = |instance: &Instance<'_>| instance.channels.is_some_and(|[from, to]| from == to);
    let each = members.iter().zip(instances).zip(&unified.args);
    let fits = |(((_, built), instance), args): ((&(&Scope, Built), &Instance<'_>), &Vec<Val>)| {
        built.residual.is_some() == (keeps_map(args) && keeps_width(instance))
    };
    if !each.into_iter().all(fits) {
        return None;
    }
    let constant = || {
        let [_, first] = instances.first()?.channels?;
        let is_same = |instance: &Instance<'_>| instance.channels.is_some_and(|[_, result]| result == first);
        instances.iter().all(is_same).then(|| first.to_string())
    };
    let width = format!("in_channels == {}", unified.result_width(instances).or_else(constant)?);
    Some(if stride.is_some() { format!("stride == 1 and {width}") } else { width })
}

/// Whether a body is too short to be a block.
fn small(stmts: &[Stmt]) -> bool {
    match stmts {
        [] | [Stmt::Op { .. } | Stmt::Activation] => true,
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
        Stmt::Op { .. } | Stmt::Activation | Stmt::Call { .. } | Stmt::Shortcut => false,
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
