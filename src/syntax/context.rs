//! What building the tree from pest's pairs needs throughout: places in the file, and names.

use std::ops::Range;

use pest::iterators::{Pair, Pairs};

use super::ast::Ident;
use super::grammar::Rule;
use crate::base::diagnostic::Diagnostic;
use crate::base::source::{FileId, Span};

/// Where the matched text comes from, and the diagnostics found in it.
pub(super) struct Context<'d> {
    pub file: FileId,
    /// The start offsets of pieces, in the matched text and in the file; ascending. See [`Context::span_at`].
    pub pieces: Vec<(usize, usize)>,
    pub diagnostics: &'d mut Vec<Diagnostic>,
}

impl Context<'_> {
    /// The file offset of a byte in the matched text.
    pub fn place(&self, at: usize) -> usize {
        let next = self.pieces.partition_point(|&(local, _)| local <= at);
        let (local, place) = next.checked_sub(1).map_or((0, 0), |i| self.pieces[i]);
        at - local + place
    }

    /// The file span of a range in the matched text.
    pub fn span_at(&self, range: Range<usize>) -> Span {
        let start = self.place(range.start);
        // The end is looked up by the last byte, since another piece may begin after it. A brace that the text lacks has no width:
        // the piece after it begins where it does.
        let end = if range.is_empty() { start } else { (self.place(range.end - 1) + 1).min(self.place(range.end)) };
        Span::new(self.file, start..end)
    }

    pub fn span(&self, pair: &Pair<Rule>) -> Span {
        let text = pair.as_str();
        let start = pair.as_span().start();
        // A rule with an optional part at its end also matches the whitespace before that part.
        self.span_at(start..start + text.trim_end_matches([' ', '\t', '\r', '\n']).len())
    }

    pub fn ident(&self, pair: &Pair<Rule>) -> Ident {
        Ident { node: pair.as_str().trim_end().to_owned(), span: self.span(pair) }
    }

    /// Takes the next pair as a name if it is of this rule.
    pub fn next_ident(&self, pairs: &mut Pairs<Rule>, rule: Rule) -> Option<Ident> {
        next(pairs, rule).map(|pair| self.ident(&pair))
    }
}

/// Takes the next pair if it is of this rule.
pub(super) fn next<'i>(pairs: &mut Pairs<'i, Rule>, rule: Rule) -> Option<Pair<'i, Rule>> {
    if pairs.peek().is_some_and(|pair| pair.as_rule() == rule) { pairs.next() } else { None }
}

/// The value of digits with underscores; the scan has already rejected values that overflow.
pub(super) fn integer_value(text: &str) -> Option<i64> {
    text.replace('_', "").parse().ok()
}
