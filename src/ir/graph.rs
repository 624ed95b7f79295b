//! The graph, a facade over petgraph. Nodes are operators. An edge carries the output port it leaves and the operand
//! slot it enters, so operand order is explicit. Ids stay stable as nodes are added and removed.

use std::fmt;

use petgraph::Direction;
use petgraph::stable_graph::{NodeIndex, StableDiGraph};
use petgraph::visit::EdgeRef;

use super::{Op, Param, Precision};
use crate::base::source::Span;

/// A node of a [`Graph`]. Displays as the dump's `%12`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(u32);

impl NodeId {
    /// The index into per-node tables; always below [`Graph::bound`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

/// One of a node's results. A [`NodeId`] converts to the first, which is the only one of most operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value {
    /// The node.
    pub node: NodeId,
    /// The output port.
    pub port: u8,
}

impl From<NodeId> for Value {
    fn from(node: NodeId) -> Value {
        Value { node, port: 0 }
    }
}

/// A [`Frame`] of a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FrameId(u32);

/// One step of expansion: a stage instance, a block call, a shortcut's projection, or a network's base.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// The enclosing frame.
    pub parent: Option<FrameId>,
    /// The full name of the scope it opens (`layer2.0`), or its parent's if it opens none.
    pub scope: String,
    /// The unit that was expanded: `basic`.
    pub unit: String,
    /// The statement that used it.
    pub span: Span,
    /// The zero-based instance of a stage or repeat, and the number of instances; `None` for a single call.
    pub instance: Option<(usize, usize)>,
}

/// Where a node comes from in the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The statement.
    pub span: Span,
    /// The expansion that contains it; `None` in the network's own body.
    pub frame: Option<FrameId>,
}

/// A node.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The operator.
    pub op: Op,
    /// Its unique name, which follows torchvision for layers with parameters: `layer2.0.conv1`.
    pub name: String,
    /// Its parameters. The front end leaves this empty, `check` fills it in, and passes derive new ones.
    pub params: Vec<Param>,
    /// The numbers that it reads and stores: see [`Precisions`](super::Precisions). Training steps ignore it.
    pub precision: Precision,
    /// Where it comes from.
    pub origin: Origin,
}

#[derive(Clone, Copy, Debug)]
struct Edge {
    port: u8,
    slot: u32,
}

/// A network's operators and values.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    inner: StableDiGraph<Node, Edge>,
    inputs: Vec<NodeId>,
    outputs: Vec<(String, Value)>,
    frames: Vec<Frame>,
}

fn id(index: NodeIndex) -> NodeId {
    NodeId(index.index() as u32)
}

fn ix(id: NodeId) -> NodeIndex {
    NodeIndex::new(id.0 as usize)
}

impl Graph {
    /// Adds a node with its operands in order. An [`Op::Input`] becomes an input of the graph.
    pub fn add(&mut self, node: Node, operands: &[Value]) -> NodeId {
        let is_input = matches!(node.op, Op::Input(_));
        let new = self.inner.add_node(node);
        for (slot, value) in operands.iter().enumerate() {
            self.inner.add_edge(ix(value.node), new, Edge { port: value.port, slot: slot as u32 });
        }
        if is_input {
            self.inputs.push(id(new));
        }
        id(new)
    }

    /// Adds an expansion frame.
    pub fn add_frame(&mut self, frame: Frame) -> FrameId {
        self.frames.push(frame);
        FrameId(self.frames.len() as u32 - 1)
    }

    /// The frame.
    pub fn frame(&self, id: FrameId) -> &Frame {
        &self.frames[id.0 as usize]
    }

    /// The frame and those around it, innermost first.
    pub fn frames(&self, from: Option<FrameId>) -> impl Iterator<Item = (FrameId, &Frame)> {
        std::iter::successors(from, |&id| self.frame(id).parent).map(|id| (id, self.frame(id)))
    }

