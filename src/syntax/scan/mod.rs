//! The scan over the characters before grammar matching.
//!
//! It enforces limits that protect the recursive parser (nesting, size), reports malformed tokens and mismatched
//! brackets, removes comments, decides which line ends end a statement, and records where braces and statements begin and end.
//! With these [`Mark`]s, a file can be split into statements even if it does not parse.

mod tokens;

use std::ops::Range;

use super::words::ITEMS;
use super::{MAX_ERRORS, MAX_NESTING, MAX_TOKENS};
use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::base::source::{FileId, Span};
pub(super) use tokens::shorten;

/// The message for an unterminated string.
const OPEN_STRING: &str = "the string does not end";

/// The result of a scan.
pub(super) struct Scan {
    /// The text with comments, and line ends that do not end a statement, replaced by spaces. Same length as the original.
    pub clean: String,
    /// Braces and the ends of statements, in order.
    pub marks: Vec<Mark>,
    /// The ranges of comments.
    pub comments: Vec<Range<usize>>,
    /// Errors in characters, numbers, strings and brackets.
    pub diagnostics: Vec<Diagnostic>,
    /// Whether the text must not be parsed.
    pub refused: bool,
}

/// A position at which a text can be split into statements.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    /// Where it begins.
    pub at: usize,
    /// Its length in bytes; 0 if it is implied, like a missing closing brace.
    pub len: usize,
    /// Its kind.
    pub kind: MarkKind,
}

/// The kinds of marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MarkKind {
    /// `{`.
    Open,
    /// `}`.
    Close,
    /// The end of a line, or a semicolon.
    End,
}

/// How the braces of an item are paired.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Braces {
    /// Each `}` closes the latest `{`, as in every correct text.
    InOrder,
    /// A `}` is missing; the indentation decides which one.
    Missing,
    /// There is a superfluous `}`; the indentation decides which one.
    Surplus,
}

/// An open bracket.
struct Frame {
    bracket: u8,
    at: usize,
    /// The indentation of its line.
    indent: usize,
    /// The state before it.
    before: Checkpoint,
}

/// A state that the scan can return to.
#[derive(Clone, Copy)]
struct Checkpoint {
    at: usize,
    marks: usize,
    blanks: usize,
    comments: usize,
    diagnostics: usize,
    line: usize,
    tokens: usize,
}

struct Scanner<'a> {
    file: FileId,
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    marks: Vec<Mark>,
    /// Line ends that do not end a statement.
    blanks: Vec<usize>,
    comments: Vec<Range<usize>>,
    diagnostics: Vec<Diagnostic>,
    open: Vec<Frame>,
    /// Parentheses known to be unclosed; always from a single statement.
    dead: Vec<usize>,
    /// The latest `network` or `block`, and how its braces are paired.
    item: Option<(Checkpoint, Braces)>,
    tokens: usize,
    /// Where this line begins.
    line: usize,
    /// Whether this line has only whitespace so far.
    fresh_line: bool,
    /// Whether the latest token was a comma.
    after_comma: bool,
    /// If the latest token is a `}`: the number of marks at that point.
    after_brace: Option<usize>,
    refused: bool,
}

