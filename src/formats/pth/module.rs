//! A whole module, as `torch.save(model)` writes it: an object of an unknown class whose attributes are those of `torch.nn.Module`. Its state
//! dict is what `Module.state_dict` returns.

use std::collections::HashSet;

use super::entry::{self, Entry};
use super::pickle::{Heap, Object, Value};
use crate::formats::fault::Fault;

/// The maximum number of modules. A module may occur under several names, so that a small file could have any number.
const MAX_MODULES: usize = 100_000;

/// The maximum length of all names together, in bytes.
const MAX_NAMES: usize = 32 << 20;

/// The attributes of an object, if it is a module.
fn attributes<'h>(heap: &'h Heap<'h>, value: Value<'h>) -> Option<Value<'h>> {
    let Some(Object::Instance(instance)) = heap.get(value) else { return None };
    heap.item(instance.state, "_modules").or(heap.item(instance.state, "_parameters")).map(|_| instance.state)
}

/// Whether a value is a module.
pub(super) fn is_module<'h>(heap: &'h Heap<'h>, value: Value<'h>) -> bool {
    attributes(heap, value).is_some()
}

/// The state dict of a module.
pub(super) fn state_dict<'h>(heap: &'h Heap<'h>, module: Value<'h>) -> Result<Vec<(String, Entry<'h>)>, Fault> {
    let mut found = Vec::new();
    let (mut modules, mut names) = (0, 0);
    let mut left = vec![(module, String::new())];
    while let Some((module, prefix)) = left.pop() {
        let Some(attributes) = attributes(heap, module) else { continue };
        let items = |name: &str| heap.item(attributes, name).and_then(|dict| heap.items(dict)).unwrap_or_default();
        let buffers = persistent(heap, attributes, items("_buffers"));
        for (name, value) in named(items("_parameters")).chain(buffers) {
            if let Some(entry) = entry::of(heap, value) {
                names += prefix.len() + name.len();
                check(modules, names)?;
                found.push((format!("{prefix}{name}"), entry));
            }
        }
        for (name, module) in named(items("_modules")) {
            modules += 1;
            names += prefix.len() + name.len() + 1;
            check(modules, names)?;
            left.push((module, format!("{prefix}{name}.")));
        }
    }
    Ok(found)
}

fn check(modules: usize, names: usize) -> Result<(), Fault> {
    if modules <= MAX_MODULES && names <= MAX_NAMES {
        return Ok(());
    }
    Err(Fault::Unsupported(format!(
        "has a module of more than {MAX_MODULES} modules, or with names of more than {MAX_NAMES} bytes"
    )))
}

fn named<'h>(items: &'h [(Value<'h>, Value<'h>)]) -> impl Iterator<Item = (&'h str, Value<'h>)> {
    items.iter().filter_map(|&(name, value)| if let Value::Str(name) = name { Some((name, value)) } else { None })
}

/// The buffers that are part of the state dict.
fn persistent<'h>(
    heap: &'h Heap<'h>,
    attributes: Value<'h>,
    buffers: &'h [(Value<'h>, Value<'h>)],
) -> impl Iterator<Item = (&'h str, Value<'h>)> {
    let others: HashSet<&str> = match heap.item(attributes, "_non_persistent_buffers_set").and_then(|set| heap.get(set)) {
        Some(Object::List(names)) => {
            names.iter().filter_map(|name| if let Value::Str(name) = name { Some(*name) } else { None }).collect()
        }
        _ => HashSet::new(),
    };
    named(buffers).filter(move |(name, _)| !others.contains(name))
}
