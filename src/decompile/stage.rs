//! Stages: their shortcut policies, and the change in feature map size.

use super::attrs::{self, Val};
use super::blocks::{Block, Blocks, Call, Residual, Run};
use super::body::{Built, expanded};
use super::net::Net;
use super::standard::Standard;
use super::stmt::{Hole, Stmt};
use super::unify::{Expr, Instance, Param, unify};
use crate::ir::{Dim, Op, Shape};

/// A shortcut policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    Identity,
    Pad {
        split: bool,
    },
    /// `unit`: the projection block as written; `None` for the default.
    Projection {
        unit: Option<String>,
        always: bool,
    },
    None,
}

impl Policy {
    /// As written in the source.
    pub fn text(&self) -> String {
        match self {
            Policy::Identity => "identity".to_string(),
            Policy::Pad { split: false } => "pad".to_string(),
            Policy::Pad { split: true } => "pad(zeros: split)".to_string(),
            Policy::Projection { unit, always } => {
                let mut args = Vec::new();
                if *always {
                    args.push("when: always".to_string());
                }
                args.extend(unit.as_ref().map(|unit| format!("unit: {unit}")));
                if args.is_empty() { "projection".to_string() } else { format!("projection({})", args.join(", ")) }
            }
            Policy::None => "none".to_string(),
        }
    }

    /// The order of preference.
    fn rank(&self) -> usize {
        match self {
            Policy::Identity => 0,
            Policy::Projection { always: false, .. } => 1,
            Policy::Pad { split: false } => 2,
            Policy::Pad { split: true } => 3,
            Policy::Projection { always: true, .. } => 4,
            Policy::None => 5,
        }
    }
}

/// The policies of a network's residual blocks.
pub(super) struct Policies {
    /// The policy of most blocks.
    pub main: Policy,
    /// Projection blocks that the source defines.
    pub blocks: Vec<Block>,
    /// For each call, by its output: the policies that give its shortcut.
    fits: Vec<(usize, Vec<Policy>)>,
}

impl Policies {
    /// Finds the policies that give the shortcut of each call.
    pub fn find(blocks: &Blocks<'_>, standard: &mut Standard) -> Policies {
        let mut calls: Vec<&Call> = blocks.calls.values().filter(|c| c.residual.is_some() || c.plain).collect();
        calls.sort_by_key(|call| call.to);
        let residuals: Vec<&Residual> = calls.iter().filter_map(|c| c.residual.as_ref()).collect();
        let mut policies = Policies { main: Policy::Identity, blocks: Vec::new(), fits: Vec::new() };
        let projected = policies.projections(blocks, &residuals, standard);
        for call in &calls {
            let list = match &call.residual {
                None => vec![Policy::None],
                Some(residual) => {
                    let unit = projected.iter().find(|(f, _)| *f == residual.f).map(|(_, unit)| unit.clone());
                    let all: Vec<Option<String>> = projected.iter().map(|(_, unit)| unit.clone()).collect();
                    fitting(blocks.net, residual, unit, &all)
                }
            };
            policies.fits.push((call.to, list));
        }
        let mut counted: Vec<(Policy, usize)> = Vec::new();
        for (_, list) in &policies.fits {
            for policy in list {
                match counted.iter_mut().find(|(p, _)| p == policy) {
                    Some((_, n)) => *n += 1,
                    None => counted.push((policy.clone(), 1)),
                }
            }
        }
        counted.sort_by_key(|(policy, n)| (std::cmp::Reverse(*n), policy.rank()));
        if let Some((policy, _)) = counted.into_iter().next() {
            policies.main = policy;
        }
        policies
    }

