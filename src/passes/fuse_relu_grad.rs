//! Fuses the gradient of a ReLU into the gradients of the preceding norm, which can recompute where its result was positive.
//!
//! This does not apply if a residual was added in between: the sum cannot be recomputed from the norm's operand.

use crate::elementwise::Program;
use crate::ir::{Node, NodeId, Op, ShapedNetwork, Train, Value};

pub(super) fn run(network: &mut ShapedNetwork) {
    let Ok(gradient) = Program::relu().gradient(0) else { return };
    for id in network.graph().order() {
        fuse(network, id, &gradient.program);
    }
}

/// `gradient` is that of a ReLU, with the operands `dy` and `y`.
fn fuse(network: &mut ShapedNetwork, id: NodeId, gradient: &Program) -> Option<()> {
    let graph = network.graph();
    if graph.node(id).op.as_elementwise()?.program != *gradient {
        return None;
    }
    let [dy, y] = graph.operands(id)[..] else { return None };
    let norm = graph.node(y.node);
    let Op::Train(Train::BatchNorm { epilogue, .. }) = &norm.op else { return None };
    if epilogue.residual || !epilogue.act.as_ref().is_some_and(|act| act.program.is_relu()) {
        return None;
    }
    // its only users are the norm's gradients, as their second operand
    let x = graph.operands(y.node).first().copied()?;
    let users = graph.users(id);
    let of_norm = |node: NodeId| {
        let is = matches!(
            graph.node(node).op,
            Op::Train(Train::NormGradParams { relu: false, .. } | Train::NormGradInput { relu: false, .. })
        );
        is && graph.operands(node).first() == Some(&x) && graph.node(node).origin == norm.origin
    };
    if graph.is_output(id) || users.is_empty() || !users.iter().all(|&(user, slot)| slot == 1 && of_norm(user)) {
        return None;
    }
    let params = norm.params.clone();
    for (user, _) in users {
        let Node { op, params: own, .. } = network.graph_mut().node_mut(user);
        if let Op::Train(Train::NormGradParams { relu, .. } | Train::NormGradInput { relu, .. }) = op {
            *relu = true;
            own.clone_from(&params);
        }
    }
    let graph = network.graph_mut();
    graph.replace_uses(Value::from(id), dy);
    graph.remove(id);
    Some(())
}
