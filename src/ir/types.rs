//! The types of a graph's values.

use super::{Graph, NodeId, Shape, ShapeError, TensorType, Value, infer};

/// The type of values that were not inferred, because of an error.
static UNKNOWN: TensorType = TensorType::per_sample(Shape::Unknown);

/// The types of a graph's values: of each node, one for each of its results.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Types(Vec<Vec<TensorType>>);

impl Types {
    /// The type of a value; unknown if it was not inferred.
    pub fn get(&self, value: impl Into<Value>) -> &TensorType {
        let value = value.into();
        self.results(value.node).get(usize::from(value.port)).unwrap_or(&UNKNOWN)
    }

    /// The shape of a value; unknown if it was not inferred.
    pub fn shape(&self, value: impl Into<Value>) -> &Shape {
        &self.get(value).shape
    }

    /// The types of a node's results; empty if they were not inferred.
    pub fn results(&self, node: NodeId) -> &[TensorType] {
        self.0.get(node.index()).map_or(&[], Vec::as_slice)
    }

    /// The types of a node's results, mutably.
    pub fn results_mut(&mut self, node: NodeId) -> &mut [TensorType] {
        self.0.get_mut(node.index()).map_or(&mut [], Vec::as_mut_slice)
    }

    /// Sets the types of a node's results.
    pub fn set(&mut self, node: NodeId, results: Vec<TensorType>) {
        if self.0.len() <= node.index() {
            self.0.resize(node.index() + 1, Vec::new());
        }
        self.0[node.index()] = results;
    }

    /// The types of a node's operands.
    pub fn operands(&self, graph: &Graph, node: NodeId) -> Vec<TensorType> {
        graph.operands(node).into_iter().map(|value| self.get(value).clone()).collect()
    }

    /// The shapes of a node's operands.
    pub fn operand_shapes(&self, graph: &Graph, node: NodeId) -> Vec<Shape> {
        graph.operands(node).into_iter().map(|value| self.shape(value).clone()).collect()
    }

    /// Infers the types of a node's results from those of its operands.
    pub fn infer(&mut self, graph: &Graph, node: NodeId) -> Result<(), ShapeError> {
        let results = infer(&graph.node(node).op, &self.operands(graph, node))?;
        self.set(node, results);
        Ok(())
    }
}
