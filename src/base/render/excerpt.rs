//! The part of a source file that is shown with a diagnostic.

use std::ops::Range;

use super::LONGEST_LINE;
use crate::base::source::{SourceFile, Span};

/// Whole lines of a source file, or a piece of one line if it is too long to show.
pub(super) struct Excerpt {
    /// The bytes that are shown.
    pub range: Range<usize>,
    /// Number of the first line, 1-based.
    pub line: usize,
    /// Column of the first span, in characters, 1-based; `None` if the excerpt starts at the beginning of a line.
    pub column: Option<usize>,
}

impl Excerpt {
    /// The range of `span` within the excerpt, clamped to it.
    pub fn place(&self, span: Span, text: &str) -> Range<usize> {
        let range = within(span, text);
        let cut = |at: usize| at.clamp(self.range.start, self.range.end) - self.range.start;
        cut(range.start)..cut(range.end)
    }
}

/// The excerpt that shows all spans, `first` with priority. All are in this file.
pub(super) fn excerpt(file: &SourceFile, first: Span, others: impl Iterator<Item = Span>) -> Excerpt {
    let text = &*file.text;
    let first = within(first, text);
    let (mut start, mut end) = (first.start, first.end);
    for other in others {
        let other = within(other, text);
        (start, end) = (start.min(other.start), end.max(other.end));
    }
    let line_start = |at: usize| text[..at].rfind('\n').map_or(0, |i| i + 1);
    let line_end = |at: usize| text[at..].find('\n').map_or(text.len(), |i| at + i);
    let lines = line_start(start)..line_end(end);
    let number = |at: usize| text[..at].matches('\n').count() + 1;
    if text[lines.clone()].split('\n').all(|line| line.len() <= LONGEST_LINE) {
        return Excerpt { line: number(lines.start), range: lines, column: None };
    }
    // A piece of the line around the first span, cut at character boundaries.
    let line = line_start(first.start)..line_end(first.start);
    let reach = LONGEST_LINE / 10;
    let start = floor(text, first.start.saturating_sub(reach).max(line.start));
    let end = floor(text, (first.end.min(first.start + reach) + reach).min(line.end)).max(first.start);
    let column = text[line.start..first.start].chars().count() + 1;
    Excerpt { range: start..end, line: number(line.start), column: Some(column) }
}

/// The bytes of a span, clamped to the text and to character boundaries.
pub(super) fn within(span: Span, text: &str) -> Range<usize> {
    let start = floor(text, span.range().start);
    start..floor(text, span.range().end).max(start)
}

/// The last character boundary at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
