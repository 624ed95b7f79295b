//! Fuses an addition and an activation into the preceding convolution, linear layer or training-time norm, and a sum of
//! gradients into the convolution gradient that is one of its operands.
//!
//! The layer then also reads the addition's other operand. That operand cannot depend on the layer, since the addition is the
//! only user of the layer's result, so the graph stays acyclic.

use super::rewrite::{replace, single_user};
use crate::ir::{Act, Epilogue, NodeId, Op, ShapedNetwork, Value};

pub(super) fn run(network: &mut ShapedNetwork) {
    for id in network.graph().order() {
        match network.graph().node(id).op {
            Op::Add => fuse_add(network, id),
            Op::Act(act) => fuse_act(network, id, act),
            _ => {}
        }
    }
}

/// `layer + other` becomes the layer with a residual. If both operands are layers, the first one is fused: in a block
/// this is the last convolution, and the projection becomes the residual.
fn fuse_add(network: &mut ShapedNetwork, add: NodeId) {
    let operands = network.graph().operands(add);
    let [a, b] = operands[..] else { return };
    for (layer, other) in [(a, b), (b, a)] {
        if single_user(network, layer) != Some((add, usize::from(layer == b))) || layer == other {
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

fn fuse_act(network: &mut ShapedNetwork, id: NodeId, act: Act) {
    let Some(&operand) = network.graph().operands(id).first() else { return };
    if single_user(network, operand).is_none() {
        return;
    }
    let Some(epilogue) = epilogue(network, operand.node).filter(|e| e.act.is_none()) else { return };
    epilogue.act = Some(act);
    replace(network, id, operand);
}

/// The epilogue of a layer.
fn epilogue(network: &mut ShapedNetwork, node: NodeId) -> Option<&mut Epilogue> {
    network.graph_mut().node_mut(node).op.epilogue_mut()
}
