//! Pools that change nothing.

use std::collections::HashSet;

use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::ir::{Network, Op, Pool, PoolKind};

/// Warns of windows of one element, such as `avgpool 1`: PyTorch's `AdaptiveAvgPool2d(1)`, which that resembles, has a size of the
/// output there.
pub(super) fn check(network: &Network, diags: &mut Vec<Diagnostic>) {
    let mut seen = HashSet::new();
    for id in network.graph.ids() {
        let node = network.graph.node(id);
        let span = node.origin.span;
        match &node.op {
            Op::Pool(pool) if is_identity(pool) && seen.insert(span) => {
                let (word, torch) = match pool.kind {
                    PoolKind::Max { .. } => ("maxpool", "AdaptiveMaxPool2d"),
                    PoolKind::Avg { .. } => ("avgpool", "AdaptiveAvgPool2d"),
                };
                let message = format!("`{word}` with windows of one element changes nothing");
                diags.push(
                    Diagnostic::warning(codes::IDENTITY_POOL, message, span, "its result is its input")
                        .help(format!("`{word} global` pools the whole feature map, as PyTorch's `{torch}(1)` does")),
                );
            }
            _ => {}
        }
    }
}

fn is_identity(pool: &Pool) -> bool {
    pool.kernel == [1, 1] && pool.stride == [1, 1] && pool.pad == [[0, 0]; 2]
}
