//! The blocks of a recovered source, their calls, and runs of calls, which become stages.

use std::collections::{HashMap, HashSet};

use super::attrs::Val;
use super::group::Path;
use super::names;
use super::net::{Id, Net};
use super::stmt::Stmt;
use super::tree::{Item, Scope};
use super::unify::{Expr, Param};
use crate::ir::Pair;

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
    /// When it has its shortcut, if not always: `stride == 1 and in_channels == filters`.
    pub condition: Option<String>,
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
    /// Whether its calls are numbered by the `sequential` that it is in.
    pub in_sequence: bool,
}

pub(super) struct Blocks<'n> {
    pub net: &'n Net,
    pub paths: &'n [Path],
    pub blocks: Vec<Block>,
    /// By scope.
    pub calls: HashMap<usize, Call>,
    pub runs: Vec<Run>,
    /// Scopes that are written inline, since their body only occurs once.
    pub inline: HashSet<usize>,
    /// Whether the body of a block is converted, which cannot have the runs of a network.
    pub in_block: bool,
    /// Whether the next body is that of a `sequential`, where calls have numbers as names.
    pub in_sequence: bool,
}

/// An argument of a run of blocks, as a function of the block index.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum ByIndex {
    Same(Val),
    /// The value of the first block, and that of all others.
    First(Val, Val),
    /// `a + b * i`.
    Linear(i64, i64),
}

/// The argument as a function of the block index, if it is a simple one.
pub(super) fn by_index(column: &[Val]) -> Option<ByIndex> {
    let (first, rest) = column.split_first()?;
    if rest.iter().all(|v| v == first) {
        return Some(ByIndex::Same(*first));
    }
    if rest.len() > 1 && rest.iter().all(|v| *v == rest[0]) {
        return Some(ByIndex::First(*first, rest[0]));
    }
    let numbers: Option<Vec<i64>> = column.iter().map(Val::as_int).collect();
    if let Some(numbers) = numbers {
        let step = numbers[1].checked_sub(numbers[0])?;
        if numbers.len() > 2 && numbers.windows(2).all(|w| w[1].checked_sub(w[0]) == Some(step)) {
            return Some(ByIndex::Linear(numbers[0], step));
        }
    }
    (rest.len() == 1).then(|| ByIndex::First(*first, rest[0]))
}

impl Run {
    /// Whether its label is one only after the name of the scope around it: `1` in `features.1`.
    pub fn needs_prefix(&self) -> bool {
        self.label.as_deref().is_some_and(|label| !names::is_path(label))
    }
}

impl<'n> Blocks<'n> {
    /// No blocks yet. Scopes that are `inline` do not become blocks.
    pub fn new(net: &'n Net, paths: &'n [Path], inline: HashSet<usize>) -> Blocks<'n> {
        Blocks {
            net,
            paths,
            blocks: Vec::new(),
            calls: HashMap::new(),
            runs: Vec::new(),
            inline,
            in_block: false,
            in_sequence: false,
        }
    }

    /// The run of a scope whose children `0`, `1`, … are calls of the same block.
    pub fn run(&self, scope: &Scope) -> Option<Run> {
        let mut calls = Vec::new();
        for (i, item) in scope.body.iter().enumerate() {
            let Item::Scope(inner) = item else { return None };
            if inner.name.as_deref() != Some(&i.to_string()[..]) {
                return None;
            }
            calls.push(self.calls.get(&inner.id)?.clone());
        }
        let run = Run { label: scope.name.clone(), block: calls.first()?.block, calls, in_sequence: false };
        (scope.name.is_some() && self.is_run(&run)).then_some(run)
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

    /// The run of consecutive scopes with the same block, if there are several: scopes without a name, or those of a `sequential`.
    pub fn unnamed_run(&self, items: &[Item], in_sequence: bool) -> Option<Run> {
        let of = |item: &Item| match item {
            Item::Scope(Scope { id, name, .. }) if name.is_some() == in_sequence => self.calls.get(id).cloned(),
            _ => None,
        };
        let mut calls: Vec<Call> = Vec::new();
        for call in items.iter().map_while(of) {
            if calls.first().is_some_and(|first| first.block != call.block) {
                break;
            }
            calls.push(call);
        }
        let mut run = Run { label: None, block: calls.first()?.block, calls, in_sequence };
        while run.calls.len() > 1 && !self.is_run(&run) {
            run.calls.pop();
        }
        (run.calls.len() > 1).then_some(run)
    }
}