/// Scans `text`.
pub(super) fn scan(file: FileId, text: &str) -> Scan {
    let mut scanner = Scanner {
        file,
        text,
        bytes: text.as_bytes(),
        at: 0,
        marks: Vec::new(),
        blanks: Vec::new(),
        comments: Vec::new(),
        diagnostics: Vec::new(),
        open: Vec::new(),
        dead: Vec::new(),
        item: None,
        tokens: 0,
        line: 0,
        fresh_line: true,
        after_comma: false,
        after_brace: None,
        refused: false,
    };
    if text.starts_with('\u{feff}') {
        scanner.blanks.extend(0..3);
        scanner.at = 3;
    }
    scanner.run();
    scanner.forgive_brackets_before_open_strings();
    let mut clean = text.as_bytes().to_vec();
    for comment in &scanner.comments {
        clean[comment.clone()].fill(b' ');
    }
    for &blank in &scanner.blanks {
        clean[blank] = b' ';
    }
    Scan {
        // Only whole characters were replaced, so this is still valid UTF-8.
        clean: String::from_utf8(clean).unwrap_or_default(),
        marks: scanner.marks,
        comments: scanner.comments,
        diagnostics: scanner.diagnostics,
        refused: scanner.refused,
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

impl Scanner<'_> {
    fn run(&mut self) {
        while !self.refused {
            let Some(byte) = self.peek(0) else {
                if self.end_of_text() {
                    return;
                }
                continue;
            };
            match byte {
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'\n' => self.line_end(),
                b'/' if self.peek(1) == Some(b'/') => self.comment(),
                _ => self.token(byte),
            }
            if self.diagnostics.len() >= MAX_ERRORS {
                self.refused = true;
            }
        }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn span(&self, range: Range<usize>) -> Span {
        Span::new(self.file, range)
    }

    fn in_parentheses(&self) -> bool {
        self.open.last().is_some_and(|frame| frame.bracket != b'{')
    }

    fn line_end(&mut self) {
        if self.in_parentheses() || self.after_comma {
            self.blanks.push(self.at);
        } else {
            self.marks.push(Mark { at: self.at, len: 1, kind: MarkKind::End });
        }
        self.at += 1;
        self.line = self.at;
        self.fresh_line = true;
    }

    fn comment(&mut self) {
        let length = self.bytes[self.at..].iter().position(|&b| b == b'\n').unwrap_or(self.bytes.len() - self.at);
        let end = self.at + length;
        let written = self.text[self.at..end].trim_end().len();
        self.comments.push(self.at..self.at + written);
        self.at = end;
    }

    fn token(&mut self, byte: u8) {
        self.tokens += 1;
        if self.tokens > MAX_TOKENS {
            self.refuse(
                format!("the file holds more than {MAX_TOKENS} words and signs"),
                self.at..self.at + 1,
                "reading stopped here",
            );
            return;
        }
        let fresh = std::mem::take(&mut self.fresh_line);
        let after_brace = self.after_brace.take();
        self.after_comma = byte == b',';
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => self.word(fresh, after_brace),
            b'0'..=b'9' => self.number(),
            b'"' => self.string(),
            b'\'' => self.single_quoted(),
            b'{' => {
                if self.in_parentheses() {
                    self.give_up_parentheses();
                } else {
                    self.marks.push(Mark { at: self.at, len: 1, kind: MarkKind::Open });
                    self.push(byte);
                }
            }
            b'}' => {
                if self.in_parentheses() {
                    self.give_up_parentheses();
                } else {
                    self.close_brace(fresh);
                }
            }
            b'(' | b'[' => {
                if self.dead.contains(&self.at) {
                    let span = self.span(self.at..self.at + 1);
                    let message = format!("`{}` is never closed", char::from(byte));
                    let line = self.bytes[self.at..].split(|byte| *byte == b'\n').next().unwrap_or_default();
                    let diagnostic = Diagnostic::error(codes::BRACKETS, message, span, "opened here");
                    self.diagnostics.push(if line.windows(2).any(|two| two == b"//") {
                        diagnostic.help("`//` begins a comment; `floor(a / b)` divides and rounds down")
                    } else {
                        diagnostic
                    });
                    self.at += 1;
                } else {
                    self.push(byte);
                }
            }
            b')' | b']' => self.close_parenthesis(byte),
            b';' => {
                if !self.in_parentheses() {
                    self.marks.push(Mark { at: self.at, len: 1, kind: MarkKind::End });
                }
                self.at += 1;
            }
            b',' | b':' | b'=' | b'+' | b'-' | b'*' | b'/' | b'%' | b'<' | b'>' => self.at += 1,
            b'!' | b'~' if self.peek(1) == Some(b'=') => self.at += 2,
            b'.' if self.peek(1).is_some_and(|b| b.is_ascii_digit()) => self.number(),
            // a method of Python's, `x.size().item()`, which the parser explains
            b'.' if self.follows_bracket() && self.peek(1).is_some_and(|b| b.is_ascii_alphabetic() || b == b'_') => self.at += 1,
            _ => self.stray(),
        }
    }

    fn follows_bracket(&self) -> bool {
        self.at.checked_sub(1).is_some_and(|before| matches!(self.bytes[before], b')' | b']'))
    }

    fn word(&mut self, fresh: bool, after_brace: Option<usize>) {
        let start = self.at;
        let mut end = self.word_end(start);
        // A dotted name is one word, so `layer2.0.conv1` contains no number.
        while self.bytes.get(end) == Some(&b'.') && self.bytes.get(end + 1).copied().is_some_and(is_word) {
            end = self.word_end(end + 1);
        }
        let word = &self.text[start..end];
        let opens_item = fresh && ITEMS.contains(&word) && self.something_follows(end) && !self.is_nested();
        if opens_item && !self.open.is_empty() {
            if self.in_parentheses() {
                self.give_up_parentheses();
                return;
            }
            if self.rewind_item(Braces::Missing) {
                return;
            }
            self.close_all(Some(start..end));
        }
        if opens_item && matches!(word, "network" | "block") && self.item.is_none_or(|(item, _)| item.at != start) {
            self.item = Some((self.checkpoint(), Braces::InOrder));
        }
        if word == "else"
            && let Some(marks) = after_brace
        {
            self.blanks.extend(self.marks.drain(marks..).map(|mark| mark.at));
        }
        self.at = end;
    }

    /// Whether this line is indented deeper than the one with the brace around it.
    fn is_nested(&self) -> bool {
        let brace = self.open.iter().rfind(|frame| frame.bracket == b'{');
        brace.is_some_and(|frame| frame.indent < self.indent() && frame.at < self.line)
    }

    /// The indentation of this line.
    fn indent(&self) -> usize {
        self.bytes[self.line..].iter().take_while(|&&b| b == b' ' || b == b'\t').count()
    }

    fn word_end(&self, from: usize) -> usize {
        from + self.bytes[from..].iter().position(|&b| !is_word(b)).unwrap_or(self.bytes.len() - from)
    }

    /// Whether whitespace and then a word or string follow: `network net`, `use "file"`.
    fn something_follows(&self, from: usize) -> bool {
        let rest = &self.bytes[from..];
        let blanks = rest.iter().take_while(|&&b| b == b' ' || b == b'\t').count();
        blanks > 0 && rest.get(blanks).is_some_and(|&b| b.is_ascii_alphabetic() || b == b'_' || b == b'"')
    }

    fn push(&mut self, bracket: u8) {
        if self.open.len() == MAX_NESTING {
            let range = self.at..self.at + 1;
            self.refuse(format!("brackets nest deeper than {MAX_NESTING}"), range, "one too many opens here");
            return;
        }
        self.open.push(Frame { bracket, at: self.at, indent: self.indent(), before: self.checkpoint() });
        self.at += 1;
    }

    fn close_parenthesis(&mut self, byte: u8) {
        let span = self.span(self.at..self.at + 1);
        let written = char::from(byte);
        match self.open.last() {
            Some(frame) if frame.bracket != b'{' => {
                let wanted = if frame.bracket == b'(' { b')' } else { b']' };
                if byte != wanted {
                    let opener = char::from(frame.bracket);
                    let message = format!("`{opener}` is closed by `{written}`");
                    let opened = self.span(frame.at..frame.at + 1);
                    let wanted = char::from(wanted);
                    self.diagnostics.push(
                        Diagnostic::error(codes::BRACKETS, message, span, format!("`{wanted}` was expected"))
                            .label(opened, "opened here")
                            .fix(format!("write `{wanted}`"), span, wanted),
                    );
                }
                self.open.pop();
            }
            _ => {
                let message = format!("`{written}` closes nothing");
                self.diagnostics.push(Diagnostic::error(codes::BRACKETS, message, span, "nothing was opened"));
            }
        }
        self.at += 1;
    }

    fn close_brace(&mut self, fresh: bool) {
        let indent = self.at - self.line;
        let braces = self.item.map_or(Braces::InOrder, |(_, braces)| braces);
        if fresh && braces != Braces::InOrder && self.open.last().is_some_and(|top| top.indent != indent) {
            if self.open.iter().any(|frame| frame.indent == indent) {
                while self.open.last().is_some_and(|frame| frame.indent != indent) {
                    self.report_unclosed(Some((self.at..self.at + 1, "by its indentation, this closes one further out")));
                }
            } else if braces == Braces::Surplus {
                self.surplus_brace();
                return;
            }
        }
        if self.open.pop().is_none() {
            if !self.rewind_item(Braces::Surplus) {
                self.surplus_brace();
            }
            return;
        }
        self.marks.push(Mark { at: self.at, len: 1, kind: MarkKind::Close });
        self.after_brace = Some(self.marks.len());
        self.at += 1;
    }

    fn surplus_brace(&mut self) {
        let span = self.span(self.at..self.at + 1);
        self.diagnostics.push(Diagnostic::error(codes::BRACKETS, "`}` closes nothing", span, "one too many"));
        self.at += 1;
    }

    /// Reports the innermost brace as unclosed, and implies its end here.
    fn report_unclosed(&mut self, seen: Option<(Range<usize>, &str)>) {
        let Some(frame) = self.open.pop() else { return };
        let span = self.span(frame.at..frame.at + 1);
        let mut diagnostic = Diagnostic::error(codes::BRACKETS, "`{` is never closed", span, "opened here");
        if let Some((range, text)) = seen {
            diagnostic = diagnostic.label(self.span(range), text);
        }
        self.diagnostics.push(diagnostic);
        self.marks.push(Mark { at: self.at, len: 0, kind: MarkKind::Close });
        self.marks.push(Mark { at: self.at, len: 0, kind: MarkKind::End });
    }

    fn close_all(&mut self, next: Option<Range<usize>>) {
        while !self.open.is_empty() {
            self.report_unclosed(next.clone().map(|range| (range, "the next item begins here")));
        }
    }

    /// Handles the end of the text; returns whether the scan is finished.
    fn end_of_text(&mut self) -> bool {
        if self.in_parentheses() {
            self.give_up_parentheses();
            return false;
        }
        if !self.open.is_empty() && self.rewind_item(Braces::Missing) {
            return false;
        }
        self.close_all(None);
        true
    }

    fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            at: self.at,
            marks: self.marks.len(),
            blanks: self.blanks.len(),
            comments: self.comments.len(),
            diagnostics: self.diagnostics.len(),
            line: self.line,
            tokens: self.tokens,
        }
    }

    fn rewind(&mut self, to: Checkpoint) {
        self.at = to.at;
        self.marks.truncate(to.marks);
        self.blanks.truncate(to.blanks);
        self.comments.truncate(to.comments);
        self.diagnostics.truncate(to.diagnostics);
        self.line = to.line;
        self.tokens = to.tokens;
        self.fresh_line = false;
        self.after_comma = false;
        self.after_brace = None;
    }

    /// A brace inside parentheses means that they are unclosed. Rescans from the outermost one,
    /// treating none of them as open, so that line ends count again. No text is rescanned twice for this.
    fn give_up_parentheses(&mut self) {
        let first = self.open.iter().rposition(|frame| frame.bracket == b'{').map_or(0, |brace| brace + 1);
        self.dead = self.open[first..].iter().map(|frame| frame.at).collect();
        if let Some(before) = self.open.get(first).map(|frame| frame.before) {
            self.rewind(before);
        }
        self.open.truncate(first);
    }

    /// Rescans the latest item once, taking its indentation into account.
    fn rewind_item(&mut self, braces: Braces) -> bool {
        match self.item {
            Some((before, Braces::InOrder)) => {
                self.rewind(before);
                self.fresh_line = true;
                self.open.clear();
                self.item = Some((before, braces));
                true
            }
            _ => false,
        }
    }

    /// An unterminated string may swallow the closing brackets of its line. Reports only the string.
    fn forgive_brackets_before_open_strings(&mut self) {
        let strings: Vec<usize> =
            self.diagnostics.iter().filter(|d| d.message == OPEN_STRING).map(|d| d.span().range().start).collect();
        if strings.is_empty() {
            return;
        }
        let text = self.text;
        self.diagnostics.retain(|d| {
            let at = d.span().range().start;
            let taken = |&string: &usize| at < string && !text[at..string].contains('\n');
            d.code != codes::BRACKETS || text[at..].starts_with('{') || !strings.iter().any(taken)
        });
    }

    fn refuse(&mut self, message: String, range: Range<usize>, label: &str) {
        self.diagnostics.push(Diagnostic::error(codes::LIMIT, message, self.span(range), label));
        self.refused = true;
    }
}
