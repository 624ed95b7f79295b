//! From source text to a spanned [`ast`]. The only code that sees pest's `Rule`.
//!
//! [`parse`] goes in three steps. `scan` walks over the characters: limits, tokens, brackets, comments, line ends. Then each item
//! is matched with the grammar as a whole and `build` makes a tree of it. Where an item does not match, `recover` cuts it into
//! statements and matches each by itself; `explain` says in the language's words what was expected.

pub mod ast;
mod build;
mod dump;
mod explain;
mod expressions;
mod foreign;
mod grammar;
mod recover;
mod scan;
#[cfg(test)]
mod tests;
pub mod words;

use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::base::source::{FileId, Span};

pub use dump::dump;

/// The longest source that is read, in bytes.
pub const MAX_SOURCE: usize = 4 << 20;

/// How deep brackets may nest.
pub const MAX_NESTING: usize = 64;

/// How many words, numbers and signs a source may hold. The tree takes some hundred bytes for each.
pub const MAX_TOKENS: usize = 500_000;

/// How many operators a single expression may hold: who walks over the tree recurses as deep.
pub const MAX_OPERATORS: usize = 512;

/// After so many errors reading stops.
pub const MAX_ERRORS: usize = 100;

/// The language's version.
pub const VERSION: u64 = 1;

/// Parses a file. Every syntax error is reported; what could be read stands in the tree, and `damaged` says where something is
/// missing from it. The diagnostics are in the order of the text.
pub fn parse(file: FileId, text: &str) -> (ast::File, Vec<Diagnostic>) {
    if text.len() > MAX_SOURCE {
        let message = format!("the source is {} bytes long; at most {MAX_SOURCE} are read", text.len());
        let first_line = text.bytes().take(80).position(|b| b == b'\n').unwrap_or(0);
        let diagnostic = Diagnostic::error(codes::LIMIT, message, Span::new(file, 0..first_line), "")
            .note("a network is described in kilobytes: stages and repeats say how often a block is used");
        let damaged = ast::File { version: None, items: Vec::new(), comments: Vec::new(), damaged: true };
        return (damaged, vec![diagnostic]);
    }
    recover::file(file, text, scan::scan(file, text))
}
