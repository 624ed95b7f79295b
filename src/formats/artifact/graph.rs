//! A graph as plain data: nodes in topological order, so that a graph that is read back has no cycles.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::op::StoredOp;
use crate::base::source::Span;
use crate::elaborate::MAX_NODES;
use crate::ir::{Graph, Node, NodeId, Origin, Precision, Value};

/// A node with the positions of its operands.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredNode {
    name: String,
    #[serde(flatten)]
    op: StoredOp,
    reads: Vec<usize>,
}

/// Nodes, and outputs by name with the position of their node.
pub(super) type Stored = (Vec<StoredNode>, Vec<(String, usize)>);

/// The nodes and outputs of a checked graph, before passes.
pub(super) fn store(graph: &Graph) -> Result<Stored, String> {
    if let Some(value) = graph.further_result() {
        return Err(format!("`{}` has several results, for which the format has no place", graph.node(value.node).name));
    }
    let mut positions: HashMap<NodeId, usize> = HashMap::new();
    let mut nodes = Vec::new();
    let at = |positions: &HashMap<NodeId, usize>, v: &Value| {
        positions.get(&v.node).copied().ok_or_else(|| format!("{} is read before it is computed", v.node))
    };
    for id in graph.order() {
        let reads = graph.operands(id).iter().map(|v| at(&positions, v)).collect::<Result<_, _>>()?;
        positions.insert(id, nodes.len());
        let node = graph.node(id);
        let op = StoredOp::new(&node.op).ok_or_else(|| format!("no source declares the operator of `{}`", node.name))?;
        nodes.push(StoredNode { name: node.name.clone(), op, reads });
    }
    let outputs =
        graph.outputs().iter().map(|(name, v)| Ok((name.clone(), at(&positions, v)?))).collect::<Result<_, String>>()?;
    Ok((nodes, outputs))
}

/// Rebuilds the graph; an error if it is not a valid stored graph.
pub(super) fn restore(nodes: &[StoredNode], outputs: &[(String, usize)], span: Span) -> Result<Graph, String> {
    if nodes.len() > MAX_NODES {
        return Err(format!("it has more than {MAX_NODES} nodes"));
    }
    let mut graph = Graph::default();
    let mut ids: Vec<NodeId> = Vec::with_capacity(nodes.len());
    let mut names = HashSet::new();
    for node in nodes {
        let op = node.op.read().map_err(|error| format!("`{}`: {error}", node.name))?;
        let reads: Option<Vec<Value>> = node.reads.iter().map(|&i| ids.get(i).map(|&id| id.into())).collect();
        let reads = reads.ok_or_else(|| format!("`{}` reads a node that does not come before it", node.name))?;
        if !names.insert(&node.name) {
            return Err(format!("two nodes are named `{}`", node.name));
        }
        let origin = Origin { span, frame: None };
        ids.push(graph.add(Node { op, name: node.name.clone(), params: Vec::new(), precision: Precision::F32, origin }, &reads));
    }
    for (name, i) in outputs {
        let id = *ids.get(*i).ok_or_else(|| format!("the output `{name}` is not a node"))?;
        graph.add_output(name.clone(), id.into());
    }
    if graph.inputs().is_empty() || graph.outputs().is_empty() {
        return Err("its network has no input or no output".into());
    }
    Ok(graph)
}
