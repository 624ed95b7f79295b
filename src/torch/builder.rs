//! How modules are constructed: from their layers, as sequences, and with a block's shortcut as a module of its own.

use std::collections::{HashMap, HashSet};

use super::error::TorchError;
use super::expr::{Arg, Expr};
use super::functions::Functions;
use super::names;
use super::op::Use;
use super::scope::{Holder, Item, ModuleId, Tree};
use crate::ir::{NodeId, Op};

/// Maximum number of places in a sequence filled by `nn.Identity`.
const MAX_GAPS: usize = 2;

/// The shortcut of a class whose instances have a module there in some cases and the block's input in others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ShortcutSlot {
    /// Index of the step before which the shortcut is taken: it reads the value that is current there.
    pub at: usize,
    /// The module's name.
    pub key: String,
}

/// The shortcut of a block.
pub(super) struct Arm {
    pub add: NodeId,
    /// `None` if the shortcut is the block's input.
    pub module: Option<ArmModule>,
}

pub(super) struct ArmModule {
    pub steps: Vec<Item>,
    pub slot: ShortcutSlot,
}

pub(super) struct Builder<'t, 'a> {
    pub tree: &'t Tree<'a>,
    /// How each module is constructed; `None` if not known yet.
    pub constructors: Vec<Option<Expr>>,
    /// The probability of dropping a block's path (stochastic depth), keyed by the addition.
    pub drops: HashMap<NodeId, f64>,
    /// Names of values in the source.
    pub labels: HashMap<NodeId, String>,
    /// Elementwise functions that the file defines.
    pub functions: Functions,
    /// Values that are named outputs.
    pub outputs: HashSet<NodeId>,
    /// The layer whose output features are the network's classes.
    classes: Option<NodeId>,
}

impl<'t, 'a> Builder<'t, 'a> {
    pub fn new(tree: &'t Tree<'a>, drops: HashMap<NodeId, f64>, functions: Functions) -> Builder<'t, 'a> {
        let checked = tree.checked;
        let mut labels = HashMap::new();
        let outputs: Vec<_> = checked.graph().outputs().iter().filter(|(name, _)| name != "output").collect();
        for (name, value) in outputs.iter().copied().chain(&checked.network.labeled) {
            let last = name.rsplit('.').next().unwrap_or(name);
            if names::is_local(last) && !functions.contains(last) {
                labels.entry(value.node).or_insert_with(|| last.to_owned());
            }
        }
        let main = checked.graph().outputs().first().map(|(_, value)| value.node);
        let linear = |id: NodeId| match &checked.graph().node(id).op {
            Op::Linear(linear) => Some(linear.features),
            _ => None,
        };
        // auxiliary classifiers have the same number, but one parameter would not apply to them
        let classes =
            main.filter(|&id| linear(id).is_some() && outputs.iter().all(|(_, v)| v.node == id || linear(v.node) != linear(id)));
        let outputs = outputs.into_iter().map(|(_, value)| value.node).collect();
        Builder {
            tree,
            constructors: (0..tree.modules.len()).map(|_| None).collect(),
            drops,
            labels,
            functions,
            outputs,
            classes,
        }
    }

