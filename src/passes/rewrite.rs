//! Helpers shared by passes.

use crate::ir::{NodeId, ShapedNetwork, Value};

/// Whether two nodes compute in the same precision. What is fused stores its result once, so it may not differ.
pub(super) fn same_precision(network: &ShapedNetwork, a: NodeId, b: NodeId) -> bool {
    network.graph().node(a).precision == network.graph().node(b).precision
}

/// The only user of a value, with its slot; `None` if there are several, or the value is an output.
pub(super) fn single_user(network: &ShapedNetwork, value: Value) -> Option<(NodeId, usize)> {
    let graph = network.graph();
    let [user] = graph.users(value)[..] else { return None };
    (!graph.is_output(value)).then_some(user)
}

/// Replaces a node's result with `by`, and removes the node.
pub(super) fn replace(network: &mut ShapedNetwork, node: NodeId, by: Value) {
    let graph = network.graph_mut();
    graph.replace_uses(Value::from(node), by);
    graph.remove(node);
}
