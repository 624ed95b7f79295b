//! Cuts a file: other values become its outputs, and what they do not need is left out.

use std::collections::HashSet;

use super::super::error::OnnxError;
use super::super::proto::{GraphProto, ValueInfoProto};
use super::order::sorted;
use crate::elaborate::nearest;

/// Makes these values the outputs of a graph.
pub(super) fn cut(graph: &mut GraphProto, names: &[String]) -> Result<(), OnnxError> {
    let produced: Vec<&str> = graph.node.iter().flat_map(|node| &node.output).map(String::as_str).collect();
    for name in names {
        if !produced.contains(&name.as_str()) {
            let similar = nearest(name, produced.iter().copied()).map(|near| format!("did you mean `{near}`?"));
            return Err(OnnxError::NoValue { name: name.clone(), hint: similar });
        }
    }
    let output = |name: &String| ValueInfoProto { name: Some(name.clone()), ..ValueInfoProto::default() };
    graph.output = names.iter().map(output).collect();
    let needed: HashSet<usize> = sorted(graph)?.into_iter().collect();
    let mut at = 0..;
    graph.node.retain(|_| at.next().is_some_and(|index| needed.contains(&index)));
    Ok(())
}
