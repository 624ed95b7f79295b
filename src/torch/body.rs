//! What a module does, as Python: the modules that it makes, and the statements of its `forward`.

use std::collections::{HashMap, HashSet};

use super::TorchError;
use super::expr::{Arg, Expr, Hole, Role, Stmt, Val};
use super::names;
use super::op::Use;
use super::scope::{Holder, Item, ModuleId, ROOT, Tree};
use crate::ir::{NodeId, Op};

/// As many calls stand within each other in a line.
const NESTED: usize = 3;

/// So many layers that follow each other by number are made in a loop.
const LOOP: usize = 3;

/// So many places of a sequence may be filled by `nn.Identity`.
const GAPS: usize = 2;

/// The text of a module's class.
#[derive(Clone, Debug)]
pub(super) struct Body {
    /// What `forward` takes.
    pub inputs: Vec<String>,
    pub init: Vec<Stmt>,
    pub forward: Vec<Stmt>,
}

impl Body {
    /// The text without its numbers.
    pub fn skeleton(&self) -> String {
        let mut out = self.inputs.join(",");
        out.push('\n');
        self.init.iter().chain(&self.forward).for_each(|stmt| stmt.skeleton(&mut out));
        out
    }
}

/// Where a block's shortcut is a module in some instances of a class, and the block's input in others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    /// Before which of the other steps the shortcut is taken: it reads the value that is current there.
    pub at: usize,
    /// The module's name.
    pub key: String,
}

/// The shortcut of a block.
pub(super) struct Arm {
    add: NodeId,
    /// `None`: the block's input.
    pub module: Option<ArmModule>,
}

pub(super) struct ArmModule {
    steps: Vec<Item>,
    pub slot: Slot,
}

pub(super) struct Builder<'t, 'a> {
    pub tree: &'t Tree<'a>,
    /// How each module is made; `None` where that is not known yet.
    pub made: Vec<Option<Expr>>,
    /// The probability with which a block's path is dropped, by its addition.
    drops: HashMap<NodeId, f64>,
    /// What values are called in the source.
    labels: HashMap<NodeId, String>,
    /// Values that are outputs of a name.
    outputs: HashSet<NodeId>,
    /// The layer whose features are the network's classes.
    classes: Option<NodeId>,
}

impl<'t, 'a> Builder<'t, 'a> {
    pub fn new(tree: &'t Tree<'a>, drops: HashMap<NodeId, f64>) -> Builder<'t, 'a> {
        let checked = tree.checked;
        let mut labels = HashMap::new();
        let outputs: Vec<_> = checked.graph().outputs().iter().filter(|(name, _)| name != "output").collect();
        for (name, value) in outputs.iter().copied().chain(&checked.network.labelled) {
            let last = name.rsplit('.').next().unwrap_or(name);
            if names::is_variable(last) {
                labels.entry(value.node).or_insert_with(|| last.to_owned());
            }
        }
        let main = checked.graph().outputs().first().map(|(_, value)| value.node);
        let linear = |id: NodeId| match checked.graph().node(id).op {
            Op::Linear(linear) => Some(linear.features),
            _ => None,
        };
        // auxiliary classifiers have as many, which one parameter would not reach
        let classes =
            main.filter(|&id| linear(id).is_some() && outputs.iter().all(|(_, v)| v.node == id || linear(v.node) != linear(id)));
        let outputs = outputs.into_iter().map(|(_, value)| value.node).collect();
        Builder { tree, made: (0..tree.modules.len()).map(|_| None).collect(), drops, labels, outputs, classes }
    }

