//! Writes irregular regions statement by statement: the main path along the current value, and everything else as branches with labels.

use std::collections::{HashMap, HashSet};

use super::attrs::Statement;
use super::group::Path;
use super::names;
use super::net::{Id, Net};
use super::stmt::{Hole, Label, Line, OpStmt};
use super::tree::Irregular;

/// The nodes of the main path, after the first value up to the last one.
pub(super) fn main_path(net: &Net, irregular: &Irregular) -> Vec<Id> {
    // the nodes that depend on the region's first value: other inputs do not
    let mut dependents: HashSet<Id> = HashSet::from([irregular.from]);
    for &id in &irregular.nodes {
        if net.node(id).operands.iter().any(|o| dependents.contains(o)) {
            dependents.insert(id);
        }
    }
    let mut main = Vec::new();
    let mut id = irregular.to;
    while id != irregular.from {
        main.push(id);
        let operands = &net.node(id).operands;
        // the first operand is the current value; for a sum it may be the second
        let next = match operands[..] {
            [first, second] if net.node(id).op.is_add() && !dependents.contains(&first) => Some(second),
            [first, ..] => Some(first),
            [] => None,
        };
        match next {
            Some(next) if dependents.contains(&next) => id = next,
            _ => break,
        }
    }
    main.reverse();
    main
}

/// Writes the lines of an irregular region. `paths` has the layers' names, if they can be preserved, and the depth of the scope.
pub(super) fn lines(net: &Net, irregular: &Irregular, paths: Option<(&[Path], usize)>, holes: &mut Vec<Hole>) -> Vec<Line> {
    let main = main_path(net, irregular);
    let mut builder = Builder {
        net,
        paths,
        on_main: main.iter().copied().collect(),
        next: std::iter::once(irregular.from).chain(main.iter().copied()).zip(main.iter().copied()).collect(),
        from: irregular.from,
        users: HashMap::new(),
        outputs: irregular.outputs.iter().map(|&output| (net.outputs[output].1, output)).collect(),
        main,
        labels: HashMap::new(),
        holes,
        out: Vec::new(),
    };
    for &id in &irregular.nodes {
        for (slot, &operand) in net.node(id).operands.iter().enumerate() {
            builder.users.entry(operand).or_default().push((id, slot));
        }
    }
    builder.run(irregular);
    builder.out
}

struct Builder<'n, 's> {
    net: &'n Net,
    paths: Option<(&'n [Path], usize)>,
    main: Vec<Id>,
    on_main: HashSet<Id>,
    /// For each value of the main path, the next node on it.
    next: HashMap<Id, Id>,
    from: Id,
    users: HashMap<Id, Vec<(Id, usize)>>,
    outputs: Vec<(Id, usize)>,
    labels: HashMap<Id, usize>,
    holes: &'s mut Vec<Hole>,
    out: Vec<Line>,
}

impl Builder<'_, '_> {
    fn is_output(&self, id: Id) -> bool {
        self.outputs.iter().any(|(value, _)| *value == id)
    }

    /// The next node of a branch: the single user of its value, if that is not on the main path and has no other operand.
    fn continuation(&self, id: Id) -> Option<Id> {
        let &[(user, _)] = &self.users.get(&id)?[..] else { return None };
        let fits = !self.on_main.contains(&user) && self.net.node(user).operands.len() == 1 && !self.is_output(id);
        fits.then_some(user)
    }

    /// Whether a value of the main path needs a label, since it is not only read as the current value.
    fn needs_label(&self, id: Id) -> bool {
        let read = |&(user, slot): &(Id, usize)| {
            if self.on_main.contains(&user) {
                let first = self.net.node(user).operands.iter().position(|o| self.next.get(o) == Some(&user));
                first != Some(slot)
            } else {
                // a branch is written after the last preceding node of the main path
                let current = self.main.iter().copied().take_while(|&w| w < user).last().unwrap_or(self.from);
                slot != 0 || current != id
            }
        };
        self.is_output(id) || self.users.get(&id).into_iter().flatten().any(read)
    }

    fn label(&mut self, id: Id) -> usize {
        let label = self.labels.len();
        self.labels.insert(id, label);
        label
    }

    fn mark(&mut self, id: Id) {
        let label = self.label(id);
        self.out.push(Line::Mark(label));
        self.add_outputs(id, label);
    }

