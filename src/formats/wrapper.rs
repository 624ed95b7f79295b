//! The prefix that a wrapper adds to a network's names: `module.` of DataParallel, `_orig_mod.` of torch.compile, `model.` of a Lightning
//! module, `backbone.` of a detector.

use std::collections::{BTreeMap, BTreeSet};

use super::expected::Expected;
use super::name_list::first;
use super::tensors::Unread;
use crate::base::tensor::Tensor;

/// The number of names that a note gives as examples.
const EXAMPLES: usize = 3;

/// The contents of a file, by names without the prefix of a wrapper.
#[derive(Default)]
pub(super) struct Unwrapped<'a> {
    pub given: BTreeMap<&'a str, &'a Tensor>,
    pub unread: BTreeMap<&'a str, &'a Unread>,
    /// The prefix that was dropped; may be empty.
    pub prefix: &'a str,
    /// What lies beside the prefix and is not needed, since the network is complete without it.
    pub beside: Vec<&'a str>,
    /// What lies beside the prefix of a network that is not complete: it may have what the network lacks, under another name.
    pub outside: Vec<&'a str>,
    /// The names in the file, by those without the prefix.
    pub in_file: BTreeMap<&'a str, &'a str>,
    /// Several prefixes under which the whole network is; none of them was dropped.
    pub several: Vec<&'a str>,
}

impl Unwrapped<'_> {
    /// A note for users about the prefix that was dropped.
    pub fn note(&self) -> Option<String> {
        self.note_without(&self.beside)
    }

    /// The same where these tensors beside the prefix are not used.
    pub fn note_without(&self, beside: &[&str]) -> Option<String> {
        let prefix = self.prefix.escape_debug();
        match beside {
            _ if self.prefix.is_empty() => None,
            [] => Some(format!("the names in the file begin with `{prefix}`, which is dropped")),
            beside => Some(format!(
                "the names of the network's tensors in the file begin with `{prefix}`, which is dropped; not used: {}",
                first(beside, EXAMPLES)
            )),
        }
    }
}

/// Drops the prefix with which most names fit the network, if more fit than without it.
pub(super) fn unwrapped<'a>(
    expected: &BTreeMap<&str, Expected<'_>>,
    given: BTreeMap<&'a str, &'a Tensor>,
    unread: BTreeMap<&'a str, &'a Unread>,
) -> Unwrapped<'a> {
    let numbers = unread.iter().filter(|(_, unread)| unread.is_tensor).map(|(name, _)| *name);
    let mut names: Vec<&str> = given.keys().copied().chain(numbers).collect();
    names.sort_unstable();
    let prefixes = prefixes(expected, &names);
    let fits = |prefix: &&str| is_complete(expected, &names, prefix);
    let covers = |prefix: &&str| 2 * names.iter().filter(|name| name.starts_with(*prefix)).count() >= names.len();
    let prefix = match prefixes[..] {
        [prefix] if fits(&prefix) || covers(&prefix) => prefix,
        [] | [_] => return whole(given, unread, Vec::new()),
        _ => {
            let several = if prefixes.iter().all(fits) { prefixes } else { Vec::new() };
            return whole(given, unread, several);
        }
    };
    let renamed = |name: &'a str| without(expected, name, prefix);
    let is_beside = |name: &&'a str| !name.starts_with(prefix) && !expected.contains_key(renamed(name));
    // a network that is complete needs nothing beside the prefix; otherwise, a tensor there may be one that it lacks
    let beside: Vec<&str> = names.iter().copied().filter(is_beside).collect();
    let (beside, outside) = if fits(&prefix) { (beside, Vec::new()) } else { (Vec::new(), beside) };
    let is_dropped = |name: &str| beside.binary_search(&name).is_ok();
    let mut out = Unwrapped { prefix, ..Unwrapped::default() };
    // a name with the prefix comes after one without it, and takes its place
    for is_inside in [false, true] {
        let kept = |name: &str| name.starts_with(prefix) == is_inside && !is_dropped(name);
        out.given.extend(given.iter().filter(|(name, _)| kept(name)).map(|(name, value)| (renamed(name), *value)));
        out.unread.extend(unread.iter().filter(|(name, _)| kept(name)).map(|(name, value)| (renamed(name), *value)));
    }
    out.in_file.extend(names.iter().filter(|name| !is_dropped(name)).map(|name| (renamed(name), *name)));
    out.beside = beside;
    out.outside = outside;
    out
}

/// The contents as they are.
fn whole<'a>(
    given: BTreeMap<&'a str, &'a Tensor>,
    unread: BTreeMap<&'a str, &'a Unread>,
    several: Vec<&'a str>,
) -> Unwrapped<'a> {
    let in_file = given.keys().chain(unread.keys()).map(|name| (*name, *name)).collect();
    Unwrapped { given, unread, in_file, several, ..Unwrapped::default() }
}

/// The prefixes with which most names fit the network, if more fit than without one.
fn prefixes<'a>(expected: &BTreeMap<&str, Expected<'_>>, names: &[&'a str]) -> Vec<&'a str> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in names {
        for (dot, _) in name.match_indices('.') {
            if expected.contains_key(&name[dot + 1..]) {
                *counts.entry(&name[..=dot]).or_default() += 1;
            }
        }
    }
    let plain = names.iter().filter(|name| expected.contains_key(**name)).count();
    let most = counts.values().copied().max().unwrap_or(0);
    if most <= plain {
        return Vec::new();
    }
    counts.into_iter().filter(|(_, count)| *count == most).map(|(prefix, _)| prefix).collect()
}

/// Whether the names have all that the network needs, with the prefix or without it.
fn is_complete(expected: &BTreeMap<&str, Expected<'_>>, names: &[&str], prefix: &str) -> bool {
    let found: BTreeSet<&str> = names.iter().map(|name| name.strip_prefix(prefix).unwrap_or(name)).collect();
    expected.keys().all(|name| found.contains(name))
}

/// A name without the prefix. One beside it loses a part of the prefix if it fits then: of `model.backbone.`, the `model.` before
/// `model.fc.weight`.
fn without<'a>(expected: &BTreeMap<&str, Expected<'_>>, name: &'a str, prefix: &str) -> &'a str {
    if let Some(name) = name.strip_prefix(prefix) {
        return name;
    }
    let parts = prefix.match_indices('.').map(|(dot, _)| &prefix[..=dot]);
    parts.filter_map(|part| name.strip_prefix(part)).find(|name| expected.contains_key(name)).unwrap_or(name)
}
