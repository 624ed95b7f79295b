//! Graph invariants.

use crate::ir::{Op, ParamRole, Shape, ShapedNetwork, infer};

/// Verifies the graph: no cycles or dangling values, and shapes and parameters as the operators require. The error describes
/// the violation.
pub fn verify(network: &ShapedNetwork) -> Result<(), String> {
    let graph = network.graph();
    let order = graph.order();
    if order.len() != graph.len() {
        return Err("there is a cycle".to_owned());
    }
    if network.shapes.len() < graph.bound() {
        return Err(format!("{} shapes for nodes up to {}", network.shapes.len(), graph.bound()));
    }
    let mut known = vec![false; graph.bound()];
    for id in order {
        known[id.index()] = true;
        let node = graph.node(id);
        let fail = |what: String| format!("{id} `{}` ({}): {what}", node.name, node.op.word());
        for (slot, operand) in graph.operands(id).iter().enumerate() {
            if graph.node(operand.node).op.is_batched() != node.op.takes_batched(slot) {
                return Err(fail(format!("has a batched and an unbatched value mixed up in slot {slot}")));
            }
        }
        let inputs: Vec<Shape> = graph.operands(id).iter().map(|v| network.shape(v.node).clone()).collect();
        match infer(&node.op, &inputs) {
            Ok(shape) if same(&shape, network.shape(id)) => {}
            Ok(shape) => return Err(fail(format!("has shape {}, but shape inference yields {shape}", network.shape(id)))),
            Err(error) => return Err(fail(error.to_string())),
        }
        let mut expected = node.op.params(&inputs);
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
        if !known.get(value.node.index()).copied().unwrap_or(false) {
            return Err(format!("the output `{name}` names {}, which does not exist", value.node));
        }
    }
    Ok(())
}

/// Whether shapes are equal. Free sizes may differ, since they can be equal under a condition.
fn same(a: &Shape, b: &Shape) -> bool {
    match (a.dims(), b.dims()) {
        (Some(a), Some(b)) if a.len() == b.len() => a.iter().zip(b).all(|(a, b)| a.agrees(*b)),
        _ => a == b,
    }
}
