//! Valid names and labels of the language.

use crate::elaborate::operators;
use crate::syntax::{prelude, words};

/// Whether a text is a valid name of a block, a parameter, an input or an output.
pub(super) fn is_word(text: &str) -> bool {
    words::is_name(text)
}

/// Whether a name is not available for a block or a parameter.
pub(super) fn is_reserved(text: &str) -> bool {
    /// Words that are values in some contexts.
    const VALUES: &[&str] = &["double", "halve", "keep", "global", "identity", "projection", "none", "i", "count"];
    let is_function = prelude::find(text).is_some();
    !is_word(text) || operators::is_reserved(text) || is_function || VALUES.contains(&text)
}

/// Converts a text to a valid name, with `_` for other characters, or returns `fallback`.
pub(super) fn word(text: &str, fallback: &str) -> String {
    let mut out: String = text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).take(60).collect();
    while out.contains("__") {
        out = out.replace("__", "_");
    }
    let out = out.trim_matches('_');
    let out = if out.starts_with(|c: char| c.is_ascii_digit()) { format!("net_{out}") } else { out.to_string() };
    if is_reserved(&out) { fallback.to_string() } else { out }
}

/// Whether a label needs no quotes: names and numbers separated by dots.
pub(super) fn is_path(text: &str) -> bool {
    let mut parts = text.split('.');
    parts.next().is_some_and(is_word) && parts.all(|p| !p.is_empty() && p.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
}

/// Whether a component of a layer's name is a number.
pub(super) fn is_number(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_digit())
}

/// A label as written in the source.
pub(super) fn label(text: &str) -> String {
    if is_path(text) { text.to_string() } else { format!("\"{text}\"") }
}

/// Whether the components of a layer's name can be labels.
pub(super) fn is_layer(name: &str) -> bool {
    name.len() <= 500
        && name.split('.').all(|p| !p.is_empty() && p.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-'))
}

/// A number with its digits grouped by `_`, as in `25_557_032`.
pub(super) fn grouped(n: u64) -> String {
    crate::ir::summary::thousands(n).replace(' ', "_")
}
