//! Folds a batch norm into the preceding convolution or linear layer, which then has derived parameters and always a bias.
//!
//! A norm whose operand has other users, or that follows an activation, stays; the planner lowers it to a scale and shift.

use super::rewrite::{replace, same_precision, single_user};
use crate::ir::{BatchNorm, Epilogue, NodeId, Op, Param, ParamRole, ParamSource, ShapedNetwork, Value};

pub(super) fn run(network: &mut ShapedNetwork) {
    for id in network.graph().order() {
        let Op::BatchNorm(norm) = network.graph().node(id).op else { continue };
        let Some(&operand) = network.graph().operands(id).first() else { continue };
        if single_user(network, operand).is_some()
            && same_precision(network, operand.node, id)
            && fold(network, operand.node, id, norm)
        {
            replace(network, id, Value::from(operand.node));
        }
    }
}

/// Derives the layer's parameters; `false` if the node is no such layer, or has an epilogue.
fn fold(network: &mut ShapedNetwork, layer: NodeId, norm_node: NodeId, norm: BatchNorm) -> bool {
    let norm_name = network.graph().node(norm_node).name.clone();
    let node = network.graph_mut().node_mut(layer);
    if node.op.epilogue().is_some_and(|epilogue| *epilogue != Epilogue::default()) {
        return false;
    }
    // a second norm would have to fold into parameters that are already derived
    let named = node.params.iter().all(|p| matches!(p.source, ParamSource::Named(_)));
    let Some(weight) = node.params.iter().find(|p| p.role == ParamRole::Weight).filter(|_| named) else { return false };
    let axis = node.op.filter_axis();
    let Some((bias, outputs)) = node.op.bias_mut() else { return false };
    let conv_bias = std::mem::replace(bias, true);
    let conv = node.name.clone();
    let eps = norm.eps;
    node.params = vec![
        Param {
            role: ParamRole::Weight,
            shape: weight.shape.clone(),
            source: ParamSource::FoldedWeight { conv: conv.clone(), norm: norm_name.clone(), eps, axis },
        },
        Param {
            role: ParamRole::Bias,
            shape: vec![outputs],
            source: ParamSource::FoldedBias { conv, conv_bias, norm: norm_name, eps },
        },
    ];
    true
}
