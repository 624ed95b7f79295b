//! The order in which nodes are imported.

use std::collections::{HashMap, HashSet};

use super::super::error::OnnxError;
use super::super::proto::GraphProto;

/// The nodes that the outputs depend on, in topological order.
pub(super) fn sorted(graph: &GraphProto) -> Result<Vec<usize>, OnnxError> {
    let mut producer: HashMap<&str, usize> = HashMap::new();
    for (index, node) in graph.node.iter().enumerate() {
        for name in node.output.iter().filter(|name| !name.is_empty()) {
            if producer.insert(name, index).is_some() {
                return Err(OnnxError::Damaged { reason: format!("two nodes produce `{name}`") });
            }
        }
    }
    let given: HashSet<&str> = graph.input.iter().map(|i| i.name()).chain(graph.initializer.iter().map(|t| t.name())).collect();
    let reads = |index: usize| graph.node[index].input.iter().filter(|name| !name.is_empty());
    // depth first, with an explicit stack: a chain may be as long as the file
    let mut order = Vec::new();
    let mut state = vec![State::New; graph.node.len()];
    for output in &graph.output {
        let Some(&root) = producer.get(output.name()) else { continue };
        let mut stack = vec![(root, false)];
        while let Some((index, done)) = stack.pop() {
            if done {
                state[index] = State::Done;
                order.push(index);
                continue;
            }
            if state[index] != State::New {
                continue;
            }
            state[index] = State::Open;
            stack.push((index, true));
            for name in reads(index) {
                match producer.get(name.as_str()) {
                    Some(&from) if state[from] == State::Open => {
                        return Err(OnnxError::Damaged { reason: format!("its nodes form a cycle through `{name}`") });
                    }
                    Some(&from) => stack.push((from, false)),
                    None if given.contains(name.as_str()) => {}
                    None => {
                        let node = graph.node[index].name();
                        return Err(OnnxError::Damaged { reason: format!("`{node}` reads `{name}`, which nothing produces") });
                    }
                }
            }
        }
    }
    // keep the order of the file if it is already topological
    let follows = |&index: &usize| reads(index).all(|name| producer.get(name.as_str()).is_none_or(|&from| from < index));
    if order.iter().all(follows) {
        order.sort_unstable();
    }
    Ok(order)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Open,
    Done,
}
