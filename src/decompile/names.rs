//! Words, labels and names as the language has them.

use crate::elaborate::operators;
use crate::syntax::words;

/// Whether a text can be a word: a name of a block, a parameter, an input, an output.
pub(super) fn is_word(text: &str) -> bool {
    words::is_name(text)
}

/// Whether a block or a parameter cannot have that name.
pub(super) fn is_reserved(text: &str) -> bool {
    /// What stands for a value somewhere.
    const VALUES: &[&str] = &["double", "halve", "keep", "global", "identity", "projection", "none", "i", "count"];
    !is_word(text) || operators::is_reserved(text) || VALUES.contains(&text)
}

/// A word made of a text: other characters become `_`.
pub(super) fn word(text: &str, otherwise: &str) -> String {
    let mut out: String = text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).take(60).collect();
    while out.contains("__") {
        out = out.replace("__", "_");
    }
    let out = out.trim_matches('_');
    let out = if out.starts_with(|c: char| c.is_ascii_digit()) { format!("net_{out}") } else { out.to_string() };
    if is_reserved(&out) { otherwise.to_string() } else { out }
}

/// Whether a text stands as a label without quotes: words and numbers with dots between.
pub(super) fn is_path(text: &str) -> bool {
    let mut parts = text.split('.');
    parts.next().is_some_and(is_word) && parts.all(|p| !p.is_empty() && p.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
}

/// A label as written.
pub(super) fn label(text: &str) -> String {
    if is_path(text) { text.to_string() } else { format!("\"{text}\"") }
}

/// Whether a name's parts can be labels.
pub(super) fn is_layer(name: &str) -> bool {
    name.len() <= 500
        && name.split('.').all(|p| !p.is_empty() && p.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-'))
}

/// A count with its digits grouped by `_`, as in `25_557_032`.
pub(super) fn grouped(n: u64) -> String {
    crate::ir::summary::thousands(n).replace(' ', "_")
}
