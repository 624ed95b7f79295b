//! Drops identities in inference: dropout, empty padding, subsampling by 1, and flattening of a vector.

use super::rewrite::replace;
use crate::ir::{NodeId, Op, ShapedNetwork};

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
    match &network.graph().node(id).op {
        Op::Dropout(_) => true,
        Op::Pad(p) => p.channels == [0; 2] && p.sides == [[0; 2]; 2],
        Op::Subsample(stride) => *stride == [1, 1],
        Op::Upsample(times) => *times == Some([1, 1]),
        Op::Clamp(clamp) => clamp.min.is_none() && clamp.max.is_none(),
        Op::Scale(scale) => scale.times == 1.0 && scale.plus == 0.0,
        Op::Flatten => network.graph().operands(id).first().is_some_and(|x| network.shape(*x) == network.shape(id)),
        Op::Input(_)
        | Op::Conv(_)
        | Op::BatchNorm(_)
        | Op::Act(_)
        | Op::Add
        | Op::Mul
        | Op::Concat
        | Op::Pool(_)
        | Op::AdaptiveAvgPool(_)
        | Op::GlobalMaxPool
        | Op::Linear(_)
        | Op::Softmax
        | Op::Train(_) => false,
    }
}