    fn op(&self, id: NodeId) -> Use<'a> {
        Use::of(self.tree.checked, id, self.classes == Some(id))
    }

    /// The features of the layer that ends the network, where it stands so that the network's class makes it.
    pub fn classes(&self) -> Option<usize> {
        match self.tree.checked.graph().node(self.classes?).op {
            Op::Linear(linear) => Some(linear.features),
            _ => None,
        }
    }

    /// How a part of a module is made.
    fn make(&self, item: Item) -> Result<Expr, TorchError> {
        let fails =
            |node: &str| TorchError::Unsupported { node: node.to_owned(), reason: "it has no form in PyTorch".to_owned() };
        match item {
            Item::Node(id) => self.op(id).layer().ok_or_else(|| fails(&self.op(id).node.name)),
            Item::Call(module) => match &self.made[module] {
                Some(made) => Ok(made.clone()),
                None => self.hold(module),
            },
        }
    }

    /// A module that only holds its parts.
    fn hold(&self, id: ModuleId) -> Result<Expr, TorchError> {
        let (holder, parts) = self.tree.held(id);
        let parts: Vec<(String, Expr)> =
            parts.into_iter().map(|(key, item)| Ok((key, self.make(item)?))).collect::<Result<_, TorchError>>()?;
        Ok(match holder {
            Holder::List => {
                let items = parts.into_iter().map(|(_, made)| made).collect();
                Expr::call("nn.ModuleList", vec![Arg::plain(Expr::List(items))])
            }
            Holder::Dict => Expr::call("nn.ModuleDict", vec![Arg::plain(Expr::Dict(parts))]),
            Holder::Scope => Expr::call("Scope", vec![Arg::plain(Expr::Dict(parts))]),
        })
    }

    /// A module that is its steps one after the other, under the names that `nn.Sequential` gives them.
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
                Item::Call(child) => self.made[child].clone()?,
            });
        }
        if current != *last {
            return None;
        }
        let number = |key: &str| key.parse::<usize>().ok().filter(|n| n.to_string() == key);
        let keys: Vec<&str> = items.iter().map(|&item| self.tree.key(item)).collect();
        if items.iter().zip(&keys).all(|(item, key)| number(key).is_some() || !self.tree.is_named(*item)) {
            let (mut args, mut place, mut gaps) = (Vec::new(), 0, 0);
            for (made, key) in list.into_iter().zip(&keys) {
                while number(key).is_some_and(|n| n > place) && gaps < GAPS {
                    args.push(Arg::plain(Expr::call("nn.Identity", Vec::new())));
                    (place, gaps) = (place + 1, gaps + 1);
                }
                if number(key).is_some_and(|n| n != place) {
                    return None;
                }
                args.push(Arg::plain(made));
                place += 1;
            }
            return Some(Expr::call("nn.Sequential", args));
        }
        let is_plain = |(item, key): (&Item, &&str)| self.tree.is_named(*item) && names::is_attribute(key);
        if self.tree.unit(id).is_none() && items.iter().zip(&keys).all(is_plain) {
            let args = keys.iter().zip(list).map(|(key, made)| Arg::key(key, made)).collect();
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
            Item::Node(node) if graph.node(*node).op == Op::Add && graph.operands(*node).len() == 2 => Some(*node),
            _ => None,
        })?;
        let mut value = graph.operands(add)[1].node;
        if value == x {
            return Some(Arm { add, module: None });
        }
        // one module, or functions
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
        Some(Arm { add, module: Some(ArmModule { steps, slot: Slot { at, key } }) })
    }

    /// How an arm's module is made.
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

    /// The text of a module's class. With `slot` its shortcut is one that other instances have as a module.
    pub fn body(&self, id: ModuleId, slot: Option<&Slot>) -> Result<Body, TorchError> {
        let arm = slot.and_then(|slot| Some((slot, self.arm(id)?)));
        let hidden: &[Item] = match &arm {
            Some((_, Arm { module: Some(arm), .. })) => &arm.steps,
            _ => &[],
        };
        let mut init = Vec::new();
        let mut has_slot = false;
        for (key, item) in self.tree.parts(id) {
            let mut value = if hidden.contains(&item) { Expr::text(key.clone()) } else { self.make(item)? };
            has_slot |= hidden.contains(&item);
            let reads_input = self.tree.operands(item).iter().any(|x| self.tree.modules[id].reads.contains(x));
            value.holes_mut(&mut |hole| {
                if hole.hint == "channels" && reads_input && self.is_norm(item) {
                    "in_channels".clone_into(&mut hole.hint);
                }
                if let Some(owner) = &mut hole.owner {
                    *owner = if owner.is_empty() { key.clone() } else { format!("{key}_{owner}") };
                }
            });
            init.push(Stmt::Member { key, value });
        }
        if let Some((slot, _)) = &arm
            && !has_slot
        {
            init.push(Stmt::Member { key: slot.key.clone(), value: Expr::text(slot.key.clone()) });
        }
        // the shortcut's module stands at the end, whether it is one or not
        if let Some((slot, _)) = &arm {
            init.sort_by_key(|stmt| matches!(stmt, Stmt::Member { key, .. } if *key == slot.key));
        }
        let items: Vec<Item> = self.tree.items(id).into_iter().filter(|item| !hidden.contains(item)).collect();
        let inputs = self.inputs(id);
        let mut forward = Forward {
            builder: self,
            level: id,
            vars: self.tree.modules[id].reads.iter().copied().zip(inputs.iter().cloned()).collect(),
            uses: HashMap::new(),
            pending: None,
            stmts: Vec::new(),
        };
        forward.run(&items, arm.as_ref().map(|(slot, arm)| (*slot, arm.add)))?;
        let mut body = Body { inputs, init, forward: forward.stmts };
        fold(&mut body);
        Ok(body)
    }

    fn is_norm(&self, item: Item) -> bool {
        matches!(item, Item::Node(id) if matches!(self.tree.checked.graph().node(id).op, Op::Norm(_)))
    }

    /// What `forward` calls what it takes.
    fn inputs(&self, id: ModuleId) -> Vec<String> {
        let reads = &self.tree.modules[id].reads;
        let graph = self.tree.checked.graph();
        let known = |node: &NodeId| match graph.node(*node).op {
            Op::Input(_) => Some(&graph.node(*node).name).filter(|name| *name != "input" && names::is_variable(name)),
            _ => self.labels.get(node),
        };
        let mut list: Vec<String> = Vec::new();
        for (i, read) in reads.iter().enumerate() {
            let named = known(read).filter(|name| (reads.len() > 1 || id == ROOT) && !list.contains(name)).cloned();
            list.push(named.unwrap_or_else(|| if reads.len() == 1 { "x".to_owned() } else { format!("x{}", i + 1) }));
        }
        list
    }
}

