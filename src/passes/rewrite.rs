//! What several passes need.

use crate::ir::{Checked, NodeId, Value};

/// The one node that uses a value, and in which slot; `None` where several do, or where it is an output.
pub(super) fn single_user(checked: &Checked, node: NodeId) -> Option<(NodeId, usize)> {
    let graph = checked.graph();
    let [user] = graph.users(node)[..] else { return None };
    let is_output = graph.outputs().iter().any(|(_, value)| value.node == node);
    (!is_output).then_some(user)
}

/// Puts `by` in the place of a node's result, and removes the node.
pub(super) fn replace(checked: &mut Checked, node: NodeId, by: Value) {
    let graph = &mut checked.network.graph;
    graph.replace_uses(Value::from(node), by);
    graph.remove(node);
}
