//! Dead code elimination: removes nodes with unused results. Inputs stay, since callers refer to them.

use crate::ir::{Checked, Op};

pub(super) fn run(checked: &mut Checked) {
    let order = checked.graph().order();
    for id in order.into_iter().rev() {
        let graph = checked.graph();
        let used = !graph.users(id).is_empty() || graph.outputs().iter().any(|(_, value)| value.node == id);
        if !used && !matches!(graph.node(id).op, Op::Input(_)) {
            checked.network.graph.remove(id);
        }
    }
}
