//! Checks shapes, design rules and expectations, and produces a [`Checked`].
//!
//! Checking infers every node's shape and names its parameters; it does not change the graph's structure. One run reports all
//! errors, except for nodes that depend on a node whose shape inference failed.

mod expect;
mod identity;
mod joins;
mod rules;
mod shapes;
mod sizes;
#[cfg(test)]
mod tests;
mod usage;

pub use sizes::{AxisReport, Condition, Fits, FixedSizeError, SizeError, SizeReport, any_size, at_size, sizes};

use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::ir::{Checked, Graph, Network, NodeId, Param, ParamSource, Types};

/// Checks a network. Problems are added to `diags`; returns `None` if there is an error.
pub fn check(network: Network, diags: &mut Vec<Diagnostic>) -> Option<Checked> {
    let before = diags.len();
    let checked = inspect(network, diags);
    checked.filter(|_| !diags[before..].iter().any(Diagnostic::is_error))
}

/// Checks a network that is only looked at: one that breaks its expectations is returned too.
pub fn inspect(mut network: Network, diags: &mut Vec<Diagnostic>) -> Option<Checked> {
    let before = diags.len();
    let types = shapes::check(&network, diags);
    rules::check(&network, &types, diags);
    identity::check(&network, diags);
    if !diags[before..].iter().any(Diagnostic::is_error) {
        some_size_fits(&network, &types, diags);
    }
    name_parameters(&mut network.graph, &types);
    network.precision.assign(&mut network.graph);
    let checked = Checked::new(network, types);
    // if shapes are wrong, failed expectations would only add noise
    if diags[before..].iter().any(Diagnostic::is_error) {
        return None;
    }
    expect::check(&checked, diags);
    usage::check(&checked, diags);
    Some(checked)
}

/// Conditions on a free size can be satisfiable individually but contradict each other.
fn some_size_fits(network: &Network, types: &Types, diags: &mut Vec<Diagnostic>) {
    for axis in sizes::report(&network.graph, types).axes {
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
        diags.push(diag.rule("joined values have equal height and width, all at the same input size"));
    }
}

fn name_parameters(graph: &mut Graph, types: &Types) {
    let ids: Vec<NodeId> = graph.ids().collect();
    for id in ids {
        let list = graph.node(id).op.params(&types.operand_shapes(graph, id));
        let node = graph.node_mut(id);
        node.params = list
            .into_iter()
            .map(|(role, shape)| Param { role, shape, source: ParamSource::Named(node.op.full_param_name(&node.name, role)) })
            .collect();
    }
}
