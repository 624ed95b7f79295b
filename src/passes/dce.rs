//! Dead code elimination: removes nodes with unused results. Inputs stay, since callers refer to them.

use crate::ir::{Op, ShapedNetwork};

pub(super) fn run(network: &mut ShapedNetwork) {
    let order = network.graph().order();
    for id in order.into_iter().rev() {
        let graph = network.graph();
        if !graph.is_used(id) && !matches!(graph.node(id).op, Op::Input(_)) {
            network.graph_mut().remove(id);
        }
    }
}
