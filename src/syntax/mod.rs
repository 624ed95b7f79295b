//! Parses source text to a spanned [`ast`]. This is the only code that uses pest's `Rule`.
//!
//! [`parse`] has three steps. `scan` goes through the characters: limits, tokens, brackets, comments, line ends. Then each item
//! is matched against the grammar as a whole, and `build` makes a tree of it. If an item does not match, `recover` splits it into
//! statements and matches each separately; `explain` describes what was expected.
//!
//! The text formats of other programs have a grammar and a file each: [`prototxt`] is Caffe's, [`cfg`] Darknet's.

pub mod ast;
mod build;
#[cfg(feature = "cli")]
pub mod cfg;
mod context;
mod dump;
mod explain;
mod expressions;
mod foreign;
mod grammar;
mod limits;
pub mod prelude;
#[cfg(feature = "cli")]
pub mod prototxt;
mod recover;
mod scan;
pub mod table;
#[cfg(test)]
mod tests;
#[cfg(feature = "cli")]
mod text_error;
pub mod words;

use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::base::source::{FileId, Span};

pub(crate) use build::second_value;
pub use dump::dump;
pub use limits::*;
#[cfg(feature = "cli")]
pub use text_error::TextError;

/// Parses a file. Every syntax error is reported. The tree contains everything that could be parsed, and `damaged` marks where
/// parts are missing. The diagnostics are in source order.
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

/// Parses an expression that begins at the byte `at` of a file.
pub(crate) fn expression(file: FileId, text: &str, at: usize) -> Result<ast::Expr, Vec<Diagnostic>> {
    let mut diagnostics = Vec::new();
    let mut context = context::Context { file, pieces: vec![(0, at)], diagnostics: &mut diagnostics };
    let parsed = expressions::filled_in(&mut context, text, 0);
    parsed.filter(|_| diagnostics.is_empty()).ok_or(diagnostics)
}