    /// The node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.inner[ix(id)]
    }

    /// The node, mutably.
    pub fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.inner[ix(id)]
    }

    /// The number of nodes.
    pub fn len(&self) -> usize {
        self.inner.node_count()
    }

    /// Whether there are no nodes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One more than the largest [`NodeId::index`]: the size of a per-node table.
    pub fn bound(&self) -> usize {
        self.inner.node_indices().next_back().map_or(0, |i| i.index() + 1)
    }

    /// The operands, by slot.
    pub fn operands(&self, node: NodeId) -> Vec<Value> {
        let mut list: Vec<(u32, Value)> = self
            .inner
            .edges_directed(ix(node), Direction::Incoming)
            .map(|e| (e.weight().slot, Value { node: id(e.source()), port: e.weight().port }))
            .collect();
        list.sort_unstable_by_key(|&(slot, _)| slot);
        list.into_iter().map(|(_, value)| value).collect()
    }

    /// The uses of a value as `(user, slot)`, ordered. Graph outputs are not included.
    pub fn users(&self, value: impl Into<Value>) -> Vec<(NodeId, usize)> {
        let value = value.into();
        let mut list: Vec<(NodeId, usize)> = self
            .inner
            .edges_directed(ix(value.node), Direction::Outgoing)
            .filter(|e| e.weight().port == value.port)
            .map(|e| (id(e.target()), e.weight().slot as usize))
            .collect();
        list.sort_unstable();
        list
    }

    /// Whether a value is an output of the graph.
    pub fn is_output(&self, value: impl Into<Value>) -> bool {
        let value = value.into();
        self.outputs.iter().any(|(_, output)| *output == value)
    }

    /// Whether any result of a node is read, or is an output of the graph.
    pub fn is_used(&self, node: NodeId) -> bool {
        let is_read = self.inner.edges_directed(ix(node), Direction::Outgoing).next().is_some();
        is_read || self.outputs.iter().any(|(_, output)| output.node == node)
    }

    /// A value in use that is not the first result of its node: what a front end that knows only operators with one result rejects.
    pub fn further_result(&self) -> Option<Value> {
        let operands = self.ids().flat_map(|id| self.operands(id));
        operands.chain(self.outputs.iter().map(|(_, value)| *value)).find(|value| value.port > 0)
    }

    /// Appends an operand.
    pub fn push_operand(&mut self, node: NodeId, value: Value) {
        let slot = self.operands(node).len() as u32;
        self.inner.add_edge(ix(value.node), ix(node), Edge { port: value.port, slot });
    }

    /// Replaces every use of `old` with `new`, graph outputs included.
    pub fn replace_uses(&mut self, old: Value, new: Value) {
        let edges: Vec<_> = self
            .inner
            .edges_directed(ix(old.node), Direction::Outgoing)
            .filter(|e| e.weight().port == old.port)
            .map(|e| (e.id(), e.target(), e.weight().slot))
            .collect();
        for (edge, target, slot) in edges {
            self.inner.remove_edge(edge);
            self.inner.add_edge(ix(new.node), target, Edge { port: new.port, slot });
        }
        for (_, value) in &mut self.outputs {
            if *value == old {
                *value = new;
            }
        }
    }

    /// Replaces an operand.
    pub fn set_operand(&mut self, node: NodeId, slot: usize, value: Value) {
        let edge =
            self.inner.edges_directed(ix(node), Direction::Incoming).find(|e| e.weight().slot as usize == slot).map(|e| e.id());
        if let Some(edge) = edge {
            self.inner.remove_edge(edge);
        }
        self.inner.add_edge(ix(value.node), ix(node), Edge { port: value.port, slot: slot as u32 });
    }

    /// Replaces all operands.
    pub fn set_operands(&mut self, node: NodeId, operands: &[Value]) {
        let old: Vec<_> = self.inner.edges_directed(ix(node), Direction::Incoming).map(|e| e.id()).collect();
        for edge in old {
            self.inner.remove_edge(edge);
        }
        for (slot, value) in operands.iter().enumerate() {
            self.inner.add_edge(ix(value.node), ix(node), Edge { port: value.port, slot: slot as u32 });
        }
    }

    /// Removes a node whose results nothing uses.
    pub fn remove(&mut self, node: NodeId) {
        debug_assert!(!self.is_used(node), "{node} is still used");
        self.inner.remove_node(ix(node));
        self.inputs.retain(|&n| n != node);
    }

    /// The inputs, in order of declaration.
    pub fn inputs(&self) -> &[NodeId] {
        &self.inputs
    }

    /// The named outputs in order, the main one first (named `output` if the file does not name it).
    pub fn outputs(&self) -> &[(String, Value)] {
        &self.outputs
    }

    /// Adds an output.
    pub fn add_output(&mut self, name: impl Into<String>, value: Value) {
        self.outputs.push((name.into(), value));
    }

    /// Removes and returns the outputs, so that they can be added in another order.
    pub fn take_outputs(&mut self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.outputs)
    }

    /// All nodes by id, which is the front end's statement order.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.inner.node_indices().map(id)
    }

    /// All nodes in topological order. Among ready nodes the lowest id comes first, so the order follows the source.
    /// The front end and every pass keep the graph acyclic, which `verify` checks.
    pub fn order(&self) -> Vec<NodeId> {
        let mut waiting = vec![0usize; self.bound()];
        let mut ready = std::collections::BinaryHeap::new();
        for node in self.inner.node_indices() {
            let count = self.inner.edges_directed(node, Direction::Incoming).count();
            waiting[node.index()] = count;
            if count == 0 {
                ready.push(std::cmp::Reverse(id(node)));
            }
        }
        let mut order = Vec::with_capacity(self.len());
        while let Some(std::cmp::Reverse(node)) = ready.pop() {
            order.push(node);
            for edge in self.inner.edges_directed(ix(node), Direction::Outgoing) {
                let left = &mut waiting[edge.target().index()];
                *left -= 1;
                if *left == 0 {
                    ready.push(std::cmp::Reverse(id(edge.target())));
                }
            }
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::source::SourceMap;
    use crate::ir::{Elementwise, Shape};

    fn node(op: Op, name: &str) -> Node {
        let file = SourceMap::default().add_text("test", "");
        let origin = Origin { span: Span::new(file, 0..0), frame: None };
        Node { op, name: name.to_string(), params: Vec::new(), precision: Precision::F32, origin }
    }

    /// input -> relu -> add(relu, input)
    fn residual() -> (Graph, NodeId, NodeId, NodeId) {
        let mut g = Graph::default();
        let x = g.add(node(Op::Input(Shape::fixed(&[4])), "input"), &[]);
        let f = g.add(node(Op::relu(), "relu"), &[x.into()]);
        let y = g.add(node(Op::add(), "add"), &[f.into(), x.into()]);
        g.add_output("output", y.into());
        (g, x, f, y)
    }

    #[test]
    fn operands_keep_their_slots() {
        let (mut g, x, f, y) = residual();
        assert_eq!(g.operands(y), [f.into(), x.into()]);
        // replacing slot 0 must not move it after slot 1, whatever order petgraph lists the edges in
        let other = g.add(node(Op::from(Elementwise::sigmoid()), "sigmoid"), &[x.into()]);
        g.replace_uses(f.into(), other.into());
        assert_eq!(g.operands(y), [other.into(), x.into()]);
        assert!(g.users(f).is_empty());
        assert_eq!(g.users(x), [(f, 0), (y, 1), (other, 0)]);
    }

    #[test]
    fn an_operand_used_twice_is_listed_twice() {
        let mut g = Graph::default();
        let x = g.add(node(Op::Input(Shape::fixed(&[4])), "input"), &[]);
        let y = g.add(node(Op::add(), "add"), &[x.into(), x.into()]);
        assert_eq!(g.operands(y), [x.into(), x.into()]);
        assert_eq!(g.users(x), [(y, 0), (y, 1)]);
    }

    #[test]
    fn each_result_has_its_own_users() {
        let (mut g, x, f, y) = residual();
        assert_eq!(g.further_result(), None);
        let second = Value { node: f, port: 1 };
        g.set_operand(y, 1, second);
        assert_eq!((g.users(f), g.users(second), g.users(x)), (vec![(y, 0)], vec![(y, 1)], vec![(f, 0)]));
        assert_eq!(g.further_result(), Some(second));
        // the first result is replaced, and the second stays
        g.replace_uses(f.into(), x.into());
        assert_eq!((g.operands(y), g.users(f), g.is_used(f)), (vec![x.into(), second], Vec::new(), true));
        g.add_output("second", second);
        assert!(g.is_output(second) && !g.is_output(f));
    }

    #[test]
    fn replacing_reaches_outputs() {
        let (mut g, x, _, y) = residual();
        g.replace_uses(y.into(), x.into());
        assert_eq!(g.outputs(), [("output".to_string(), Value::from(x))]);
    }

    #[test]
    fn order_is_topological_and_follows_the_source() {
        let (mut g, x, f, y) = residual();
        assert_eq!(g.order(), [x, f, y]);
        // a node that was added later but is used by an earlier one comes first
        let late = g.add(node(Op::relu(), "late"), &[x.into()]);
        g.replace_uses(f.into(), late.into());
        assert_eq!(g.order(), [x, f, late, y]);
        g.remove(f);
        assert_eq!(g.order(), [x, late, y]);
        assert_eq!((g.len(), g.bound()), (3, 4));
    }
}