    /// The `unit` of each projection, by the value that it is added to. Creates blocks for those that the library lacks.
    fn projections(&mut self, blocks: &Blocks<'_>, list: &[&Residual], standard: &mut Standard) -> Vec<(usize, Option<String>)> {
        let is_projection = |r: &&&Residual| {
            let mut convs = false;
            r.arm.iter().for_each(|item| item.nodes(&mut |id| convs |= matches!(blocks.net.node(id).op, Op::Conv(_))));
            convs
        };
        let made: Vec<(&Residual, Built, usize, i64)> = list
            .iter()
            .filter(is_projection)
            .filter_map(|r| {
                let built = expanded(blocks.net, blocks.paths, &r.arm, r.depth);
                let [h, w] = r.stride;
                let signal = attrs::is_signal(Some(&blocks.net.node(r.x).shape));
                let stride = (h == w || signal).then_some(w as i64)?;
                Some((*r, built, blocks.net.node(r.f).shape.channels()?, stride))
            })
            .collect();
        let arms: Vec<(&Built, usize, i64)> = made.iter().map(|(_, built, filters, stride)| (built, *filters, *stride)).collect();
        if arms.is_empty() {
            return Vec::new();
        }
        let signal = attrs::is_signal(list.first().map(|r| &blocks.net.node(r.x).shape));
        if let Some(name) = standard.projection(&arms, signal) {
            let unit = (name != "projection").then(|| name.to_string());
            if let Some(name) = &unit {
                self.blocks.push(projection(name.clone(), Vec::new(), Vec::new(), true));
            }
            return made.iter().map(|(r, ..)| (r.f, unit.clone())).collect();
        }
        let mut out = Vec::new();
        // a kernel is none of the policy's arguments
        let mut kinds: Vec<Vec<usize>> = Vec::new();
        for (at, (_, built, ..)) in made.iter().enumerate() {
            let same = |other: &Built| other.stmts == built.stmts && own_numbers(other).eq(own_numbers(built));
            match kinds.iter_mut().find(|members| members.first().is_some_and(|&first| same(&made[first].1))) {
                Some(members) => members.push(at),
                None => kinds.push(vec![at]),
            }
        }
        for members in kinds {
            let stmts = made[members[0]].1.stmts.clone();
            let own: Vec<(&Built, usize, i64)> = members.iter().map(|&m| arms[m]).collect();
            if standard.projection(&own, signal) == Some("projection") {
                out.extend(members.iter().map(|&m| (made[m].0.f, None)));
                continue;
            }
            // the policy's arguments come first, so that other numbers can be derived from them
            let lists: Vec<Vec<Hole>> = members.iter().map(|&m| given(&made[m])).collect();
            let views: Vec<Instance<'_>> = lists.iter().map(|list| Instance { holes: list, channels: None }).collect();
            let Some(mut found) = unify(&views) else { continue };
            let fixed: Vec<(String, Option<Val>)> = vec![("filters".into(), None), ("stride".into(), Some(Val::Int(1)))];
            if found.params.iter().any(|p| !fixed.iter().any(|(name, _)| *name == p.name)) {
                continue;
            }
            let exprs = found.exprs.split_off(2);
            // both are parameters, even if constant
            let params: Vec<Param> =
                fixed.into_iter().map(|(name, default)| Param { is_width: name == "filters", name, default }).collect();
            let to = |e: &Expr, hole: &Hole| match e {
                Expr::Param(p, mul, div) => Expr::Param(usize::from(found.params[*p].name == "stride"), *mul, *div),
                // a constant may still be the policy's argument
                Expr::Literal(v) if hole.key == "filters" && *v == lists[0][0].value => Expr::Param(0, 1, 1),
                Expr::Literal(v) if hole.key == "stride" && *v == lists[0][1].value => Expr::Param(1, 1, 1),
                // a pool's stride, whose default is the kernel size
                Expr::Omit if hole.key == "stride" && hole.value == lists[0][1].value && hole.value != Val::Int(1) => {
                    Expr::Param(1, 1, 1)
                }
                other => other.clone(),
            };
            let exprs: Vec<Expr> = exprs.iter().zip(&lists[0][2..]).map(|(e, hole)| to(e, hole)).collect();
            let stem = match &stmts[..] {
                [Stmt::Scope { name, .. } | Stmt::Op { leaf: Some(name), .. }] if !name.starts_with("conv") => {
                    super::names::word(name.split('.').next().unwrap_or(name), "project")
                }
                _ => "project".to_string(),
            };
            let taken = |name: &str| self.blocks.iter().chain(&blocks.blocks).any(|b| b.name == name);
            let name = (1..).map(|n| if n == 1 { stem.clone() } else { format!("{stem}_{n}") }).find(|n| !taken(n));
            let Some(name) = name else { continue };
            let mut block = projection(name.clone(), stmts, exprs, false);
            block.params = params;
            let reads = |block: &Block, param: usize| block.exprs.iter().any(|e| matches!(e, Expr::Param(p, ..) if *p == param));
            if !reads(&block, 1) {
                block.params.pop();
            }
            // of a depthwise convolution
            if !reads(&block, 0) {
                block.params.remove(0);
                block.exprs.iter_mut().for_each(|e| {
                    if let Expr::Param(param, ..) = e {
                        *param -= 1;
                    }
                });
            }
            self.blocks.push(block);
            out.extend(members.iter().map(|&m| (made[m].0.f, Some(name.clone()))));
        }
        out
    }

