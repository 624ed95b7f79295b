//! What nodes accept of their operands, and which nodes read a value.

use std::collections::{HashMap, HashSet};

use super::super::proto::{GraphProto, NodeProto};
use super::call::Call;

/// The operators whose operand may have any axes.
const READ_ANY_AXES: &[&str] =
    &["Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Softmax", "Shape", "ReduceMean", "ReduceMax", "ReduceSum"];

/// Whether a node takes an operand with any axes in this slot.
pub(super) fn takes_any_axes(node: &NodeProto, slot: usize) -> bool {
    // a convolution along the channels, or of a 1-D value
    let has_length = || node.attribute.iter().any(|of| of.name() == "kernel_shape" && of.ints.len() == 1);
    node.op_type() == "MatMul"
        || slot == 0 && (READ_ANY_AXES.contains(&node.op_type()) || (node.op_type() == "Conv" && has_length()))
}

/// Operators that compute each element on its own.
pub(super) const ELEMENTWISE: &[&str] = &[
    "Abs",
    "Add",
    "Cast",
    "Celu",
    "Clip",
    "Div",
    "Dropout",
    "Elu",
    "Erf",
    "Exp",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "LeakyRelu",
    "Log",
    "Mish",
    "Mul",
    "Neg",
    "Pow",
    "Reciprocal",
    "Relu",
    "Selu",
    "Sigmoid",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Sub",
    "Sum",
    "Swish",
    "Tanh",
];

/// Whether an operator takes a value whose channels come last.
pub(super) fn takes_channels_last(op: &str) -> bool {
    matches!(op, "Transpose" | "LayerNormalization" | "MatMul" | "Split" | "Concat" | "ReduceMean") || ELEMENTWISE.contains(&op)
}

/// The powers of a graph that only a mean of all places reads, whose only reader is a power again.
pub(super) fn powers(graph: &GraphProto) -> HashSet<&str> {
    let mut readers: HashMap<&str, Vec<&NodeProto>> = HashMap::new();
    for node in &graph.node {
        for name in &node.input {
            readers.entry(name).or_default().push(node);
        }
    }
    let outputs: HashSet<&str> = graph.output.iter().map(|output| output.name()).collect();
    let only = |name: &str| match readers.get(name).map(Vec::as_slice) {
        Some([reader]) if !outputs.contains(name) => Some(*reader),
        _ => None,
    };
    let is_pooled = |name: &str| {
        let mean = only(name).filter(|node| matches!(node.op_type(), "GlobalAveragePool" | "ReduceMean"))?;
        let root = only(mean.output.first()?)?;
        (root.op_type() == "Pow" && root.input.first() == mean.output.first()).then_some(())
    };
    let powers = graph.node.iter().filter(|node| node.op_type() == "Pow").filter_map(|node| node.output.first());
    powers.map(String::as_str).filter(|name| is_pooled(name).is_some()).collect()
}

/// The values that one operation on two values reads and nothing else, with the name of the other value.
pub(super) fn other_operands(graph: &GraphProto) -> HashMap<&str, &str> {
    let mut uses: HashMap<&str, usize> = HashMap::new();
    graph.node.iter().flat_map(|node| &node.input).for_each(|name| *uses.entry(name).or_default() += 1);
    graph.output.iter().for_each(|output| *uses.entry(output.name()).or_default() += 1);
    let of_two = graph.node.iter().filter(|node| matches!(node.op_type(), "Add" | "Sub" | "Mul" | "Div"));
    let pairs = of_two.filter_map(|node| match &node.input[..] {
        [a, b] => Some([(a.as_str(), b.as_str()), (b.as_str(), a.as_str())]),
        _ => None,
    });
    pairs.flatten().filter(|(name, _)| uses.get(name) == Some(&1)).collect()
}

/// The values that only nodes read which take them; a node is asked with the slot of its operand.
pub(super) fn read_only_by(graph: &GraphProto, takes: impl Fn(&NodeProto, usize) -> bool) -> HashSet<&str> {
    let reads = graph.node.iter().flat_map(|node| node.input.iter().enumerate().map(move |(slot, name)| (node, slot, name)));
    let mut others: HashSet<&str> =
        reads.filter(|(node, slot, _)| !takes(node, *slot)).map(|(_, _, name)| name.as_str()).collect();
    others.extend(graph.output.iter().map(|output| output.name()));
    let all = graph.node.iter().flat_map(|node| &node.output).map(String::as_str);
    all.filter(|name| !others.contains(name)).collect()
}

/// Whether all uses of an input without a batch flatten it.
pub(super) fn is_only_flattened(graph: &GraphProto, name: &str, axes: usize) -> bool {
    let flattens = |node: &NodeProto| {
        let axis = Call::new(node, 0).int("axis").unwrap_or(1);
        node.op_type() == "Flatten" && (axis == 0 || axis == -(axes as i64))
    };
    graph.node.iter().filter(|node| node.input.iter().any(|input| input == name)).all(flattens)
        && graph.output.iter().all(|output| output.name() != name)
}