    /// A node in terms of PyTorch.
    pub fn op(&self, id: NodeId) -> Use<'_> {
        Use::of(self.tree.checked, &self.functions, id, self.classes == Some(id))
    }

    /// The number of classes, if the final layer is constructed in the network's own class.
    pub fn classes(&self) -> Option<usize> {
        match &self.tree.checked.graph().node(self.classes?).op {
            Op::Linear(linear) => Some(linear.features),
            _ => None,
        }
    }

    /// How a part of a module is constructed.
    pub fn make(&self, item: Item) -> Result<Expr, TorchError> {
        let fails =
            |node: &str| TorchError::Unsupported { node: node.to_owned(), reason: "it has no equivalent in PyTorch".to_owned() };
        match item {
            Item::Node(id) => self.op(id).layer().ok_or_else(|| fails(&self.op(id).node.name)),
            Item::Call(module) => match &self.constructors[module] {
                Some(constructor) => Ok(constructor.clone()),
                None => self.holder(module),
            },
        }
    }

    /// A module that only holds its parts.
    fn holder(&self, id: ModuleId) -> Result<Expr, TorchError> {
        let (holder, parts) = self.tree.held(id);
        let parts: Vec<(String, Expr)> =
            parts.into_iter().map(|(key, item)| Ok((key, self.make(item)?))).collect::<Result<_, TorchError>>()?;
        Ok(match holder {
            Holder::List => {
                let items = parts.into_iter().map(|(_, constructor)| constructor).collect();
                Expr::call("nn.ModuleList", vec![Arg::plain(Expr::List(items))])
            }
            Holder::Dict => Expr::call("nn.ModuleDict", vec![Arg::plain(Expr::Dict(parts))]),
            Holder::Scope => Expr::call("Scope", vec![Arg::plain(Expr::Dict(parts))]),
        })
    }

    /// A module that runs its steps in sequence, if `nn.Sequential` can give them the same names.
    pub fn sequence(&self, id: ModuleId) -> Option<Expr> {
        let module = &self.tree.modules[id];
        let ([mut current], [last]) = (<[NodeId; 1]>::try_from(&module.reads[..]).ok()?, &module.yields[..]) else { return None };
        let items = self.tree.items(id);
        let mut list = Vec::new();
        for &item in &items {
            let results = self.tree.results(item);
            if self.tree.operands(item) != [current] || results.len() != 1 || current == *last {
                return None;
            }
            current = results[0];
            list.push(match item {
                Item::Node(node) => self.op(node).module()?,
                Item::Call(child) => self.constructors[child].clone()?,
            });
        }
        if current != *last {
            return None;
        }
        let number = |key: &str| key.parse::<usize>().ok().filter(|n| n.to_string() == key);
        let keys: Vec<&str> = items.iter().map(|&item| self.tree.key(item)).collect();
        if items.iter().zip(&keys).all(|(item, key)| number(key).is_some() || !self.tree.is_named(*item)) {
            let (mut args, mut place, mut gaps) = (Vec::new(), 0, 0);
            for (constructor, key) in list.into_iter().zip(&keys) {
                while number(key).is_some_and(|n| n > place) && gaps < MAX_GAPS {
                    args.push(Arg::plain(Expr::call("nn.Identity", Vec::new())));
                    (place, gaps) = (place + 1, gaps + 1);
                }
                if number(key).is_some_and(|n| n != place) {
                    return None;
                }
                args.push(Arg::plain(constructor));
                place += 1;
            }
            return Some(Expr::call("nn.Sequential", args));
        }
        let is_plain = |(item, key): (&Item, &&str)| self.tree.is_named(*item) && names::is_attribute(key);
        if self.tree.unit(id).is_none() && items.iter().zip(&keys).all(is_plain) {
            let args = keys.iter().zip(list).map(|(key, constructor)| Arg::key(key, constructor)).collect();
            return Some(Expr::call("nn.Sequential", vec![Arg::plain(Expr::call("OrderedDict", args))]));
        }
        None
    }

    /// The shortcut of a module that is a residual block.
    pub fn arm(&self, id: ModuleId) -> Option<Arm> {
        let module = &self.tree.modules[id];
        let &[x] = &module.reads[..] else { return None };
        let items = self.tree.items(id);
        let graph = self.tree.checked.graph();
        let add = items.iter().rev().find_map(|item| match item {
            Item::Node(node) if graph.node(*node).op.is_add() && graph.operands(*node).len() == 2 => Some(*node),
            _ => None,
        })?;
        let mut value = graph.operands(add)[1].node;
        if value == x {
            return Some(Arm { add, module: None });
        }
        // a single module, or functions
        let (mut steps, mut key) = (Vec::new(), "shortcut".to_owned());
        while value != x {
            let item = *items.iter().find(|item| self.tree.results(**item).contains(&value))?;
            let operands = self.tree.operands(item);
            let is_alone = operands.len() == 1 && self.tree.results(item).len() == 1 && graph_uses(self.tree, value) == 1;
            let named = self.tree.is_named(item);
            let fits = is_alone
                && match item {
                    Item::Node(node) if !named => self.op(node).module().is_some(),
                    Item::Node(_) | Item::Call(_) => steps.is_empty(),
                };
            if !fits {
                break;
            }
            steps.insert(0, item);
            value = operands[0];
            if named {
                self.tree.key(item).clone_into(&mut key);
                break;
            }
        }
        if steps.is_empty() || !names::is_attribute(&key) {
            return None;
        }
        let others: Vec<Item> = items.iter().copied().filter(|item| !steps.contains(item)).collect();
        let at = match others.iter().position(|item| self.tree.results(*item) == [value]) {
            Some(i) => i + 1,
            None if value == x => 0,
            None => return None,
        };
        Some(Arm { add, module: Some(ArmModule { steps, slot: ShortcutSlot { at, key } }) })
    }

    /// How the module of a shortcut is constructed.
    pub fn make_arm(&self, arm: &ArmModule) -> Result<Expr, TorchError> {
        if let [item] = arm.steps[..]
            && self.tree.is_named(item)
        {
            return self.make(item);
        }
        let module = |item: &Item| match item {
            Item::Node(node) => self.op(*node).module(),
            Item::Call(_) => None,
        };
        let mut list: Vec<Expr> = arm.steps.iter().filter_map(module).collect();
        if list.len() == 1 {
            return Ok(list.remove(0));
        }
        Ok(Expr::call("nn.Sequential", list.into_iter().map(Arg::plain).collect()))
    }
}

/// How often a value is read, including as an output.
fn graph_uses(tree: &Tree<'_>, value: NodeId) -> usize {
    let graph = tree.checked.graph();
    graph.users(value).len() + graph.outputs().iter().filter(|(_, v)| v.node == value).count()
}
