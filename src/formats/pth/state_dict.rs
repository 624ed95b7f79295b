//! Finds the state dicts in a pickle, and chooses one: at the root, or under the keys that training scripts use.

use std::collections::{HashSet, VecDeque};

use super::entry::{self, Entry};
use super::module;
use super::pickle::{Heap, Object, Value};
use crate::formats::fault::Fault;
use crate::formats::name_list::listed;

/// The keys that scripts use for the weights, most specific first: `module` is DeepSpeed's, `state` Composer's. Averaged weights (EMA) are
/// not preferred.
const WRAPPERS: [&str; 8] = ["state_dict", "model_state_dict", "model_state", "model", "module", "network", "net", "state"];

/// The maximum nesting of wrappers.
const MAX_DEPTH: usize = 4;

/// The longest key, in bytes, of a dictionary that is searched.
const MAX_KEY: usize = 200;

/// The state dict that was chosen.
pub(super) struct StateDict<'h> {
    /// The tensors, by name.
    pub entries: Vec<(String, Entry<'h>)>,
    /// The keys that lead to it, with dots between; empty at the root.
    pub path: String,
    /// The paths of the others.
    pub others: Vec<String>,
    /// Whether it is where scripts put the weights, so that no other was considered.
    pub is_usual: bool,
}

/// A dictionary with tensors, or a module.
struct Candidate<'h> {
    value: Value<'h>,
    path: String,
    /// Where each of its keys is in [`WRAPPERS`]; `None` if one is not.
    ranks: Option<Vec<usize>>,
    /// Whether it has weights: the state of random numbers or of a metric is a tensor as well.
    has_weights: bool,
}

/// The state dict with this path or last key; `None` if there is none.
pub(super) fn named<'h>(heap: &'h Heap<'h>, part: &str) -> Result<Option<StateDict<'h>>, Fault> {
    let all = candidates(heap);
    let suffix = format!(".{part}");
    let whole = all.iter().find(|candidate| candidate.path == part);
    let mut ends = all.iter().filter(|candidate| candidate.path.ends_with(&suffix));
    let found = match (whole, ends.next(), ends.next()) {
        (Some(found), ..) | (None, Some(found), None) => found,
        _ => return Ok(None),
    };
    chosen(heap, found, &all, true).map(Some)
}

/// The state dict that scripts would load.
pub(super) fn find<'h>(heap: &'h Heap<'h>) -> Result<StateDict<'h>, Fault> {
    let all = candidates(heap);
    let usual = all.iter().filter(|candidate| candidate.ranks.is_some()).min_by_key(|c| (!c.has_weights, &c.ranks));
    if let Some(usual) = usual {
        return chosen(heap, usual, &all, true);
    }
    let weights: Vec<&Candidate<'_>> = all.iter().filter(|candidate| candidate.has_weights).collect();
    let plain: Vec<&Candidate<'_>> = weights.iter().copied().filter(|candidate| !is_average(&candidate.path)).collect();
    match (&weights[..], &plain[..]) {
        ([only], _) | (_, [only]) => chosen(heap, only, &all, false),
        ([], _) => Err(none(heap)),
        (several, _) => {
            let paths: Vec<&str> = several.iter().map(|candidate| candidate.path.as_str()).collect();
            let first = paths.first().copied().unwrap_or_default().escape_debug();
            Err(Fault::Unsupported(format!(
                "has several state dicts: {}; choose one by its key, as in `FILE#{first}`",
                listed(&paths)
            )))
        }
    }
}

/// Whether a key says that the weights under it are an average of others.
fn is_average(path: &str) -> bool {
    let key = path.rsplit('.').next().unwrap_or(path).to_ascii_lowercase();
    ["ema", "avg", "average", "swa"].iter().any(|word| key.split('_').any(|part| part == *word))
}

fn chosen<'h>(
    heap: &'h Heap<'h>,
    candidate: &Candidate<'h>,
    all: &[Candidate<'h>],
    is_usual: bool,
) -> Result<StateDict<'h>, Fault> {
    let entries = if module::is_module(heap, candidate.value) {
        module::state_dict(heap, candidate.value)?
    } else {
        let items = heap.items(candidate.value).unwrap_or_default();
        let entry = |&(key, value): &(Value<'h>, Value<'h>)| match key {
            Value::Str(name) => Some((name.to_owned(), entry::of(heap, value)?)),
            _ => None,
        };
        items.iter().filter_map(entry).collect()
    };
    let others = all.iter().filter(|other| other.has_weights && other.path != candidate.path).map(|other| other.path.clone());
    Ok(StateDict { entries, path: candidate.path.clone(), others: others.collect(), is_usual })
}

/// All dictionaries with tensors, and modules, in the order of their depth.
fn candidates<'h>(heap: &'h Heap<'h>) -> Vec<Candidate<'h>> {
    let (mut found, mut seen) = (Vec::new(), HashSet::new());
    let mut left = VecDeque::from([(heap.root, Vec::<&str>::new())]);
    while let Some((value, keys)) = left.pop_front() {
        let candidate = |has_weights| {
            let rank = |key: &&str| WRAPPERS.iter().position(|wrapper| wrapper == key);
            // tensors beside a wrapper are the state of something else
            let ranks = keys.iter().map(rank).chain([Some(WRAPPERS.len())]).collect();
            Candidate { value, path: keys.join("."), ranks, has_weights }
        };
        if module::is_module(heap, value) {
            found.push(candidate(true));
            continue;
        }
        let Some(items) = heap.items(value) else { continue };
        let (mut has_tensors, mut has_weights) = (false, false);
        for &(key, value) in items {
            let Value::Str(key) = key else { continue };
            if entry::of(heap, value).is_some_and(|entry| entry.is_tensor()) {
                has_tensors = true;
                has_weights |= key.ends_with("weight") || key.ends_with("bias");
                continue;
            }
            // a dictionary may be under several keys, or contain itself
            let mut is_new = |value| matches!(value, Value::Object(index) if seen.insert(index));
            if keys.len() < MAX_DEPTH && key.len() <= MAX_KEY && is_dictionary(heap, value) && is_new(value) {
                left.push_back((value, keys.iter().copied().chain([key]).collect()));
            }
        }
        if has_tensors {
            found.push(candidate(has_weights));
        }
    }
    found
}

fn is_dictionary<'h>(heap: &'h Heap<'h>, value: Value<'h>) -> bool {
    heap.items(value).is_some() || module::is_module(heap, value)
}

/// What a file without a state dict has instead.
fn none(heap: &Heap<'_>) -> Fault {
    Fault::Unsupported(match heap.get(heap.root) {
        Some(Object::Tensor(_) | Object::Unread(_)) => "contains a single unnamed tensor instead of a state dict".into(),
        Some(Object::Instance(instance)) if instance.items.is_empty() => {
            format!("contains an object of the class `{}` instead of a state dict: save `model.state_dict()`", instance.class)
        }
        _ => match heap.items(heap.root) {
            None => "contains no dictionary of tensors".into(),
            Some(items) => {
                let keys: Vec<&str> =
                    items.iter().filter_map(|(key, _)| if let Value::Str(key) = key { Some(*key) } else { None }).collect();
                let has = if keys.is_empty() { "it is empty".to_owned() } else { format!("it has {}", listed(&keys)) };
                format!("has no state dict at its top level or under {}; {has}", listed(&WRAPPERS))
            }
        },
    })
}