    /// Adds the outputs that a labeled value is.
    fn add_outputs(&mut self, id: Id, label: usize) {
        for &(value, output) in &self.outputs {
            if value == id {
                self.out.push(Line::Output { output, label });
            }
        }
    }

    fn labeled(&self, id: Id) -> Label {
        match self.labels.get(&id) {
            Some(label) => Label::Local(*label),
            None => Label::Input(self.net.node(id).name.clone()),
        }
    }

    fn statement(&mut self, id: Id, others: Vec<Id>, leaf: Option<String>) -> OpStmt {
        let Statement { word, expression, arguments } = self.net.statement(id);
        let others = others.into_iter().map(|o| self.labeled(o)).collect();
        let keys = arguments.iter().map(|attr| attr.key.clone()).collect();
        self.holes.extend(arguments.into_iter().map(Hole::of));
        OpStmt { word, expression, keys, leaf, others }
    }

    fn run(&mut self, irregular: &Irregular) {
        if self.needs_label(irregular.from) {
            self.mark(irregular.from);
        }
        let off_main = irregular.nodes.iter().filter(|id| !self.on_main.contains(id));
        let continues: HashSet<Id> = off_main.filter_map(|&id| self.continuation(id)).collect();
        let mut current = irregular.from;
        for &id in &irregular.nodes {
            if self.on_main.contains(&id) {
                let mut others = self.net.node(id).operands.clone();
                if let Some(first) = others.iter().position(|o| *o == current) {
                    others.remove(first);
                }
                let leaf = self.paths.and_then(|(_, depth)| self.leaf(id, depth));
                let statement = self.statement(id, others, leaf);
                self.out.push(Line::Main(statement));
                current = id;
                if self.needs_label(id) {
                    self.mark(id);
                }
            } else if !continues.contains(&id) {
                self.branch(id, current);
            }
        }
    }

    fn branch(&mut self, id: Id, current: Id) {
        let chain: Vec<Id> = std::iter::successors(Some(id), |&id| self.continuation(id)).collect();
        let first = self.net.node(id).operands.first().copied();
        let from = first.filter(|&first| first != current).map(|first| self.labeled(first));
        let (name, cut) = self.name(&chain).unzip();
        // without a scope of their own, layers keep their names in the one around
        let scoped = cut.is_some() || !self.keeps_names(&chain);
        let cut = cut.or_else(|| self.paths.filter(|_| !scoped).map(|(_, depth)| depth));
        let mut body = Vec::new();
        for &step in &chain {
            let others = self.net.node(step).operands.iter().skip(1).copied().collect();
            let leaf = cut.and_then(|cut| self.leaf(step, cut));
            body.push(self.statement(step, others, leaf));
        }
        let last = chain.last().copied().unwrap_or(id);
        let label = self.label(last);
        self.out.push(Line::Branch { label, name, scoped, from, body });
        self.add_outputs(last, label);
    }

    /// The name of a layer within a scope at this depth.
    fn leaf(&self, id: Id, depth: usize) -> Option<String> {
        let (paths, _) = self.paths?;
        paths.get(id).filter(|path| path.len() > depth).map(|path| path[depth..].join("."))
    }

    /// Whether the layers of a branch have names, and its last statement one that others can read it by.
    fn keeps_names(&self, chain: &[Id]) -> bool {
        let Some((_, depth)) = self.paths else { return false };
        let is_label = |id: &Id| self.leaf(*id, depth).is_none_or(|leaf| names::is_path(&leaf));
        chain.iter().any(|&id| self.leaf(id, depth).is_some()) && chain.last().is_some_and(is_label)
    }

    /// The common scope of all layers of a branch, relative to this one, and the depth inside it.
    fn name(&self, chain: &[Id]) -> Option<(String, usize)> {
        let (paths, depth) = self.paths?;
        let named: Vec<&Path> = chain.iter().filter_map(|&id| paths.get(id).filter(|p| !p.is_empty())).collect();
        let first = named.first()?;
        let max_cut = named.iter().map(|p| p.len() - 1).min()?;
        let cut = (depth..max_cut).take_while(|&k| named.iter().all(|p| p[k] == first[k])).last()? + 1;
        Some((first[depth..cut].join("."), cut))
    }
}
