//! Fuses the gradient of a ReLU into the gradients of the preceding norm, which can recompute where its result was positive.
//!
//! This does not apply if a residual was added in between: the sum cannot be recomputed from the norm's operand.

use crate::ir::{Act, Node, NodeId, Op, ShapedNetwork, Train, Value};

pub(super) fn run(network: &mut ShapedNetwork) {
    for id in network.graph().order() {
        fuse(network, id);
    }
}

fn fuse(network: &mut ShapedNetwork, id: NodeId) -> Option<()> {
    let graph = network.graph();
    if graph.node(id).op != Op::Train(Train::ActGrad(Act::Relu)) {
        return None;
    }
    let [dy, y] = graph.operands(id)[..] else { return None };
    let norm = graph.node(y.node);
    let Op::Train(Train::BatchNorm { epilogue, .. }) = &norm.op else { return None };
    if epilogue.residual || epilogue.act != Some(Act::Relu) {
        return None;
    }
    // its only users are the norm's gradients, as their second operand
    let x = graph.operands(y.node).first().copied()?;
    let users = graph.users(id);
    let of_norm = |node: NodeId| {
        let is = matches!(
            graph.node(node).op,
            Op::Train(Train::NormGradParams { act: None, .. } | Train::NormGradInput { act: None, .. })
        );
        is && graph.operands(node).first() == Some(&x) && graph.node(node).origin == norm.origin
    };
    if graph.is_output(id) || users.is_empty() || !users.iter().all(|&(user, slot)| slot == 1 && of_norm(user)) {
        return None;
    }
    let params = norm.params.clone();
    for (user, _) in users {
        let Node { op, params: own, .. } = network.graph_mut().node_mut(user);
        if let Op::Train(Train::NormGradParams { act, .. } | Train::NormGradInput { act, .. }) = op {
            *act = Some(Act::Relu);
            own.clone_from(&params);
        }
    }
    let graph = network.graph_mut();
    graph.replace_uses(Value::from(id), dy);
    graph.remove(id);
    Some(())
}
