//! The graph in a normal form: only nodes that an output needs, consecutive ids, normalized concatenations, and a shape for each node.

use std::collections::HashMap;
use std::sync::Arc;

use super::attrs::{self, Statement};
use super::error::DecompileError;
use super::function;
use crate::ir::{Elementwise, Graph, NodeId, Op, Shape, infer_shape};

/// A node's place in [`Net::nodes`].
pub(super) type Id = usize;

/// A node.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub op: Op,
    /// By slot.
    pub operands: Vec<Id>,
    /// Its name in the graph.
    pub name: String,
    pub shape: Shape,
    /// Whether it has tensors, so that its name matters.
    pub named: bool,
}

/// A network without nodes that no output needs. Operands come before their users.
#[derive(Clone, Debug)]
pub(super) struct Net {
    pub nodes: Vec<Node>,
    pub inputs: Vec<Id>,
    pub outputs: Vec<(String, Id)>,
    /// The functions that the source declares.
    pub functions: Vec<Arc<Elementwise>>,
    /// The number of nodes that no output needs.
    pub dead: usize,
}

impl Net {
    /// Converts a graph; fails if shapes do not match.
    pub fn of(graph: &Graph) -> Result<Net, DecompileError> {
        Net::read(graph, true)
    }

    /// Converts a graph. Unless `strict`, the shape of an invalid node is unknown.
    pub fn read(graph: &Graph, strict: bool) -> Result<Net, DecompileError> {
        if graph.inputs().is_empty() || graph.outputs().is_empty() {
            return Err(DecompileError::Empty);
        }
        if let Some(value) = graph.further_result() {
            let node = graph.node(value.node);
            return Err(DecompileError::Unsupported { node: node.name.clone(), op: node.op.word().to_string() });
        }
        let live = live(graph);
        let order: Vec<NodeId> = graph.order().into_iter().filter(|id| live[id.index()]).collect();
        let mut at: HashMap<NodeId, Id> = HashMap::new();
        let mut net = Net {
            nodes: Vec::with_capacity(order.len()),
            inputs: Vec::new(),
            outputs: Vec::new(),
            functions: Vec::new(),
            dead: 0,
        };
        net.dead = graph.len() - order.len();
        // if the operands of a concatenation begin with those of another, it reads that one instead
        let mut concats: HashMap<Vec<Id>, Id> = HashMap::new();
        for id in order {
            let node = graph.node(id);
            supported(&node.op, &node.name)?;
            let mut operands: Vec<Id> = Vec::new();
            for value in graph.operands(id) {
                operands.push(*at.get(&value.node).ok_or(DecompileError::Empty)?);
            }
            if matches!(node.op, Op::Concat) {
                let all = operands.clone();
                let begin = (2..operands.len()).rev().find_map(|k| concats.get(&operands[..k]).map(|&c| (k, c)));
                if let Some((k, concat)) = begin {
                    operands.splice(..k, [concat]);
                }
                concats.entry(all).or_insert(net.nodes.len());
            }
            let shapes: Vec<Shape> = operands.iter().map(|&o| net.nodes[o].shape.clone()).collect();
            let shape = match infer_shape(&node.op, &shapes) {
                Err(error) if strict => return Err(DecompileError::Shape { node: node.name.clone(), error: error.into() }),
                shape => shape.unwrap_or(Shape::Unknown),
            };
            let named = !node.op.params(&shapes).is_empty();
            at.insert(id, net.nodes.len());
            let op = function::declared(&node.op, &mut net.functions);
            net.nodes.push(Node { op, operands, name: node.name.clone(), shape, named });
        }
        // unused inputs are part of the interface
        net.inputs = graph.inputs().iter().filter_map(|id| at.get(id).copied()).collect();
        for (name, value) in graph.outputs() {
            net.outputs.push((name.clone(), *at.get(&value.node).ok_or(DecompileError::Empty)?));
        }
        Ok(net)
    }

    /// Lets norms without parameters keep their names too: by their numbers, they could be called as layers beside them are.
    pub fn name_norms(&mut self) {
        self.nodes.iter_mut().filter(|node| node.op.is_norm()).for_each(|node| node.named = true);
    }

    pub fn node(&self, id: Id) -> &Node {
        &self.nodes[id]
    }

    /// A node as a statement.
    pub fn statement(&self, id: Id) -> Statement {
        let operand = self.nodes[id].operands.first().map(|&o| &self.nodes[o].shape);
        attrs::statement(&self.nodes[id].op, operand)
    }
}

/// Which nodes an output needs; the first input always counts.
fn live(graph: &Graph) -> Vec<bool> {
    let mut live = vec![false; graph.bound()];
    let mut open: Vec<NodeId> = graph.outputs().iter().map(|(_, value)| value.node).collect();
    while let Some(id) = open.pop() {
        if std::mem::replace(&mut live[id.index()], true) {
            continue;
        }
        open.extend(graph.operands(id).iter().map(|value| value.node));
    }
    if let Some(first) = graph.inputs().first() {
        live[first.index()] = true;
    }
    live
}

/// Rejects operators without a statement in the language.
fn supported(op: &Op, name: &str) -> Result<(), DecompileError> {
    if !op.is_declarable() {
        return Err(DecompileError::Unsupported { node: name.to_string(), op: op.word().into() });
    }
    Ok(())
}
