//! Images whose channels come last.

use super::super::proto::{GraphProto, ValueInfoProto};
use super::call::Call;
use super::readers::ELEMENTWISE;

/// The largest number of channels of an image that comes with its channels last.
const IMAGE_CHANNELS: i64 = 4;

/// Whether an input is an image whose channels come last, as in TensorFlow, and is turned before anything but elementwise operators
/// reads it.
pub(super) fn is_turned(graph: &GraphProto, input: &ValueInfoProto) -> bool {
    let tensor = input.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
    let Some([_, _, _, channels]) = tensor.and_then(|t| t.shape.as_ref()).map(|shape| &shape.dim[..]) else { return false };
    if !channels.dim_value.is_some_and(|n| (1..=IMAGE_CHANNELS).contains(&n)) {
        return false;
    }
    let (mut open, mut found) = (vec![input.name()], false);
    // a chain of a few steps: `(x - mean) / std`
    for _ in 0..MAX_STEPS {
        let Some(name) = open.pop() else { return found };
        if graph.output.iter().any(|output| output.name() == name) {
            return false;
        }
        for node in graph.node.iter().filter(|node| node.input.iter().any(|input| input == name)) {
            match node.op_type() {
                "Transpose" if Call::new(node, 0).ints("perm") == Some(&[0, 3, 1, 2]) => found = true,
                op if ELEMENTWISE.contains(&op) => open.extend(node.output.first().map(String::as_str)),
                _ => return false,
            }
        }
    }
    false
}

/// The maximum number of operators before an input is turned.
const MAX_STEPS: usize = 16;