/// How often a value is read, as an output too.
fn graph_uses(tree: &Tree<'_>, value: NodeId) -> usize {
    let graph = tree.checked.graph();
    graph.users(value).len() + graph.outputs().iter().filter(|(_, v)| v.node == value).count()
}

/// A value that stands in the text of the next statement.
struct Pending {
    item: Item,
    value: NodeId,
    expr: Expr,
    /// Calls within each other.
    depth: usize,
    /// The variable that it used up.
    base: Option<String>,
    /// The variable that it reads, where it is one call of a module.
    argument: Option<String>,
    /// Whether it is a sum and the like.
    infix: bool,
}

/// The statements of a `forward` as they are written.
struct Forward<'b, 't, 'a> {
    builder: &'b Builder<'t, 'a>,
    level: ModuleId,
    vars: HashMap<NodeId, String>,
    /// How often values are still to be read.
    uses: HashMap<NodeId, usize>,
    pending: Option<Pending>,
    stmts: Vec<Stmt>,
}

impl Forward<'_, '_, '_> {
    fn run(&mut self, items: &[Item], slot: Option<(&Slot, NodeId)>) -> Result<(), TorchError> {
        let tree = self.builder.tree;
        for item in items {
            for x in tree.operands(*item) {
                *self.uses.entry(x).or_default() += 1;
            }
        }
        let module = &tree.modules[self.level];
        let yields = &module.yields;
        yields.iter().for_each(|y| *self.uses.entry(*y).or_default() += 1);
        let shortcut = slot.map(|(slot, add)| {
            let reads = match slot.at {
                0 => module.reads[0],
                n => tree.results(items[n - 1])[0],
            };
            // the addition reads the variable in place of its second operand
            let second = tree.operands(Item::Node(add))[1];
            if let Some(uses) = self.uses.get_mut(&second) {
                *uses -= 1;
            }
            *self.uses.entry(module.reads[0]).or_default() += 1;
            *self.uses.entry(reads).or_default() += 1;
            (slot, add, reads)
        });
        for (i, item) in items.iter().enumerate() {
            if let Some((slot, _, reads)) = &shortcut
                && slot.at == i
            {
                self.take_shortcut(slot, module.reads[0], *reads);
            }
            let add = shortcut.as_ref().map(|(_, add, _)| *add);
            let is_last = i + 1 == items.len() && yields.len() == 1 && tree.results(*item) == *yields;
            self.item(*item, items.get(i + 1).copied(), add, is_last && self.is_single())?;
        }
        self.flush();
        if !matches!(self.stmts.last(), Some(Stmt::Return(_))) {
            let value = self.answer();
            self.stmts.push(Stmt::Return(value));
        }
        Ok(())
    }

    /// Whether the module's value is returned by itself.
    fn is_single(&self) -> bool {
        self.level != ROOT || self.builder.tree.checked.graph().outputs().len() == 1
    }

    /// What is returned, as variables.
    fn answer(&self) -> Expr {
        let tree = self.builder.tree;
        let var = |node: &NodeId| Expr::text(self.vars.get(node).cloned().unwrap_or_default());
        if !self.is_single() {
            let outputs = tree.checked.graph().outputs();
            return Expr::Dict(outputs.iter().map(|(name, value)| (name.clone(), var(&value.node))).collect());
        }
        let list: Vec<String> = tree.modules[self.level].yields.iter().map(|y| super::text::flat(&var(y))).collect();
        Expr::text(list.join(", "))
    }

    fn take_shortcut(&mut self, slot: &Slot, x: NodeId, reads: NodeId) {
        self.flush();
        let (x_var, read) = (self.vars[&x].clone(), self.vars[&reads].clone());
        for used in [x, reads] {
            if let Some(uses) = self.uses.get_mut(&used) {
                *uses -= 1;
            }
        }
        let key = names::member(&slot.key);
        let value = Expr::text(format!("{x_var} if {key} is None else {key}({read})"));
        self.stmts.push(Stmt::Assign { target: "shortcut".to_owned(), value });
    }

    fn item(&mut self, item: Item, next: Option<Item>, add: Option<NodeId>, is_last: bool) -> Result<(), TorchError> {
        let builder = self.builder;
        let tree = builder.tree;
        let operands = tree.operands(item);
        let is_add = add.is_some_and(|add| item == Item::Node(add));
        // the second operand of a block's addition is the shortcut's variable
        let read = if is_add { &operands[..1] } else { &operands[..] };
        let absorbed = self.pending.as_ref().is_some_and(|pending| self.absorbs(item, read, pending, is_add));
        if !absorbed {
            self.flush();
        }
        let pending = self.pending.take();
        for x in read {
            if let Some(uses) = self.uses.get_mut(x) {
                *uses -= 1;
            }
        }
        let mut exprs: Vec<Expr> = read
            .iter()
            .map(|x| match &pending {
                Some(pending) if pending.value == *x => pending.expr.clone(),
                _ => Expr::text(self.vars.get(x).cloned().unwrap_or_default()),
            })
            .collect();
        if is_add {
            exprs.push(Expr::text("shortcut"));
        }
        let used_up = |x: &NodeId| self.uses.get(x).is_none_or(|n| *n == 0);
        let base = match &pending {
            Some(pending) => pending.base.clone(),
            None => read.iter().find(|x| used_up(x)).and_then(|x| self.vars.get(x).cloned()),
        };
        let argument = match read {
            [x] if pending.is_none() && tree.is_named(item) => self.vars.get(x).cloned(),
            _ => None,
        };
        let member = if tree.is_named(item) { tree.member(self.level, item) } else { Expr::text("") };
        let results = tree.results(item);
        let (expr, infix) = match item {
            Item::Call(_) => (Expr::Call(Box::new(member), exprs.into_iter().map(Arg::plain).collect()), false),
            Item::Node(node) => {
                if let Some(&rate) = builder.drops.get(&node) {
                    let rate = Expr::number(Role::Other("drop_path"), "drop_path", Val::Float(rate));
                    let path = exprs.remove(0);
                    let args = [path, rate, Expr::text("self.training")].map(Arg::plain).to_vec();
                    exprs.insert(0, Expr::call("drop_path", args));
                }
                let expr = builder.op(node).result(member, exprs)?;
                let infix = matches!(expr, Expr::Seq(_));
                (expr, infix)
            }
        };
        if is_last {
            self.stmts.push(Stmt::Return(expr));
            return Ok(());
        }
        let [value] = results[..] else {
            let names: Vec<String> = results.iter().map(|&value| self.name(item, value, None)).collect();
            self.stmts.push(Stmt::Assign { target: names.join(", "), value: expr });
            return Ok(());
        };
        let depth = pending.map_or(1, |p| p.depth + 1);
        let uses = self.uses.get(&value).copied().unwrap_or(0);
        let pending = Pending { item, value, expr, depth, base, argument, infix };
        let goes_on = uses == 1 && next.is_some_and(|next| tree.operands(next).contains(&value));
        if goes_on {
            self.pending = Some(pending);
        } else {
            self.assign(pending);
        }
        Ok(())
    }

    /// Whether a value stands in the text of the step that reads it.
    fn absorbs(&self, item: Item, read: &[NodeId], pending: &Pending, is_add: bool) -> bool {
        if !read.contains(&pending.value) || pending.depth >= NESTED {
            return false;
        }
        let Item::Node(node) = item else { return false };
        match self.builder.tree.checked.graph().node(node).op {
            Op::Norm(_) | Op::Act(_) | Op::Clip(_) | Op::Softmax | Op::Flatten => read.len() == 1,
            Op::Scale(_) => read.len() == 1 && !pending.infix,
            // x with f(x)
            Op::Add | Op::Mul | Op::Concat if !is_add && read.len() == 2 => {
                let other = if read[0] == pending.value { read[1] } else { read[0] };
                pending.argument.is_some() && pending.argument.as_ref() == self.vars.get(&other)
            }
            _ => false,
        }
    }

    /// Writes the value that waits.
    fn flush(&mut self) {
        if let Some(pending) = self.pending.take() {
            self.assign(pending);
        }
    }

    fn assign(&mut self, pending: Pending) {
        let target = self.name(pending.item, pending.value, pending.base.as_deref());
        self.stmts.push(Stmt::Assign { target, value: pending.expr });
    }

    /// A variable for a value: that of a value used up, or a new one.
    fn name(&mut self, item: Item, value: NodeId, base: Option<&str>) -> String {
        let is_live = |name: &str| {
            self.vars.iter().any(|(v, n)| n == name && *v != value && self.uses.get(v).is_some_and(|uses| *uses > 0))
                || name == "shortcut"
        };
        let uses = self.uses.get(&value).copied().unwrap_or(0);
        let label = self.builder.labels.get(&value).filter(|_| uses > 1 || self.builder.outputs.contains(&value)).cloned();
        let key = match item {
            Item::Call(_) => Some(self.builder.tree.key(item).to_owned()).filter(|key| names::is_variable(key)),
            Item::Node(_) => None,
        };
        let is_plain = |name: &str| name == "x" || name == "out";
        let name = match base {
            Some(base) if is_plain(base) && label.is_none() => base.to_owned(),
            _ => {
                let has_x = is_live("x");
                let wanted = label.or(key).unwrap_or_else(|| if has_x { "out" } else { "x" }.to_owned());
                if is_live(&wanted) {
                    (2..).map(|n| format!("{wanted}{n}")).find(|name| !is_live(name)).unwrap_or(wanted)
                } else {
                    wanted
                }
            }
        };
        self.vars.insert(value, name.clone());
        name
    }
}

