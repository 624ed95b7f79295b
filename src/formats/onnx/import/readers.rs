//! What nodes accept of their operands.

use super::super::proto::NodeProto;

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

/// Whether a node combines a value with another one, to whose shape it repeats it.
pub(super) fn combines(node: &NodeProto, _: usize) -> bool {
    matches!(node.op_type(), "Add" | "Sub" | "Mul" | "Div") && node.input.len() == 2 && node.input[0] != node.input[1]
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
