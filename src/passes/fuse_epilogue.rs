//! Fuses an addition and functions of one value into the preceding convolution, linear layer or training-time norm, and a sum of
//! gradients into the convolution gradient that is one of its operands.
//!
//! The layer then also reads the addition's other operand. That operand cannot depend on the layer, since the addition is the
//! only user of the layer's result, so the graph stays acyclic.

use std::sync::Arc;

use super::fuse_elementwise::fused_name;
use super::rewrite::{replace, same_precision, single_user};
use crate::ir::{Elementwise, Epilogue, NodeId, ShapedNetwork, Value};

pub(super) fn run(network: &mut ShapedNetwork) {
    for id in network.graph().order() {
        let op = &network.graph().node(id).op;
        if op.is_add() {
            fuse_add(network, id);
        } else if let Some(function) = op.as_elementwise().filter(|function| function.is_unary()) {
            let function = Arc::clone(function);
            fuse_activation(network, id, function);
        }
    }
}

/// `layer + other` becomes the layer with a residual. If both operands are layers, the first one is fused: in a block
/// this is the last convolution, and the projection becomes the residual.
fn fuse_add(network: &mut ShapedNetwork, add: NodeId) {
    let operands = network.graph().operands(add);
    let [a, b] = operands[..] else { return };
    for (layer, other) in [(a, b), (b, a)] {
        let is_only_user = single_user(network, layer) == Some((add, usize::from(layer == b)));
        if !is_only_user || layer == other || !same_precision(network, layer.node, add) {
            continue;
        }
        let free = |e: &Epilogue| !e.residual && e.act.is_none();
        let Some(epilogue) = epilogue(network, layer.node).filter(|e| free(e)) else { continue };
        epilogue.residual = true;
        network.graph_mut().push_operand(layer.node, other);
        replace(network, add, Value::from(layer.node));
        return;
    }
}

/// The function becomes the last one of the layer's epilogue, after one that is already there.
fn fuse_activation(network: &mut ShapedNetwork, id: NodeId, function: Arc<Elementwise>) {
    let Some(&operand) = network.graph().operands(id).first() else { return };
    if single_user(network, operand).is_none() || !same_precision(network, operand.node, id) {
        return;
    }
    let Some(epilogue) = epilogue(network, operand.node) else { return };
    let function = match &epilogue.act {
        None => function,
        Some(before) => match function.program.compose(0, &before.program) {
            Ok(program) => Arc::new(Elementwise::unary(fused_name(before, &function), program)),
            // together they are too long
            Err(_) => return,
        },
    };
    epilogue.act = Some(function);
    replace(network, id, operand);
}

/// The epilogue of a layer.
fn epilogue(network: &mut ShapedNetwork, node: NodeId) -> Option<&mut Epilogue> {
    network.graph_mut().node_mut(node).op.epilogue_mut()
}
