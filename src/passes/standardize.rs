//! Turns convolutions with standardized weights into plain ones, whose weights are derived: in inference they are standardized once, when they
//! are bound, and in training after each step.

use crate::ir::{Conv, Op, ShapedNetwork, Train};

pub(super) fn run(network: &mut ShapedNetwork) {
    for id in network.graph().order() {
        let node = network.graph_mut().node_mut(id);
        if let Op::Conv(conv) | Op::Train(Train::ConvGradInput { conv, .. }) = &mut node.op
            && let Some(params) = Conv::standardized(conv, &node.params)
        {
            conv.standardize = None;
            node.params = params;
        }
    }
}
