//! Regions of elementwise nodes that compute a function of one value.

use std::collections::{BTreeMap, HashMap};

use crate::elaborate::prelude;
use crate::elementwise::{Builder, Program, Register, Unary};
use crate::ir::{Broadcast, Elementwise, Graph, NodeId, Op, Value};

/// Nodes from which one result is computed, and which read a single value from outside.
pub(super) struct Region {
    /// Operands before their users; the last one has the result.
    pub nodes: Vec<NodeId>,
    /// The value that they read.
    pub input: Value,
}

/// The largest number of nodes of a region.
const MAX_NODES: usize = 16;

/// All regions with this result, the smallest first. Their nodes, besides the last one, `fit`; an argument is a node's operator, and
/// whether only the region reads its result.
pub(super) fn regions(
    graph: &Graph,
    place: &HashMap<NodeId, usize>,
    root: NodeId,
    fits: impl Fn(&Op, bool) -> bool,
) -> Vec<Region> {
    let mut found = Vec::new();
    // by their places, so that the last one is the next to be examined: nothing in the region reads it later
    let mut nodes: BTreeMap<usize, NodeId> = BTreeMap::new();
    let mut open: BTreeMap<usize, Value> = BTreeMap::new();
    let at = |node: NodeId| place.get(&node).copied().unwrap_or(0);
    let mut next = root;
    while nodes.len() < MAX_NODES {
        nodes.insert(at(next), next);
        open.extend(graph.operands(next).into_iter().map(|value| (at(value.node), value)));
        let Some((_, &value)) = open.last_key_value() else { break };
        if open.len() == 1 {
            found.push(Region { nodes: nodes.values().copied().collect(), input: value });
        }
        let is_inner = !graph.is_output(value) && graph.users(value).iter().all(|(user, _)| nodes.contains_key(&at(*user)));
        let op = &graph.node(value.node).op;
        if !is_plain(op) || !fits(op, is_inner) {
            break;
        }
        open.pop_last();
        next = value.node;
    }
    found
}

/// Whether an operator is a function of values of one shape.
fn is_plain(op: &Op) -> bool {
    op.as_elementwise().is_some_and(|function| function.operands.iter().all(|operand| operand.broadcast == Broadcast::Full))
}

/// The operation of a program that computes a function of the library: `softplus` there is linear above a threshold, which a file
/// does not have.
pub(super) fn primitive(function: &Elementwise) -> Option<Unary> {
    let is_usual = prelude::has(&function.name) && function.given().next().is_none();
    Unary::ALL.into_iter().find(|op| is_usual && op.word() == function.name)
}

impl Region {
    /// The node with the result.
    pub fn root(&self) -> NodeId {
        self.nodes.last().copied().unwrap_or(self.input.node)
    }

    /// What it computes; `None` if that is too long.
    pub fn program(&self, graph: &Graph) -> Option<Program> {
        let mut builder = Builder::new(1);
        let mut registers: HashMap<Value, Register> = HashMap::from([(self.input, builder.operand(0))]);
        let mut result = 0;
        for &node in &self.nodes {
            let function = graph.node(node).op.as_elementwise()?;
            let arguments: Option<Vec<Register>> =
                graph.operands(node).iter().map(|value| registers.get(value).copied()).collect();
            let arguments = arguments?;
            result = match (primitive(function), &arguments[..]) {
                (Some(op), &[x]) => builder.unary(op, x),
                _ => builder.inline(&function.program, &arguments),
            };
            registers.insert(node.into(), result);
        }
        builder.finish(result).ok()
    }
}
