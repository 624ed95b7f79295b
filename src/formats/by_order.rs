//! The `--rename` options that a message proposes: those with which a checkpoint fits, if its layers have the order and sizes of the
//! network's. Nothing is bound by order.

use super::contents::contents;
use super::differing::Differing;
use super::in_order;
use super::natural::natural;
use super::rename::Rename;
use crate::base::tensor::without_ones;

/// The maximum number of options that a message proposes.
const MAX_OPTIONS: usize = 20;

/// Renames under which tensors fit in order.
pub(super) struct ByOrder {
    /// By the names without a wrapper's prefix.
    pub here: Vec<Rename>,
    /// By the names in the file.
    there: Vec<Rename>,
}

impl ByOrder {
    /// The options, as a shell needs them.
    pub fn options(&self) -> String {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-=".contains(c);
        let option = |rename: &Rename| match rename.to_string() {
            text if text.chars().all(is_plain) => format!("--rename {text}"),
            text => format!("--rename '{}'", text.escape_debug()),
        };
        self.there.iter().map(option).collect::<Vec<_>>().join(" ")
    }
}

/// The renames with which the tensors that the network lacks are the unused ones.
pub(super) fn renames(differing: &Differing<'_>) -> Option<ByOrder> {
    let Differing { expected, found, tensors, missing, unused, .. } = differing;
    let mut ours: Vec<_> = missing.iter().filter_map(|name| Some((expected.get(name)?, *name))).collect();
    ours.sort_by_key(|(needs, name)| (needs.node, *name));
    let ours: Vec<_> = ours.into_iter().map(|(needs, name)| (name, without_ones(needs.shape))).collect();
    let in_file = |name: &str| found.in_file.get(name).copied();
    let place = |name: &str| in_file(name).and_then(|name| tensors.position(name));
    let mut theirs: Vec<_> =
        unused.iter().filter_map(|name| Some((*name, without_ones(found.given.get(name)?.shape())))).collect();
    let is_ordered = !theirs.is_empty() && theirs.iter().all(|(name, _)| place(name).is_some());
    if is_ordered {
        theirs.sort_by_key(|(name, _)| place(name));
    } else {
        theirs.sort_by_key(|(name, _)| natural(name));
    }
    let mut here = in_order::renames(&theirs, &ours, is_ordered)?;
    here.sort_by(|a, b| natural(&a.old).cmp(&natural(&b.old)));
    let current = |rename: &Rename| {
        let name = theirs.iter().map(|(name, _)| *name).find(|name| rename.apply(name).is_some())?;
        let rest = name.strip_prefix(&rename.old)?;
        Some((in_file(name)?, rest))
    };
    let with = |name: &str, rest: &str, rename: &Rename| {
        let old = name.strip_suffix(rest.trim_start_matches('.'))?.trim_end_matches('.');
        // what is behind the prefix of a wrapper stays there
        let prefix = old.strip_suffix(&rename.old).unwrap_or_default();
        let dot = if rename.old.is_empty() && !prefix.is_empty() { "." } else { "" };
        let new = format!("{prefix}{dot}{}", rename.new);
        Some(Rename { old: old.to_owned(), new: new.trim_end_matches('.').to_owned() })
    };
    let renames = |of: &dyn Fn(&str) -> String| -> Option<Vec<Rename>> {
        here.iter().map(|rename| current(rename).and_then(|(name, rest)| with(&of(name), rest, rename))).collect()
    };
    // what they make of the whole file
    let renamed = (*tensors).clone().renamed(&renames(&str::to_owned)?).ok()?;
    let after = contents(expected, &renamed);
    let fits = |found: &super::wrapper::Unwrapped<'_>| {
        expected
            .iter()
            .filter(|(name, needs)| found.given.get(**name).is_some_and(|tensor| tensor.has_sizes(needs.shape)))
            .count()
    };
    let moved = theirs.iter().filter(|(name, _)| here.iter().any(|rename| rename.apply(name).is_some())).count();
    if fits(&after) != fits(found) + moved || here.len() > MAX_OPTIONS {
        return None;
    }
    let there = renames(&|name| tensors.original(name).to_owned())?;
    Some(ByOrder { here, there })
}
