//! What is reported of a statement in another notation.

use std::ops::Range;

use crate::syntax::words::is_name;

/// What is reported of a statement in another notation. Ranges are relative to the statement.
pub struct Advice {
    pub message: String,
    pub at: Range<usize>,
    pub help: String,
    pub edit: Option<(Range<usize>, String)>,
}

impl Advice {
    /// With an edit that does what the help says.
    pub fn edit(self, range: Range<usize>, own: impl Into<String>) -> Option<Advice> {
        Some(Advice { edit: Some((range, own.into())), ..self })
    }

    /// Writes `own` in place of a range.
    pub fn own(message: impl Into<String>, range: Range<usize>, own: impl Into<String>) -> Option<Advice> {
        let own = own.into();
        let help = format!("write `{}`", own.trim_end_matches([';', ' ']));
        advice(message, range.clone(), help)?.edit(range, own)
    }
}

/// Advice without an edit.
pub fn advice(message: impl Into<String>, at: Range<usize>, help: impl Into<String>) -> Option<Advice> {
    Some(Advice { message: message.into(), at, help: help.into(), edit: None })
}

/// Whether this character can be part of a word.
pub fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Whether a text is one word or number.
pub fn is_single(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_word)
}

/// Whether a name can be a label; `input` is the input's own.
pub fn is_label(name: &str) -> bool {
    is_name(name) && name != "input"
}

/// Whether this is an operator with literals for its arguments.
pub fn is_statement(text: &str) -> bool {
    let Some((word, arguments)) = text.trim_end().split_once(' ') else { return false };
    let is_literal = |text: &str| {
        matches!(text, "true" | "false") || (text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(is_value))
    };
    word.starts_with(|c: char| c.is_ascii_lowercase())
        && is_single(word)
        && arguments.split(',').enumerate().all(|(i, argument)| match argument.split_once(':') {
            Some((key, value)) => is_single(key.trim()) && is_literal(value.trim()),
            None => i == 0 && is_literal(argument.trim()),
        })
}

fn is_value(c: char) -> bool {
    is_word(c) || c == '.'
}
