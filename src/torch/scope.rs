//! Derives modules from layer names: `layer2.0.conv1` is in a module `0` of a module `layer2`. Operators without parameters are
//! placed by their own names.
//!
//! A module whose values enter once and leave once is called as a whole. If values leave and enter again (such as the lateral
//! convolutions of a feature pyramid, all of them in one scope), the module only holds its layers, and the enclosing module calls
//! them.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use super::error::TorchError;
use super::expr::Expr;
use super::names;
use crate::ir::{Checked, NodeId, Op};

pub(super) type ModuleId = usize;

/// The network itself.
pub(super) const ROOT: ModuleId = 0;

/// A named part of the network.
#[derive(Debug, Default)]
pub(super) struct Module {
    /// The components of its name; empty for the network.
    pub path: Vec<String>,
    parent: ModuleId,
    /// Direct submodules, in order of their first node.
    pub children: Vec<ModuleId>,
    /// Nodes directly in it, operands first.
    pub own: Vec<NodeId>,
    /// Nodes in it and in its submodules, operands first.
    pub all: Vec<NodeId>,
    /// Whether it is called as a whole.
    pub called: bool,
    /// Values it reads from outside, in order of use.
    pub reads: Vec<NodeId>,
    /// Values that are read outside, or are outputs.
    pub yields: Vec<NodeId>,
}

impl Module {
    /// The last component of its name.
    pub fn key(&self) -> &str {
        self.path.last().map_or("", String::as_str)
    }
}

/// A step of a module's computation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Item {
    Node(NodeId),
    Call(ModuleId),
}

/// How a module that only holds others is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// Keys 0, 1, 2, …
    List,
    Dict,
    /// Keys that `ModuleDict` does not accept.
    Scope,
}

pub(super) struct Tree<'a> {
    pub checked: &'a Checked,
    pub modules: Vec<Module>,
    /// By node: the position in execution order.
    position: Vec<usize>,
    /// By node: the module that contains it.
    module_of: Vec<ModuleId>,
}

