//! The statements of a `forward`: which values are inlined in the next statement, and the names of the others.

use std::collections::HashMap;

use super::builder::{Builder, ShortcutSlot};
use super::error::TorchError;
use super::expr::{Arg, Expr, Role, Stmt, Val};
use super::functions;
use super::names;
use super::scope::{Item, ModuleId, ROOT};
use crate::ir::{NodeId, Op};

/// Maximum number of nested calls in a line.
const NESTED: usize = 3;

/// The statements of a module's `forward`, with the arguments `inputs` and the steps `items`. A block's addition reads the
/// shortcut taken in the slot.
pub(super) fn statements(
    builder: &Builder<'_, '_>,
    level: ModuleId,
    inputs: &[String],
    items: &[Item],
    slot: Option<(&ShortcutSlot, NodeId)>,
) -> Result<Vec<Stmt>, TorchError> {
    let vars = builder.tree.modules[level].reads.iter().copied().zip(inputs.iter().cloned()).collect();
    let mut forward = Forward { builder, level, vars, uses: HashMap::new(), pending: None, stmts: Vec::new() };
    forward.run(items, slot)?;
    Ok(forward.stmts)
}

/// A value to be inlined in the next statement.
struct Pending {
    item: Item,
    value: NodeId,
    expr: Expr,
    /// Nesting depth of calls.
    depth: usize,
    /// The variable that it reads for the last time.
    base: Option<String>,
    /// The variable that it reads, if it is a single call of a module.
    argument: Option<String>,
    /// Whether it is an infix expression, such as a sum.
    infix: bool,
}

/// The statements of a `forward` while they are written.
struct Forward<'b, 't, 'a> {
    builder: &'b Builder<'t, 'a>,
    level: ModuleId,
    vars: HashMap<NodeId, String>,
    /// Number of remaining reads of each value.
    uses: HashMap<NodeId, usize>,
    pending: Option<Pending>,
    stmts: Vec<Stmt>,
}

impl Forward<'_, '_, '_> {
    fn run(&mut self, items: &[Item], slot: Option<(&ShortcutSlot, NodeId)>) -> Result<(), TorchError> {
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
            // the addition reads the variable instead of its second operand
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

    /// Whether the module returns a single value.
    fn is_single(&self) -> bool {
        self.level != ROOT || self.builder.tree.checked.graph().outputs().len() == 1
    }

    /// The returned variables.
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

    fn take_shortcut(&mut self, slot: &ShortcutSlot, x: NodeId, reads: NodeId) {
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
        // the second operand of a block's addition is the shortcut variable
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

    /// Whether a pending value is inlined in the step that reads it.
    fn absorbs(&self, item: Item, read: &[NodeId], pending: &Pending, is_add: bool) -> bool {
        if !read.contains(&pending.value) || pending.depth >= NESTED {
            return false;
        }
        let Item::Node(node) = item else { return false };
        let op = &self.builder.tree.checked.graph().node(node).op;
        match op {
            Op::BatchNorm(_) | Op::SampleNorm(_) | Op::Softmax(None) | Op::Flatten => read.len() == 1,
            Op::Elementwise(function) if function.values().count() == 1 => {
                let is_call = self.builder.op(node).is_call();
                is_call || functions::reads_once(function) && !pending.infix
            }
            // x with f(x)
            _ if op.is_join() && !is_add && read.len() == 2 => {
                let other = if read[0] == pending.value { read[1] } else { read[0] };
                pending.argument.is_some() && pending.argument.as_ref() == self.vars.get(&other)
            }
            _ => false,
        }
    }

    /// Assigns the pending value to a variable.
    fn flush(&mut self) {
        if let Some(pending) = self.pending.take() {
            self.assign(pending);
        }
    }

    fn assign(&mut self, pending: Pending) {
        let target = self.name(pending.item, pending.value, pending.base.as_deref());
        self.stmts.push(Stmt::Assign { target, value: pending.expr });
    }

    /// A variable for a value: the one that was just read for the last time, or a new one.
    fn name(&mut self, item: Item, value: NodeId, base: Option<&str>) -> String {
        let is_live = |name: &str| {
            self.vars.iter().any(|(v, n)| n == name && *v != value && self.uses.get(v).is_some_and(|uses| *uses > 0))
                || name == "shortcut"
        };
        let uses = self.uses.get(&value).copied().unwrap_or(0);
        let label = self.builder.labels.get(&value).filter(|_| uses > 1 || self.builder.outputs.contains(&value)).cloned();
        let key = match item {
            Item::Call(_) => Some(self.builder.tree.key(item).to_owned())
                .filter(|key| names::is_local(key) && !self.builder.functions.contains(key)),
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
