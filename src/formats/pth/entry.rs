//! What a state dict has under a name.

use super::pickle::{Class, Heap, Object, TensorRef, Value};

#[derive(Clone, Copy)]
pub(super) enum Entry<'h> {
    Tensor(&'h TensorRef),
    /// A tensor whose values are not read, with a description.
    Unread(&'static str),
    /// An object of an unknown class, such as a NumPy array.
    Instance(Class<'h>),
}

impl Entry<'_> {
    /// Whether it is a tensor, read or not.
    pub fn is_tensor(&self) -> bool {
        !matches!(self, Entry::Instance(_))
    }
}

/// What a value is in a state dict; `None` for a number, a string or whatever else Python keeps beside tensors.
pub(super) fn of<'h>(heap: &'h Heap<'_>, value: Value<'h>) -> Option<Entry<'h>> {
    match heap.get(value)? {
        Object::Tensor(tensor) => Some(Entry::Tensor(tensor)),
        &Object::Unread(what) => Some(Entry::Unread(what)),
        Object::Instance(instance) if instance.items.is_empty() => Some(Entry::Instance(instance.class)),
        // the packed parameters of a quantized layer: its weight and its bias
        Object::Tuple(items) => match heap.get(*items.first()?)? {
            &Object::Unread(what) => Some(Entry::Unread(what)),
            _ => None,
        },
        _ => None,
    }
}