/// Makes loops of layers that follow each other by number.
fn fold(body: &mut Body) {
    let mut out = Vec::new();
    let mut rest = std::mem::take(&mut body.init).into_iter().peekable();
    let mut loops = Vec::new();
    while let Some(first) = rest.next() {
        let mut run = vec![first];
        while let Some(next) = rest.peek()
            && follows(&run, next)
        {
            run.extend(rest.next());
        }
        match (run.len() >= LOOP).then(|| members(&run)).flatten() {
            Some(stmt) => {
                if let Stmt::Members { prefix, first, count, .. } = &stmt {
                    loops.push((prefix.clone(), *first, count.clone()));
                }
                out.push(stmt);
            }
            None => out.append(&mut run),
        }
    }
    body.init = out;
    for (prefix, first, count) in loops {
        let all = body.init.len() == 1;
        fold_calls(body, &prefix, first, &count, all);
    }
}

/// A key's text and its number: `denselayer12`.
fn numbered(key: &str) -> Option<(&str, usize)> {
    let stem = key.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = key[stem.len()..].parse::<usize>().ok()?;
    (names::is_attribute(stem) && key == format!("{stem}{number}")).then_some((stem, number))
}

fn follows(run: &[Stmt], next: &Stmt) -> bool {
    let (Some(Stmt::Member { key: before, value: a }), Stmt::Member { key, value: b }) = (run.last(), next) else { return false };
    let (Some((stem, n)), Some((other, m))) = (numbered(before), numbered(key)) else { return false };
    let (mut left, mut right) = (String::new(), String::new());
    a.skeleton(true, &mut left);
    b.skeleton(true, &mut right);
    stem == other && m == n + 1 && left == right
}