    /// The policies that give all shortcuts of these calls.
    pub fn of(&self, calls: &[Call]) -> Vec<Policy> {
        let fits = |call: &Call| self.fits.iter().find(|(to, _)| *to == call.to).map(|(_, list)| &list[..]).unwrap_or(&[]);
        // a block whose shortcut has a condition may be used without it
        let calls: Vec<&Call> = calls.iter().filter(|call| call.residual.is_some() || call.plain).collect();
        let Some((first, rest)) = calls.split_first() else { return Vec::new() };
        fits(first).iter().filter(|p| rest.iter().all(|call| fits(call).contains(p))).cloned().collect()
    }
}

fn projection(name: String, stmts: Vec<Stmt>, exprs: Vec<Expr>, standard: bool) -> Block {
    Block {
        name,
        params: Vec::new(),
        stmts,
        exprs,
        standard,
        project_from: None,
        residual: false,
        condition: None,
        calls: Vec::new(),
    }
}

/// The numbers of a projection that are none of the policy's arguments.
fn own_numbers(built: &Built) -> impl Iterator<Item = (&str, Val)> {
    let own = built.holes.iter().filter(|hole| hole.key != "filters" && hole.key != "stride");
    own.map(|hole| (hole.key.as_str(), hole.value))
}

/// The policy's two arguments, followed by the projection's holes.
fn given((_, built, filters, stride): &(&Residual, Built, usize, i64)) -> Vec<Hole> {
    let hole = |key: &str, value: i64, default: bool| Hole {
        key: key.to_string(),
        arm: String::new(),
        value: Val::Int(value),
        default,
        is_width: key == "filters",
    };
    let mut list = vec![hole("filters", *filters as i64, false), hole("stride", *stride, *stride == 1)];
    list.extend(built.holes.iter().cloned());
    list
}

/// The policies that give this shortcut.
fn fitting(net: &Net, r: &Residual, unit: Option<Option<String>>, blocks: &[Option<String>]) -> Vec<Policy> {
    let channels = |id: usize| net.node(id).shape.channels();
    let (from, to) = (channels(r.x), channels(r.f));
    let changes = r.stride != [1, 1] || from != to;
    let mut list = Vec::new();
    if let Some(unit) = unit {
        if changes {
            list.push(Policy::Projection { unit: unit.clone(), always: false });
        }
        list.push(Policy::Projection { unit, always: true });
        return list;
    }
    let mut ops = Vec::new();
    r.arm.iter().for_each(|item| item.nodes(&mut |id| ops.push(net.node(id).op.clone())));
    for split in [false, true] {
        let mut wanted = Vec::new();
        if r.stride != [1, 1] {
            wanted.push(Op::Subsample(r.stride));
        }
        if let (Some(from), Some(to)) = (from, to)
            && to > from
        {
            let before = if split { (to - from) / 2 } else { 0 };
            wanted.push(Op::Pad(crate::ir::Pad::channels([before, to - from - before])));
        }
        if wanted == ops {
            list.push(Policy::Pad { split });
        }
    }
    if ops.is_empty() {
        list.push(Policy::Identity);
        if !changes {
            let mut all: Vec<Option<String>> = blocks.to_vec();
            all.sort();
            all.dedup();
            list.extend(all.into_iter().map(|unit| Policy::Projection { unit, always: false }));
        }
    }
    list
}

/// The change in feature map size over a run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum MapChange {
    Same,
    Halved,
    Other,
}

/// How a run changes the feature map size; `None` if its blocks have different output shapes, so that it is not a stage.
pub(super) fn map_change(net: &Net, run: &Run) -> Option<MapChange> {
    let shape = |id: usize| &net.node(id).shape;
    let (first, last) = (run.calls.first()?, run.calls.last()?);
    if run.calls.iter().any(|call| shape(call.to) != shape(first.to)) {
        return None;
    }
    let (before, after): (&Shape, &Shape) = (shape(first.from), shape(last.to));
    let (before, after) = (before.map()?, after.map()?);
    let halves = |from: &Dim, to: &Dim| from.affine(1, 2, 0) == Some(*to) || from.affine(0, 2, 0) == Some(*to);
    Some(if before == after {
        MapChange::Same
    } else if before.len() == after.len() && before.iter().zip(after).all(|(a, b)| halves(a, b)) {
        MapChange::Halved
    } else {
        MapChange::Other
    })
}
