//! Loops over counted rows: the parts of a graph whose values have a number of rows that is counted while the network runs.
//!
//! A loop begins at the operator that makes the rows, reading their counts, and ends at those that collect them into values of
//! another kind. It runs in chunks of rows, so that memory is needed for the rows of a chunk only, not for the bound.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use thiserror::Error;

use super::{NodeId, Rows, ShapedNetwork, TensorType, Value};
use crate::base::tensor::DType;

/// The part of a graph that computes with counted rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowLoop {
    /// The value with the number of rows of each sample, an i32 each.
    pub counts: Value,
    /// The largest number of rows of a sample.
    pub bound: usize,
    /// Its operators, in topological order: the first begins the rows.
    pub nodes: Vec<NodeId>,
}

/// What is computed next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A single operator.
    Node(NodeId),
    /// A loop over counted rows.
    Loop(RowLoop),
}

/// Why counted rows cannot be computed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RowsError {
    /// Rows without counts.
    #[error("`{node}` begins counted rows, and has no operand with one I32 per sample that counts them")]
    NoCounts {
        /// The operator.
        node: String,
    },
    /// Rows begin in the loop over other rows.
    #[error("`{node}` begins counted rows, and reads those that begin at `{begin}`")]
    Nested {
        /// The operator.
        node: String,
        /// Where the rows begin that it reads.
        begin: String,
    },
    /// Rows of two loops are read together.
    #[error("`{node}` reads the rows that begin at `{first}` and those that begin at `{second}`")]
    Mixed {
        /// The operator that reads both.
        node: String,
        /// Where the one begins.
        first: String,
        /// Where the other begins.
        second: String,
    },
    /// Rows leave their loop as an output of the network.
    #[error(
        "the output `{output}` has a number of rows that is counted: an operator must collect the rows that begin at `{begin}`"
    )]
    Output {
        /// The output.
        output: String,
        /// Where the rows begin.
        begin: String,
    },
    /// A loop needs what is computed from its own result.
    #[error("an operator of the loop over the rows that begin at `{begin}` reads what is computed from its results")]
    Cycle {
        /// Where the rows begin.
        begin: String,
    },
}

/// The operators of a network in topological order, those of a loop together. Without counted rows, this is the graph's order.
pub fn units(network: &ShapedNetwork) -> Result<Vec<Unit>, RowsError> {
    let order = network.graph().order();
    let mut finder = Finder { network, of_node: HashMap::new(), loops: Vec::new() };
    for &id in &order {
        finder.visit(id)?;
    }
    for (output, value) in network.graph().outputs() {
        if is_counted(network.types.get(*value)) {
            return Err(RowsError::Output { output: output.clone(), begin: finder.begin_of(value.node) });
        }
    }
    if finder.loops.is_empty() { Ok(order.into_iter().map(Unit::Node).collect()) } else { finder.sorted(&order) }
}

fn is_counted(of: &TensorType) -> bool {
    matches!(of.rows, Rows::Counted(_))
}

struct Finder<'a> {
    network: &'a ShapedNetwork,
    /// The loop of each node that is in one.
    of_node: HashMap<NodeId, usize>,
    loops: Vec<RowLoop>,
}

impl Finder<'_> {
    fn name(&self, node: NodeId) -> String {
        self.network.graph().node(node).name.clone()
    }

    /// The name of the operator that begins the loop of a node.
    fn begin_of(&self, node: NodeId) -> String {
        self.of_node.get(&node).map_or_else(String::new, |&at| self.name(self.loops[at].nodes[0]))
    }

    /// Finds out whether a node, whose operands were visited, is in a loop.
    fn visit(&mut self, node: NodeId) -> Result<(), RowsError> {
        let operands = self.network.graph().operands(node);
        let mut found = None;
        for value in operands.iter().filter(|value| is_counted(self.network.types.get(**value))) {
            let of_operand = self.of_node.get(&value.node).copied();
            if let (Some(first), Some(second)) = (found, of_operand)
                && first != second
            {
                let [first, second] = [first, second].map(|at: usize| self.name(self.loops[at].nodes[0]));
                return Err(RowsError::Mixed { node: self.name(node), first, second });
            }
            found = of_operand.or(found);
        }
        let begins = self.network.types.results(node).iter().find_map(|of| match of.rows {
            Rows::Counted(bound) => Some(bound),
            Rows::PerSample | Rows::PerBatch => None,
        });
        match (found, begins) {
            (Some(at), Some(_)) if self.network.graph().node(node).op.counts().is_some() => {
                return Err(RowsError::Nested { node: self.name(node), begin: self.name(self.loops[at].nodes[0]) });
            }
            (Some(at), _) => {
                self.loops[at].nodes.push(node);
                self.of_node.insert(node, at);
            }
            (None, Some(bound)) => {
                let counts = self.counts(node, &operands).ok_or_else(|| RowsError::NoCounts { node: self.name(node) })?;
                self.of_node.insert(node, self.loops.len());
                self.loops.push(RowLoop { counts, bound, nodes: vec![node] });
            }
            (None, None) => {}
        }
        Ok(())
    }

    /// The value that counts the rows which begin at a node.
    fn counts(&self, node: NodeId, operands: &[Value]) -> Option<Value> {
        let counts = *operands.get(self.network.graph().node(node).op.counts()?)?;
        let TensorType { dtype, rows, shape } = self.network.types.get(counts);
        let is_one = shape.sizes().is_some_and(|sizes| sizes.iter().product::<usize>() == 1);
        (*dtype == DType::I32 && *rows == Rows::PerSample && is_one).then_some(counts)
    }

    /// Sorts nodes and loops. Among those that are ready, the one that comes first in `order` is the first.
    fn sorted(self, order: &[NodeId]) -> Result<Vec<Unit>, RowsError> {
        let graph = self.network.graph();
        let position: HashMap<NodeId, usize> = order.iter().enumerate().map(|(at, &id)| (id, at)).collect();
        // a unit is known by the position of its first node
        let unit = |id: NodeId| position[&self.of_node.get(&id).map_or(id, |&at| self.loops[at].nodes[0])];
        let mut waiting: HashMap<usize, usize> = HashMap::new();
        let mut users: HashMap<usize, Vec<usize>> = HashMap::new();
        for &id in order {
            waiting.entry(unit(id)).or_default();
            for value in graph.operands(id).into_iter().filter(|value| unit(value.node) != unit(id)) {
                *waiting.entry(unit(id)).or_default() += 1;
                users.entry(unit(value.node)).or_default().push(unit(id));
            }
        }
        let mut ready: BinaryHeap<Reverse<usize>> =
            waiting.iter().filter(|&(_, &count)| count == 0).map(|(&at, _)| Reverse(at)).collect();
        let mut sorted = Vec::new();
        while let Some(Reverse(at)) = ready.pop() {
            waiting.remove(&at);
            sorted.push(match self.of_node.get(&order[at]) {
                Some(&index) => Unit::Loop(self.loops[index].clone()),
                None => Unit::Node(order[at]),
            });
            for user in users.remove(&at).unwrap_or_default() {
                if let Some(left) = waiting.get_mut(&user) {
                    *left -= 1;
                    if *left == 0 {
                        ready.push(Reverse(user));
                    }
                }
            }
        }
        // what waits forever goes around through a loop
        match self.loops.iter().find(|l| waiting.contains_key(&position[&l.nodes[0]])) {
            Some(l) => Err(RowsError::Cycle { begin: self.name(l.nodes[0]) }),
            None => Ok(sorted),
        }
    }
}