/// One statement for members whose numbers follow from their place.
fn members(run: &[Stmt]) -> Option<Stmt> {
    let values: Vec<&Expr> =
        run.iter().filter_map(|s| if let Stmt::Member { value, .. } = s { Some(value) } else { None }).collect();
    let Some(Stmt::Member { key, value }) = run.first() else { return None };
    let (prefix, first) = numbered(key)?;
    let columns: Vec<Vec<Val>> = {
        let lists: Vec<Vec<Val>> = values
            .iter()
            .map(|value| {
                let mut list = Vec::new();
                value.holes(&mut |hole, _| list.push(hole.value));
                list
            })
            .collect();
        (0..lists[0].len()).map(|i| lists.iter().map(|list| list[i]).collect()).collect()
    };
    let mut steps = Vec::new();
    for column in &columns {
        if column.iter().all(|v| *v == column[0]) {
            steps.push(None);
            continue;
        }
        let numbers: Option<Vec<i64>> = column.iter().map(|v| if let Val::Int(n) = v { Some(*n) } else { None }).collect();
        let numbers = numbers?;
        let step = numbers[1] - numbers[0];
        if step <= 0 || numbers.windows(2).any(|w| w[1] - w[0] != step) {
            return None;
        }
        steps.push(Some(step));
    }
    let mut steps = steps.into_iter();
    let value = spread(value, &mut || steps.next().flatten());
    let count = Hole::new(Role::Other("num_layers"), "num_layers", Val::int(run.len()));
    Some(Stmt::Members { prefix: prefix.to_owned(), first, count, value })
}

