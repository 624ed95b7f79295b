//! The walk over the characters that comes before the grammar.
//!
//! It refuses what would make a recursive parser suffer (nesting, sheer mass), reports what is wrong with single tokens and with
//! brackets, sets comments aside, decides which line ends end a statement, and notes where braces and statements begin and end.
//! With these [`Mark`]s a file can be cut into statements even where it does not parse.

mod tokens;

use std::ops::Range;

use super::{MAX_ERRORS, MAX_NESTING, MAX_TOKENS};
use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::base::source::{FileId, Span};
use tokens::OPEN_STRING;
pub(super) use tokens::shorten;

/// What the scan found.
pub(super) struct Scan {
    /// The text with comments and those line ends blanked out that do not end a statement. As long as the original.
    pub clean: String,
    /// Braces and the ends of statements, in order.
    pub marks: Vec<Mark>,
    /// Where comments stand.
    pub comments: Vec<Range<usize>>,
    /// Errors of characters, numbers, strings and brackets.
    pub diagnostics: Vec<Diagnostic>,
    /// Whether the text is to be parsed no further.
    pub refused: bool,
}

/// A place that matters to the cutting of a text into statements.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    /// Where it begins.
    pub at: usize,
    /// Its length in bytes: 0 where it is not written but understood, as the closing brace that is missing.
    pub len: usize,
    /// What it is.
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

/// How the braces of an item are matched.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Braces {
    /// Each `}` closes the latest `{`: right for every correct text.
    InOrder,
    /// One `}` too few was found: let the indentation say which.
    Missing,
    /// One `}` too many was found: let the indentation say which.
    Surplus,
}

/// A bracket that is open.
struct Frame {
    bracket: u8,
    at: usize,
    /// Blanks in front of the line on which it stands.
    indent: usize,
    /// The state in front of it.
    before: Checkpoint,
}

/// A state to which the scan can return.
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
    /// Line ends that end no statement.
    blanks: Vec<usize>,
    comments: Vec<Range<usize>>,
    diagnostics: Vec<Diagnostic>,
    open: Vec<Frame>,
    /// Parentheses known to be never closed; always those of one statement.
    dead: Vec<usize>,
    /// The latest `network` or `block`, and how its braces are matched.
    item: Option<(Checkpoint, Braces)>,
    tokens: usize,
    /// Where this line begins.
    line: usize,
    /// Whether nothing but blanks was seen on this line.
    fresh_line: bool,
    /// Whether the latest token was a comma.
    after_comma: bool,
    /// Behind a `}` that was the latest token: how many marks there were.
    after_brace: Option<usize>,
    refused: bool,
}

/// Walks over `text`.
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
        // Only whole characters were replaced, so that this is UTF-8 as before.
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
                    self.diagnostics.push(Diagnostic::error(codes::BRACKETS, message, span, "opened here"));
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
            _ => self.stray(),
        }
    }

    fn word(&mut self, fresh: bool, after_brace: Option<usize>) {
        let start = self.at;
        let mut end = self.word_end(start);
        // A dotted name is one word, so that `layer2.0.conv1` holds no number.
        while self.bytes.get(end) == Some(&b'.') && self.bytes.get(end + 1).copied().is_some_and(is_word) {
            end = self.word_end(end + 1);
        }
        let word = &self.text[start..end];
        let opens_item = fresh && matches!(word, "network" | "block" | "use") && self.something_follows(end);
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
        if opens_item && word != "use" && self.item.is_none_or(|(item, _)| item.at != start) {
            self.item = Some((self.checkpoint(), Braces::InOrder));
        }
        if word == "else"
            && let Some(marks) = after_brace
        {
            self.blanks.extend(self.marks.drain(marks..).map(|mark| mark.at));
        }
        self.at = end;
    }

    fn word_end(&self, from: usize) -> usize {
        from + self.bytes[from..].iter().position(|&b| !is_word(b)).unwrap_or(self.bytes.len() - from)
    }

    /// Whether blanks and then a word or string follow: `network net`, `use "file"`.
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
        let rest = &self.bytes[self.line..];
        let indent = rest.iter().take_while(|&&b| b == b' ' || b == b'\t').count();
        self.open.push(Frame { bracket, at: self.at, indent, before: self.checkpoint() });
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

    /// The innermost brace has no end: understands one here.
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

    /// Whether the text is done with.
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

    /// A brace was met inside parentheses, which never holds one: they were not closed. Reads again from the outermost of them,
    /// taking none of them for open, so that line ends count again. No text is read again twice for this.
    fn give_up_parentheses(&mut self) {
        let first = self.open.iter().rposition(|frame| frame.bracket == b'{').map_or(0, |brace| brace + 1);
        self.dead = self.open[first..].iter().map(|frame| frame.at).collect();
        if let Some(before) = self.open.get(first).map(|frame| frame.before) {
            self.rewind(before);
        }
        self.open.truncate(first);
    }

    /// Reads the latest item again, once, looking at its indentation.
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

    /// A string that does not end takes what would have closed a bracket before it on its line: one mistake, said once.
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
