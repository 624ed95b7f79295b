//! Diagnostics shown: to people with the source printed around them, to programs as a line of JSON.

mod excerpt;
mod json;
mod terminal;
#[cfg(test)]
mod tests;

pub use json::{json, json_lines};
pub use terminal::terminal;

use super::diagnostic::Diagnostic;

/// The longest line of source that is shown whole, in bytes. No person reads a longer one, and every diagnostic in it would
/// show all of it again.
const LONGEST_LINE: usize = 1000;

/// How many diagnostics are shown: more than anybody reads. A hostile file could bring about a hundred thousand.
const MOST_SHOWN: usize = 200;

/// Diagnostics by file, in the order of reading, and by position. Those at one place keep their order.
pub fn in_order(diags: &[Diagnostic]) -> Vec<&Diagnostic> {
    let mut sorted: Vec<&Diagnostic> = diags.iter().collect();
    sorted.sort_by_key(|diag| diag.span());
    sorted
}
