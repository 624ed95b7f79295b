//! The entries of `train` blocks, evaluated but not yet read, and how those of a derived network are merged over its base's.

use super::super::value::Value;
use crate::base::source::Span;

/// The entries of one network in a derivation chain, or of the command line.
#[derive(Debug)]
pub(in crate::internal::elaborate) struct TrainEntries {
    pub(super) entries: Vec<Entry>,
    pub(super) span: Span,
    /// Whether this is the command line.
    pub(super) of_command: bool,
}

/// An evaluated entry: `optimizer sgd { lr: 0.1 }`.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub key: String,
    pub key_span: Span,
    pub values: Vec<(Value, Span)>,
    pub entries: Vec<Entry>,
    pub span: Span,
    /// The unit of a bare number that is a duration.
    pub unit: LengthUnit,
    /// The module that paths are relative to; `None` on the command line, where they are relative to the working directory.
    pub module: Option<usize>,
}

impl Entry {
    /// The word after the key, which selects its kind.
    pub fn head(&self) -> Option<&str> {
        match self.values.first() {
            Some((Value::Word(word) | Value::WordCall(word, _), _)) => Some(word),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum LengthUnit {
    Steps,
    #[default]
    Epochs,
}

/// The unit of bare numbers in these entries, if they state the training length.
pub(super) fn unit(entries: &[Entry]) -> Option<LengthUnit> {
    entries.iter().find_map(|e| match e.key.as_str() {
        "steps" => Some(LengthUnit::Steps),
        "epochs" => Some(LengthUnit::Epochs),
        _ => None,
    })
}

pub(super) fn mark(entries: &mut [Entry], unit: LengthUnit) {
    for entry in entries {
        entry.unit = unit;
        mark(&mut entry.entries, unit);
    }
}

/// Merges entries over others. A key of another kind replaces the previous entry; one of the same or no kind changes individual
/// keys. `augment` is an ordered list, so a network replaces it as a whole, and the command line changes individual keys.
pub(super) fn lay_over(below: &mut Vec<Entry>, above: Vec<Entry>, of_command: bool) {
    for entry in above {
        if matches!(entry.key.as_str(), "steps" | "epochs") {
            below.retain(|e| e.key == entry.key || !matches!(e.key.as_str(), "steps" | "epochs"));
        }
        let Some(old) = below.iter_mut().find(|e| e.key == entry.key) else {
            below.push(entry);
            continue;
        };
        let same = match (entry.head(), old.head()) {
            (None, _) if entry.key == "augment" && !of_command => false,
            (Some(new), old) => Some(new) == old,
            // `augment { … }` replaces `augment none`
            (None, old) => old != Some("none"),
        };
        if !same || entry.entries.is_empty() && old.entries.is_empty() {
            *old = entry;
        } else {
            if !entry.values.is_empty() {
                old.values = entry.values;
                old.module = entry.module;
                old.unit = entry.unit;
            }
            lay_over(&mut old.entries, entry.entries, of_command);
        }
    }
}
