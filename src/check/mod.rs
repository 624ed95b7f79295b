//! Design rules, dimensions, expectations; seals a [`Checked`].
//!
//! Checking yields a side table, not a changed graph: every node's shape, and the names of its parameters. All errors come
//! in one run, and a node whose shape failed silences those behind it.

mod expect;
mod rules;
mod shapes;
mod sizes;
#[cfg(test)]
mod tests;
mod usage;

pub use sizes::{AxisReport, Condition, Fits, FixedSizeError, SizeError, SizeReport, any_size, at_size, sizes};

use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::ir::{Checked, Graph, Network, NodeId, Param, ParamSource, Shape, params};

/// Checks a network. Everything wrong is added to `diags`; `None` where an error was found.
pub fn check(mut network: Network, diags: &mut Vec<Diagnostic>) -> Option<Checked> {
    let before = diags.len();
    let shapes = shapes::check(&network, diags);
    rules::check(&network, &shapes, diags);
    if !diags[before..].iter().any(Diagnostic::is_error) {
        some_size_fits(&network, &shapes, diags);
    }
    name_parameters(&mut network.graph, &shapes);
    let checked = Checked { network, shapes };
    // expectations of a network that does not fit together would only add noise
    if !diags[before..].iter().any(Diagnostic::is_error) {
        expect::check(&checked, diags);
        usage::check(&checked, diags);
    }
    if diags[before..].iter().any(Diagnostic::is_error) { None } else { Some(checked) }
}

/// Conditions on a free size may each be met and yet contradict each other.
fn some_size_fits(network: &Network, shapes: &[Shape], diags: &mut Vec<Diagnostic>) {
    for axis in sizes::report(&network.graph, shapes).axes {
        let Fits::Never(conditions) = &axis.fits else { continue };
        let Some(input) = network.graph.inputs().first() else { continue };
        let mut diag = Diagnostic::error(
            codes::NO_SIZE,
            format!("no {} fits the whole network", axis.axis),
            network.graph.node(*input).origin.span,
            "free here",
        );
        for condition in conditions.iter().take(4) {
            let span = network.graph.node(condition.node).origin.span;
            diag = diag.label(span, format!("fits where {} = {}", condition.left, condition.right));
        }
        diags.push(diag.rule("what is joined has equal height and width, everywhere at one size of the input"));
    }
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
