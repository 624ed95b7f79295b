//! Advice for joins whose operands differ.

use crate::ir::Shape;

/// What makes the operands of a join equal, where it is known. `linear` says which of the two a linear layer computed.
pub(super) fn help(op: &str, left: &Shape, right: &Shape, linear: [bool; 2]) -> Option<String> {
    let vector = [left, right].into_iter().zip(linear).find(|(shape, _)| is_vector(shape));
    match (vector, left.map(), right.map()) {
        (Some((shape, is_linear)), ..) => {
            let features = shape.channels()?;
            match (op, is_linear) {
                ("mul", _) => Some(format!(
                    "`conv 1x1, filters: {features}, bias: true` instead of `linear {features}` keeps a gate {features} x 1 x 1"
                )),
                (_, true) => Some(format!(
                    "`linear` flattens the feature map; at every place, as after PyTorch's `permute`, it is `conv 1x1, filters: {features}, bias: true`"
                )),
                (_, false) => None,
            }
        }
        (None, Some(a), Some(b)) if op == "mul" => gate(left.channels()?, right.channels()?, a == b),
        (None, Some(a), Some(b)) if a != b => Some(size(op, left, right)),
        (None, Some(_), Some(_)) if op == "add" => {
            let (to, from) = (right.channels()?, left.channels()?);
            Some(format!("`conv 1x1, filters: {to}` before `add` makes {to} channels of the {from}"))
        }
        _ => None,
    }
}

fn is_vector(shape: &Shape) -> bool {
    shape.dims().is_some_and(|dims| dims.len() == 1)
}

/// A factor for each place has a channel, and one for each channel a pixel.
fn gate(x: usize, gate: usize, is_same_map: bool) -> Option<String> {
    let declared = "a factor for each place is an operand of a function: `elementwise gated(x, gate: pixel) = x * gate` in front of the network";
    match (x, gate) {
        (1, more) if more > 1 && is_same_map => {
            Some(format!("{declared}, then `gated LABEL` where the value of {more} channels is the current one"))
        }
        (_, 1) if is_same_map => Some(format!("{declared}, then `branch gate {{ … }}` and `gated gate`")),
        _ if x != gate => Some(format!("a gate has as many channels as the value that it multiplies: {x}, not {gate}")),
        _ => None,
    }
}

/// The current value is enlarged or shrunk to the size of the other one.
fn size(op: &str, left: &Shape, right: &Shape) -> String {
    let rows = |shape: &Shape| shape.map().and_then(|map| map.first().and_then(|rows| rows.fixed()));
    let is_larger = rows(left).zip(rows(right)).is_some_and(|(left, right)| left > right);
    if is_larger {
        return format!(
            "`branch up from LABEL {{ upsample bilinear, like: OTHER }}` enlarges the smaller value before `{op}`; or less padding or more strides make this one smaller"
        );
    }
    format!("`upsample bilinear, like: LABEL` before `{op}` makes the current value as large as the other one")
}
