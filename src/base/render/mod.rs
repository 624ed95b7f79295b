//! Rendering of diagnostics: with source excerpts for people, as lines of JSON for programs.

mod excerpt;
mod json;
mod terminal;
#[cfg(test)]
mod tests;

pub use json::{json, json_lines, json_message};
pub use terminal::terminal;

use super::diagnostic::Diagnostic;

/// Longest source line, in bytes, that is shown in full. Nobody reads a longer one, and every diagnostic in it would repeat it.
const LONGEST_LINE: usize = 1000;

/// How many diagnostics are shown. A hostile file could cause a hundred thousand.
const MOST_SHOWN: usize = 200;

/// Sorts diagnostics by file, in loading order, and then by position. Diagnostics at the same position keep their order.
pub fn in_order(diags: &[Diagnostic]) -> Vec<&Diagnostic> {
    let mut sorted: Vec<&Diagnostic> = diags.iter().collect();
    sorted.sort_by_key(|diag| diag.span());
    sorted
}
