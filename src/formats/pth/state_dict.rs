//! Finds the state dict in a pickle: at the root, or under the keys that training scripts use.

use super::pickle::{Heap, Object, TensorRef, Value};
use crate::formats::fault::Fault;

/// The keys that scripts use for the weights, most specific first. Averaged weights (EMA) are not preferred.
const WRAPPERS: [&str; 6] = ["state_dict", "model_state_dict", "model_state", "model", "network", "net"];

/// The maximum nesting of wrappers.
const MAX_DEPTH: usize = 4;

/// A tensor of the state dict.
#[derive(Clone, Copy)]
pub(super) enum Entry<'h> {
    Tensor(&'h TensorRef),
    /// A tensor whose values are not read, with a description.
    Unread(&'static str),
}

/// The tensors of the state dict, by name.
pub(super) fn find<'h>(heap: &'h Heap<'_>) -> Result<Vec<(&'h str, Entry<'h>)>, Fault> {
    let mut value = heap.root;
    for _ in 0..MAX_DEPTH {
        let Some(Object::Dict(dict)) = heap.get(value) else {
            return Err(Fault::Unsupported(match heap.get(value) {
                Some(Object::Tensor(_) | Object::Unread(_)) => "contains a single unnamed tensor instead of a state dict".into(),
                _ => "contains no dictionary of tensors".into(),
            }));
        };
        let tensors: Vec<_> = dict
            .iter()
            .filter_map(|&(key, value)| match (key, heap.get(value)) {
                (Value::Str(name), Some(Object::Tensor(tensor))) => Some((name, Entry::Tensor(tensor))),
                (Value::Str(name), Some(&Object::Unread(what))) => Some((name, Entry::Unread(what))),
                _ => None,
            })
            .collect();
        let inner = |name: &str| {
            let is_dict = |&&(_, value): &&(Value<'_>, Value<'_>)| matches!(heap.get(value), Some(Object::Dict(_)));
            dict.iter().filter(is_dict).find(|(key, _)| matches!(key, Value::Str(key) if *key == name)).map(|&(_, value)| value)
        };
        // a checkpoint may have a tensor next to the wrapper (such as the state of the random numbers), but a state dict never contains a dictionary
        match WRAPPERS.iter().find_map(|name| inner(name)) {
            Some(wrapped) => value = wrapped,
            None if !tensors.is_empty() => return Ok(tensors),
            None => {
                let keys: Vec<_> =
                    dict.iter().filter_map(|(key, _)| if let Value::Str(key) = key { Some(*key) } else { None }).collect();
                let shown = keys.iter().take(8).map(|key| format!("`{}`", key.escape_debug())).collect::<Vec<_>>().join(", ");
                return Err(Fault::Unsupported(format!(
                    "has no state dict at its top level or under {}{}",
                    WRAPPERS.map(|name| format!("`{name}`")).join(", "),
                    if keys.is_empty() { "; it is empty".to_owned() } else { format!("; it has {shown}") },
                )));
            }
        }
    }
    Err(Fault::Unsupported(format!("wraps its state dict more than {MAX_DEPTH} times")))
}
