//! Drops identities in inference: dropout, empty padding, subsampling by 1, and flattening of a vector.

use super::rewrite::replace;
use crate::ir::{NodeId, ShapedNetwork};

pub(super) fn run(network: &mut ShapedNetwork) {
    for id in network.graph().order() {
        if is_identity(network, id)
            && let Some(&x) = network.graph().operands(id).first()
        {
            replace(network, id, x);
        }
    }
}

fn is_identity(network: &ShapedNetwork, id: NodeId) -> bool {
    let graph = network.graph();
    graph.node(id).op.is_identity(&network.types.operand_shapes(graph, id), network.shape(id))
}
