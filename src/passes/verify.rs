//! Graph invariants.

use crate::ir::{Op, ParamRole, ShapedNetwork, TensorType, infer};

/// Verifies the graph: no cycles or dangling values, and shapes and parameters as the operators require. The error describes
/// the violation.
pub fn verify(network: &ShapedNetwork) -> Result<(), String> {
    let graph = network.graph();
    let order = graph.order();
    if order.len() != graph.len() {
        return Err("there is a cycle".to_owned());
    }
    let mut known = vec![false; graph.bound()];
    for id in order {
        known[id.index()] = true;
        let node = graph.node(id);
        let fail = |what: String| format!("{id} `{}` ({}): {what}", node.name, node.op.word());
        let results = network.types.results(id);
        if let Some(operand) = graph.operands(id).into_iter().find(|x| network.types.results(x.node).len() <= usize::from(x.port))
        {
            return Err(fail(format!("reads result {} of {}, which it does not have", operand.port, operand.node)));
        }
        match infer(&node.op, &network.types.operands(graph, id)) {
            Ok(types) if types.len() == results.len() && types.iter().zip(results).all(|(a, b)| same(a, b)) => {}
            Ok(types) => {
                return Err(fail(format!("has shape {}, but shape inference yields {}", text(results), text(&types))));
            }
            Err(error) => return Err(fail(error.to_string())),
        }
        let mut expected = node.op.params(&network.types.operand_shapes(graph, id));
        if network.is_lifted() {
            // a 1-D convolution keeps its declared weight shape
            expected.iter_mut().filter(|(_, shape)| shape.len() == 4).for_each(|(_, shape)| {
                shape.remove(2);
            });
        }
        let found: Vec<(ParamRole, Vec<usize>)> = node.params.iter().map(|p| (p.role, p.shape.clone())).collect();
        if expected != found {
            return Err(fail(format!("has the parameters {found:?} instead of {expected:?}")));
        }
        if matches!(node.op, Op::Input(_)) != graph.inputs().contains(&id) {
            return Err(fail("is not among the inputs".to_owned()));
        }
    }
    for (name, value) in graph.outputs() {
        if !known.get(value.node.index()).copied().unwrap_or(false)
            || network.types.results(value.node).len() <= usize::from(value.port)
        {
            return Err(format!("the output `{name}` names {}, which does not exist", value.node));
        }
    }
    Ok(())
}

/// All that a type states.
fn text(types: &[TensorType]) -> String {
    let list: Vec<String> = types.iter().map(|of| format!("{} ({}, {})", of.shape, of.dtype, of.rows)).collect();
    list.join(", ")
}

/// Whether types are equal. Free sizes may differ, since they can be equal under a condition.
fn same(a: &TensorType, b: &TensorType) -> bool {
    let shapes = match (a.shape.dims(), b.shape.dims()) {
        (Some(a), Some(b)) if a.len() == b.len() => a.iter().zip(b).all(|(a, b)| a.agrees(*b)),
        _ => a.shape == b.shape,
    };
    shapes && (a.dtype, a.rows) == (b.dtype, b.rows)
}