/// The same with `first + step * i` for numbers that have a step.
fn spread(expr: &Expr, step: &mut impl FnMut() -> Option<i64>) -> Expr {
    match expr {
        Expr::Hole(hole) => match step() {
            None => expr.clone(),
            Some(n) => {
                let by = Hole { value: Val::Int(n), hint: "step".to_owned(), ..hole.clone() };
                Expr::Seq(vec![expr.clone(), Expr::text(" + "), Expr::Hole(by), Expr::text(" * i")])
            }
        },
        Expr::Text(_) | Expr::Member(_) => expr.clone(),
        Expr::Call(head, args) => {
            let head = spread(head, step);
            let each = |arg: &Arg| Arg { value: spread(&arg.value, step), ..arg.clone() };
            Expr::Call(Box::new(head), args.iter().map(each).collect())
        }
        Expr::List(items) => Expr::List(items.iter().map(|item| spread(item, step)).collect()),
        Expr::Seq(items) => Expr::Seq(items.iter().map(|item| spread(item, step)).collect()),
        Expr::Dict(items) => Expr::Dict(items.iter().map(|(key, item)| (key.clone(), spread(item, step))).collect()),
    }
}

/// One statement for calls of all members of a loop, where each follows the one before.
fn fold_calls(body: &mut Body, prefix: &str, first: usize, count: &Hole, all: bool) {
    let Val::Int(len) = count.value else { return };
    let len = usize::try_from(len).unwrap_or(0);
    let key = |i: usize| format!("{prefix}{}", first + i);
    let calls = |stmt: &Stmt, key: &str| match stmt {
        Stmt::Assign { value, .. } | Stmt::Return(value) => mentions(value, key),
        _ => false,
    };
    let Some(at) = body.forward.iter().position(|stmt| calls(stmt, &key(0))) else { return };
    let Some(run) = body.forward.get(at..at + len) else { return };
    // the last one may be what is returned
    let Stmt::Assign { target, value } = &run[0] else { return };
    let loose = |value: &Expr| {
        let mut out = String::new();
        value.skeleton(false, &mut out);
        out
    };
    let wanted = loose(value);
    let fits = run.iter().enumerate().all(|(i, stmt)| {
        let same = match stmt {
            Stmt::Assign { target: other, value } => other == target && loose(value) == wanted,
            Stmt::Return(value) => i + 1 == len && loose(value) == wanted,
            _ => false,
        };
        same && calls(stmt, &key(i))
    });
    if !fits {
        return;
    }
    let returns = matches!(run[len - 1], Stmt::Return(_));
    let inner = Stmt::Assign { target: target.clone(), value: replaced(value, &key(0)) };
    let answer = Stmt::Return(Expr::text(target.clone()));
    let stmt = Stmt::ForMembers { prefix: prefix.to_owned(), first, count: count.clone(), all, body: Box::new(inner) };
    body.forward.splice(at..at + len, [stmt].into_iter().chain(returns.then_some(answer)));
}