impl<'a> Tree<'a> {
    pub fn of(checked: &'a Checked) -> Result<Tree<'a>, TorchError> {
        let graph = checked.graph();
        if let Some(value) = graph.further_result() {
            let reason = "it has several results".to_owned();
            return Err(TorchError::Unsupported { node: graph.node(value.node).name.clone(), reason });
        }
        let order = graph.order();
        let mut position = vec![0; graph.bound()];
        order.iter().enumerate().for_each(|(i, id)| position[id.index()] = i);
        let root = Module { called: true, ..Module::default() };
        let mut tree = Tree { checked, modules: vec![root], position, module_of: vec![ROOT; graph.bound()] };
        tree.layers(&order)?;
        for &id in &order {
            tree.place_flatten(id);
        }
        for &id in &order {
            let mut at = tree.module_of[id.index()];
            tree.modules[at].own.push(id);
            loop {
                tree.modules[at].all.push(id);
                if at == ROOT {
                    break;
                }
                at = tree.modules[at].parent;
            }
        }
        for id in 1..tree.modules.len() {
            tree.connect(id);
        }
        tree.modules[ROOT].reads = graph.inputs().to_vec();
        let mut seen = HashSet::new();
        let outputs = graph.outputs().iter().map(|(_, value)| value.node);
        tree.modules[ROOT].yields = outputs.filter(|id| seen.insert(*id)).collect();
        for id in 0..tree.modules.len() {
            if id != ROOT && tree.is_apart(id) {
                tree.modules[id].called = false;
            }
            if tree.modules[id].called {
                while let Err(stuck) = tree.sorted(id) {
                    tree.modules[stuck].called = false;
                }
            }
        }
        Ok(tree)
    }

    /// Creates the modules that hold parameters.
    fn layers(&mut self, order: &[NodeId]) -> Result<(), TorchError> {
        let graph = self.checked.graph();
        let mut known: HashMap<Vec<String>, ModuleId> = HashMap::from([(Vec::new(), ROOT)]);
        let mut layers: HashSet<Vec<String>> = HashSet::new();
        let fails = |node: &str, reason: &str| TorchError::Unsupported { node: node.to_owned(), reason: reason.to_owned() };
        for &id in order {
            let node = graph.node(id);
            if node.params.is_empty() {
                continue;
            }
            let path: Vec<String> = node.name.split('.').map(str::to_owned).collect();
            if path.iter().any(String::is_empty) {
                return Err(fails(&node.name, "a component of its name is empty"));
            }
            if let Some(part) = path.iter().find(|part| names::is_impossible(part)) {
                let reason = format!("a module sets its own attribute `{part}`, so that no layer in it can have that name");
                return Err(fails(&node.name, &reason));
            }
            let mut at = ROOT;
            for depth in 1..path.len() {
                let prefix = &path[..depth];
                at = match known.get(prefix) {
                    Some(&id) => id,
                    None => {
                        let id = self.modules.len();
                        let path = prefix.to_vec();
                        self.modules.push(Module { path, parent: at, ..Module::default() });
                        self.modules[at].children.push(id);
                        known.insert(prefix.to_vec(), id);
                        id
                    }
                };
            }
            self.module_of[id.index()] = at;
            if !layers.insert(path) {
                return Err(fails(&node.name, "two layers have this name"));
            }
        }
        if let Some(both) = layers.iter().find(|path| known.contains_key(*path)) {
            return Err(fails(&both.join("."), "its name is also the scope of other layers"));
        }
        for &id in order {
            let node = graph.node(id);
            if !node.params.is_empty() || matches!(node.op, Op::Input(_)) {
                continue;
            }
            let path: Vec<String> = node.name.split('.').map(str::to_owned).collect();
            let module = (0..path.len()).rev().find_map(|depth| known.get(&path[..depth]));
            self.module_of[id.index()] = module.copied().unwrap_or(ROOT);
        }
        Ok(())
    }

    /// Flattening before a sequence belongs to the caller, as in torchvision: it takes no number there.
    fn place_flatten(&mut self, id: NodeId) {
        let graph = self.checked.graph();
        if graph.node(id).op != Op::Flatten {
            return;
        }
        let Some(x) = graph.operands(id).first().copied() else { return };
        let module = self.module_of[id.index()];
        if module != ROOT && !self.is_within(x.node, module) {
            self.module_of[id.index()] = self.modules[module].parent;
        }
    }

    fn is_within(&self, node: NodeId, module: ModuleId) -> bool {
        let mut at = self.module_of[node.index()];
        while at != ROOT && at != module {
            at = self.modules[at].parent;
        }
        at == module
    }

    /// Determines what a module reads and yields, and whether it can be called as a whole.
    fn connect(&mut self, id: ModuleId) {
        let graph = self.checked.graph();
        let all: HashSet<NodeId> = self.modules[id].all.iter().copied().collect();
        let outputs: HashSet<NodeId> = graph.outputs().iter().map(|(_, value)| value.node).collect();
        let (mut reads, mut yields, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
        for &node in &self.modules[id].all {
            for x in graph.operands(node) {
                if !all.contains(&x.node) && seen.insert(x.node) {
                    reads.push(x.node);
                }
            }
            if outputs.contains(&node) || graph.users(node).iter().any(|(user, _)| !all.contains(user)) {
                yields.push(node);
            }
        }
        // a path that leaves and enters again ends before the last node inside
        let last = self.modules[id].all.iter().map(|n| self.position[n.index()]).max().unwrap_or(0);
        let mut open: Vec<NodeId> = yields.clone();
        let mut outside = HashSet::new();
        let mut reenters = false;
        while let Some(node) = open.pop() {
            for (user, _) in graph.users(node) {
                let is_inside = all.contains(&user);
                reenters |= is_inside && !all.contains(&node);
                if !is_inside && self.position[user.index()] < last && outside.insert(user) {
                    open.push(user);
                }
            }
        }
        let module = &mut self.modules[id];
        module.called = !reenters && !reads.is_empty() && !yields.is_empty();
        (module.reads, module.yields) = (reads, yields);
    }

    /// Whether a module has several parts of which none reads another, so that it only holds them.
    fn is_apart(&self, id: ModuleId) -> bool {
        let mut items = Vec::new();
        self.gather(id, &mut items);
        let all: HashSet<NodeId> = self.modules[id].all.iter().copied().collect();
        items.len() > 1 && items.iter().all(|item| self.is_named(*item) && self.operands(*item).iter().all(|x| !all.contains(x)))
    }

    /// The steps of a module, operands first.
    pub fn items(&self, id: ModuleId) -> Vec<Item> {
        self.sorted(id).unwrap_or_default()
    }

    /// Fails with a direct submodule that cannot be called as a whole because of a cyclic dependency.
    fn sorted(&self, id: ModuleId) -> Result<Vec<Item>, ModuleId> {
        let graph = self.checked.graph();
        let mut items = Vec::new();
        self.gather(id, &mut items);
        let mut by_node: HashMap<NodeId, usize> = HashMap::new();
        for (i, item) in items.iter().enumerate() {
            let nodes = match item {
                Item::Node(node) => std::slice::from_ref(node),
                Item::Call(module) => &self.modules[*module].all[..],
            };
            by_node.extend(nodes.iter().map(|&node| (node, i)));
        }
        let mut waiting = vec![0usize; items.len()];
        let mut users: Vec<Vec<usize>> = vec![Vec::new(); items.len()];
        for (i, item) in items.iter().enumerate() {
            let before: HashSet<usize> = self.operands(*item).iter().filter_map(|x| by_node.get(x).copied()).collect();
            waiting[i] = before.len();
            before.into_iter().for_each(|b| users[b].push(i));
        }
        let first = |i: usize| match items[i] {
            Item::Node(node) => self.position[node.index()],
            Item::Call(module) => self.modules[module].all.first().map_or(0, |n| self.position[n.index()]),
        };
        let mut ready: BinaryHeap<Reverse<(usize, usize)>> =
            (0..items.len()).filter(|&i| waiting[i] == 0).map(|i| Reverse((first(i), i))).collect();
        let mut sorted = Vec::with_capacity(items.len());
        while let Some(Reverse((_, i))) = ready.pop() {
            sorted.push(items[i]);
            for &user in &users[i] {
                waiting[user] -= 1;
                if waiting[user] == 0 {
                    ready.push(Reverse((first(user), user)));
                }
            }
        }
        if sorted.len() == items.len() {
            sorted.retain(|item| !matches!(item, Item::Node(n) if matches!(graph.node(*n).op, Op::Input(_))));
            return Ok(sorted);
        }
        let stuck = items.iter().enumerate().filter(|(i, _)| waiting[*i] > 0).filter_map(|(_, item)| match item {
            Item::Call(module) => Some(*module),
            Item::Node(_) => None,
        });
        Err(stuck.max_by_key(|&m| self.modules[m].all.len()).unwrap_or(ROOT))
    }

    fn gather(&self, id: ModuleId, out: &mut Vec<Item>) {
        let module = &self.modules[id];
        out.extend(module.own.iter().map(|&node| Item::Node(node)));
        for &child in &module.children {
            if self.modules[child].called {
                out.push(Item::Call(child));
            } else {
                self.gather(child, out);
            }
        }
    }

    /// The values that a step reads.
    pub fn operands(&self, item: Item) -> Vec<NodeId> {
        match item {
            Item::Node(node) => self.checked.graph().operands(node).iter().map(|x| x.node).collect(),
            Item::Call(module) => self.modules[module].reads.clone(),
        }
    }

    /// The values that a step yields.
    pub fn results(&self, item: Item) -> Vec<NodeId> {
        match item {
            Item::Node(node) => vec![node],
            Item::Call(module) => self.modules[module].yields.clone(),
        }
    }

    /// The last component of a layer's name.
    pub fn key(&self, item: Item) -> &str {
        match item {
            Item::Node(node) => self.checked.graph().node(node).name.rsplit('.').next().unwrap_or(""),
            Item::Call(module) => self.modules[module].key(),
        }
    }

    /// Whether a step is a layer or a module, with parameters and therefore a name that matters.
    pub fn is_named(&self, item: Item) -> bool {
        match item {
            Item::Node(node) => !self.checked.graph().node(node).params.is_empty(),
            Item::Call(_) => true,
        }
    }

    /// The parts of a module with their keys, in order.
    pub fn parts(&self, id: ModuleId) -> Vec<(String, Item)> {
        let module = &self.modules[id];
        let layers = module.own.iter().map(|&node| Item::Node(node)).filter(|item| self.is_named(*item));
        let mut list: Vec<Item> = layers.chain(module.children.iter().map(|&child| Item::Call(child))).collect();
        list.sort_by_key(|item| match item {
            Item::Node(node) => self.position[node.index()],
            Item::Call(child) => self.modules[*child].all.first().map_or(0, |n| self.position[n.index()]),
        });
        list.into_iter().map(|item| (self.key(item).to_owned(), item)).collect()
    }

    /// The parts of a module that is not called, in the order in which they are written, and the kind of holder.
    pub fn held(&self, id: ModuleId) -> (Holder, Vec<(String, Item)>) {
        let mut parts = self.parts(id);
        let number = |key: &str| key.parse::<usize>().ok().filter(|n| n.to_string() == key);
        if parts.iter().all(|(key, _)| number(key).is_some()) {
            parts.sort_by_key(|(key, _)| number(key));
            if parts.iter().enumerate().all(|(i, (key, _))| number(key) == Some(i)) {
                return (Holder::List, parts);
            }
        }
        let is_dict = parts.iter().all(|(key, _)| names::is_key(key));
        (if is_dict { Holder::Dict } else { Holder::Scope }, parts)
    }

    /// How a module accesses a step inside it, or inside modules that it only holds.
    pub fn member(&self, level: ModuleId, item: Item) -> Expr {
        let depth = self.modules[level].path.len();
        let container = match item {
            Item::Node(node) => self.module_of[node.index()],
            Item::Call(module) => self.modules[module].parent,
        };
        // the holders on the path, outermost first
        let mut holders = Vec::new();
        let mut at = container;
        while self.modules[at].path.len() > depth {
            holders.push(at);
            at = self.modules[at].parent;
        }
        holders.reverse();
        let keys: Vec<&str> = holders.iter().map(|&m| self.modules[m].key()).chain([self.key(item)]).collect();
        let mut parts = vec![Expr::Member(keys[0].to_owned())];
        for (holder, key) in holders.iter().zip(&keys[1..]) {
            parts.push(Expr::text(match self.held(*holder).0 {
                Holder::List => format!("[{key}]"),
                Holder::Dict => format!("[{}]", names::quoted(key)),
                Holder::Scope => format!("._modules[{}]", names::quoted(key)),
            }));
        }
        if parts.len() == 1 { parts.remove(0) } else { Expr::Seq(parts) }
    }

    /// The source block that a module is an instance of.
    pub fn unit(&self, id: ModuleId) -> Option<&str> {
        let graph = self.checked.graph();
        let name = self.modules[id].path.join(".");
        // the outermost expansion in this scope, which must be the same for all nodes
        let of = |node: &NodeId| graph.frames(graph.node(*node).origin.frame).filter(|(_, frame)| frame.scope == name).last();
        let (frame, unit) = of(self.modules[id].all.first()?)?;
        self.modules[id].all.iter().all(|node| of(node).is_some_and(|(other, _)| other == frame)).then_some(unit.unit.as_str())
    }
}
