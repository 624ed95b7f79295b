//! The Python code of a module: its submodules, and the statements of its `forward`.

use super::builder::{Arm, Builder, ShortcutSlot};
use super::error::TorchError;
use super::expr::{Expr, Stmt};
use super::forward::statements;
use super::loops::fold;
use super::names;
use super::scope::{Item, ModuleId, ROOT, Tree};
use crate::ir::{NodeId, Op};

/// The contents of a module's class.
#[derive(Clone, Debug)]
pub(super) struct Body {
    /// The arguments of `forward`.
    pub inputs: Vec<String>,
    pub init: Vec<Stmt>,
    pub forward: Vec<Stmt>,
}

impl Body {
    /// The contents of a module's class. With `slot`, the shortcut is one that is a module in other instances.
    pub fn of(builder: &Builder<'_, '_>, id: ModuleId, slot: Option<&ShortcutSlot>) -> Result<Body, TorchError> {
        let tree = builder.tree;
        let arm = slot.and_then(|slot| Some((slot, builder.arm(id)?)));
        let hidden: &[Item] = match &arm {
            Some((_, Arm { module: Some(arm), .. })) => &arm.steps,
            _ => &[],
        };
        let mut init = Vec::new();
        let mut has_slot = false;
        for (key, item) in tree.parts(id) {
            let mut value = if hidden.contains(&item) { Expr::text(key.clone()) } else { builder.make(item)? };
            has_slot |= hidden.contains(&item);
            let reads_input = tree.operands(item).iter().any(|x| tree.modules[id].reads.contains(x));
            value.holes_mut(&mut |hole| {
                if hole.hint == "channels" && reads_input && is_norm(tree, item) {
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
        // the shortcut's module comes last in every instance
        if let Some((slot, _)) = &arm {
            init.sort_by_key(|stmt| matches!(stmt, Stmt::Member { key, .. } if *key == slot.key));
        }
        let items: Vec<Item> = tree.items(id).into_iter().filter(|item| !hidden.contains(item)).collect();
        let inputs = inputs(builder, id);
        let mut forward = statements(builder, id, &inputs, &items, arm.as_ref().map(|(slot, arm)| (*slot, arm.add)))?;
        fold(&mut init, &mut forward);
        Ok(Body { inputs, init, forward })
    }

    /// The code without its numbers.
    pub fn skeleton(&self) -> String {
        let mut out = self.inputs.join(",");
        out.push('\n');
        self.init.iter().chain(&self.forward).for_each(|stmt| stmt.skeleton(&mut out));
        out
    }
}

fn is_norm(tree: &Tree<'_>, item: Item) -> bool {
    matches!(item, Item::Node(id) if tree.checked.graph().node(id).op.is_norm())
}

/// Names of the arguments of `forward`.
fn inputs(builder: &Builder<'_, '_>, id: ModuleId) -> Vec<String> {
    let reads = &builder.tree.modules[id].reads;
    let graph = builder.tree.checked.graph();
    let known = |node: &NodeId| match graph.node(*node).op {
        Op::Input(_) => Some(&graph.node(*node).name)
            .filter(|name| *name != "input" && names::is_local(name) && !builder.functions.contains(name)),
        _ => builder.labels.get(node),
    };
    let mut list: Vec<String> = Vec::new();
    for (i, read) in reads.iter().enumerate() {
        let named = known(read).filter(|name| (reads.len() > 1 || id == ROOT) && !list.contains(name)).cloned();
        list.push(named.unwrap_or_else(|| if reads.len() == 1 { "x".to_owned() } else { format!("x{}", i + 1) }));
    }
    list
}