fn mentions(expr: &Expr, key: &str) -> bool {
    match expr {
        Expr::Member(name) => name == key,
        Expr::Text(_) | Expr::Hole(_) => false,
        Expr::Call(head, args) => mentions(head, key) || args.iter().any(|arg| mentions(&arg.value, key)),
        Expr::List(items) | Expr::Seq(items) => items.iter().any(|item| mentions(item, key)),
        Expr::Dict(items) => items.iter().any(|(_, item)| mentions(item, key)),
    }
}

/// The same with `layer` for a member.
fn replaced(expr: &Expr, key: &str) -> Expr {
    match expr {
        Expr::Member(name) if name == key => Expr::text("layer"),
        Expr::Member(_) | Expr::Text(_) | Expr::Hole(_) => expr.clone(),
        Expr::Call(head, args) => {
            let each = |arg: &Arg| Arg { value: replaced(&arg.value, key), ..arg.clone() };
            Expr::Call(Box::new(replaced(head, key)), args.iter().map(each).collect())
        }
        Expr::List(items) => Expr::List(items.iter().map(|item| replaced(item, key)).collect()),
        Expr::Seq(items) => Expr::Seq(items.iter().map(|item| replaced(item, key)).collect()),
        Expr::Dict(items) => Expr::Dict(items.iter().map(|(k, item)| (k.clone(), replaced(item, key))).collect()),
    }
}
