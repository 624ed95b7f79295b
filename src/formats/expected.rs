//! The parameters that a network needs.

use std::collections::BTreeMap;

use crate::ir::{Checked, NodeId, ParamSource};

/// A parameter that the network needs.
pub(super) struct Expected<'a> {
    pub shape: &'a [usize],
    pub node: NodeId,
}

/// All parameters of a network, by full name.
pub(super) fn expected(checked: &Checked) -> BTreeMap<&str, Expected<'_>> {
    let mut list = BTreeMap::new();
    for id in checked.graph().ids() {
        for param in &checked.graph().node(id).params {
            if let ParamSource::Named(name) = &param.source {
                list.insert(name.as_str(), Expected { shape: &param.shape, node: id });
            }
        }
    }
    list
}
