//! Folds a learned factor of each channel (layer scale, SkipInit) into the preceding convolution or linear layer, whose weight and bias are then
//! derived.

use super::rewrite::{replace, same_precision, single_user};
use crate::elementwise::Program;
use crate::ir::{Broadcast, Epilogue, FilterAxis, NodeId, Op, Param, ParamRole, ParamSource, ShapedNetwork, Value};

pub(super) fn run(network: &mut ShapedNetwork) {
    for id in network.graph().order() {
        let Some(factor) = factor(&network.graph().node(id).op) else { continue };
        let Some(factor) = network.graph().node(id).params.iter().find(|param| param.role == factor).cloned() else { continue };
        let Some(&operand) = network.graph().operands(id).first() else { continue };
        if single_user(network, operand).is_some()
            && same_precision(network, operand.node, id)
            && fold(network, operand.node, &factor)
        {
            replace(network, id, Value::from(operand.node));
        }
    }
}

/// The factor of a function that only multiplies by one.
fn factor(op: &Op) -> Option<ParamRole> {
    let function = op.as_elementwise().filter(|function| function.program == Program::product())?;
    match function.operands[..] {
        [ref x, ref factor] if x.broadcast == Broadcast::Full && factor.broadcast.is_learned() => Some(ParamRole::Operand(1)),
        _ => None,
    }
}

/// Multiplies a layer's parameters by the factor; `false` if the node is no such layer, or has an epilogue.
fn fold(network: &mut ShapedNetwork, layer: NodeId, factor: &Param) -> bool {
    let node = network.graph_mut().node_mut(layer);
    if node.op.bias_mut().is_none() || node.op.epilogue().is_some_and(|epilogue| *epilogue != Epilogue::default()) {
        return false;
    }
    let weights = node.op.filter_axis();
    for param in &mut node.params {
        let of = Box::new(param.source.clone());
        let axis = if param.role == ParamRole::Weight { weights } else { FilterAxis::First };
        param.source = ParamSource::Scaled { of, factor: Box::new(factor.clone()), axis };
    }
    true
}
