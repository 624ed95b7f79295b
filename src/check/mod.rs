//! Design rules, dimensions, expectations; seals a [`Checked`].
//!
//! Checking yields a side table, not a changed graph: every node's shape, and the names of its parameters. All errors come
//! in one run, and a node whose shape failed silences those behind it.

mod expect;
mod rules;
mod shapes;
mod sizes;

pub use sizes::{SizeError, SizeReport, at_size, sizes};

use crate::base::diagnostic::Diagnostic;
use crate::ir::{Checked, Graph, Network, NodeId, Param, ParamSource, Shape, params};

/// Checks a network. Everything wrong is added to `diags`; `None` where an error was found.
pub fn check(mut network: Network, diags: &mut Vec<Diagnostic>) -> Option<Checked> {
    let before = diags.len();
    let shapes = shapes::check(&network, diags);
    rules::check(&network, &shapes, diags);
    name_parameters(&mut network.graph, &shapes);
    let checked = Checked { network, shapes };
    // expectations of a network that does not fit together would only add noise
    if !diags[before..].iter().any(Diagnostic::is_error) {
        expect::check(&checked, diags);
    }
    if diags[before..].iter().any(Diagnostic::is_error) { None } else { Some(checked) }
}

/// The shapes of a node's operands.
fn operand_shapes(graph: &Graph, shapes: &[Shape], node: NodeId) -> Vec<Shape> {
    graph.operands(node).iter().map(|value| shapes[value.node.index()].clone()).collect()
}

fn name_parameters(graph: &mut Graph, shapes: &[Shape]) {
    let ids: Vec<NodeId> = graph.ids().collect();
    for id in ids {
        let list = params(&graph.node(id).op, &operand_shapes(graph, shapes, id));
        let node = graph.node_mut(id);
        node.params = list
            .into_iter()
            .map(|(role, shape)| Param { role, shape, source: ParamSource::Named(format!("{}.{}", node.name, role.suffix())) })
            .collect();
    }
}
