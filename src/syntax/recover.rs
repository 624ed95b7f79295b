//! Builds the tree of a file from the scanned text, recovering from errors.
//!
//! An item that matches the grammar is built directly. One that does not is split at the marks of the scan: its head is matched
//! with empty braces, and the contents of the braces statement by statement, in the same way. So every statement gets its own
//! errors, and is matched at most once more.

use std::ops::Range;

use pest::Parser;
use pest::iterators::Pairs;

use super::ast::*;
use super::build;
use super::context::Context;
use super::explain;
use super::foreign;
use super::grammar::{Grammar, Rule};
use super::scan::{Mark, MarkKind, Scan};
use super::words::ITEMS;
use super::{MAX_ERRORS, VERSION};
use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::base::source::{FileId, Span};

/// The text range of a statement or item, without surrounding whitespace.
#[derive(Clone)]
struct Piece {
    range: Range<usize>,
    /// The range of its marks.
    marks: Range<usize>,
}

/// The contents of a pair of braces, exclusive.
struct Braces {
    open: usize,
    close: Mark,
    /// The marks between them.
    marks: Range<usize>,
}

struct Recovery<'a> {
    file: FileId,
    text: &'a str,
    clean: &'a str,
    marks: &'a [Mark],
    /// Places where the scan has reported errors, ascending; no further errors are reported there.
    reported: Vec<Range<usize>>,
    diagnostics: Vec<Diagnostic>,
}

/// Parses the scanned text.
pub(super) fn file(file: FileId, text: &str, scan: Scan) -> (File, Vec<Diagnostic>) {
    let mut reported: Vec<_> = scan.diagnostics.iter().map(|diagnostic| diagnostic.span().range()).collect();
    reported.sort_by_key(|range| range.start);
    let mut reader = Recovery { file, text, clean: &scan.clean, marks: &scan.marks, reported, diagnostics: scan.diagnostics };
    let comments = scan.comments.iter().map(|range| reader.spanned(range.clone())).collect();
    let mut tree = File { version: None, items: Vec::new(), comments, damaged: false };
    if !scan.refused {
        reader.items(&mut tree);
    }
    tree.damaged = !reader.diagnostics.is_empty();
    let mut diagnostics = reader.diagnostics;
    keep_comments(&mut diagnostics, &scan.comments);
    diagnostics.sort_by_key(|diagnostic| (diagnostic.span().start, diagnostic.span().end));
    if diagnostics.len() >= MAX_ERRORS {
        diagnostics.truncate(MAX_ERRORS);
        if let Some(last) = diagnostics.last_mut() {
            last.notes.push(format!("note: reading stopped after {MAX_ERRORS} errors"));
        }
    }
    (tree, diagnostics)
}

/// Takes away the edits that would delete a comment.
fn keep_comments(diagnostics: &mut [Diagnostic], comments: &[Range<usize>]) {
    for help in diagnostics.iter_mut().flat_map(|diagnostic| &mut diagnostic.helps) {
        help.edit.take_if(|(span, _)| {
            comments.iter().any(|comment| comment.start < span.range().end && span.range().start < comment.end)
        });
    }
}

impl<'a> Recovery<'a> {
    fn spanned(&self, range: Range<usize>) -> Spanned<String> {
        Spanned { node: self.text[range.clone()].to_owned(), span: Span::new(self.file, range) }
    }

    fn items(&mut self, tree: &mut File) {
        let pieces = self.cut(0..self.clean.len(), 0..self.marks.len());
        let mut pieces = pieces.as_slice();
        match pieces.split_first() {
            Some((first, rest)) if self.first_word(&first.range) == "resnet" => {
                tree.version = self.version(&first.range);
                if tree.version.as_ref().is_some_and(|version| version.node != VERSION) {
                    // Another version cannot be checked against this version's grammar.
                    return;
                }
                pieces = rest;
            }
            first => {
                let other = self.no_version(first.map(|(piece, _)| piece));
                if other {
                    return;
                }
            }
        }
        let mut astray = false;
        for piece in pieces {
            if self.diagnostics.len() >= MAX_ERRORS {
                return;
            }
            let word = self.first_word(&piece.range);
            if ITEMS.contains(&word) {
                astray = false;
                let before = self.diagnostics.len();
                let item = self.item(piece, word);
                let damaged = self.diagnostics.len() > before || self.was_reported(&piece.range);
                tree.items.extend(item.map(|item| self.finish(item, damaged, tree)));
            } else if !std::mem::replace(&mut astray, true) {
                // One report for adjacent pieces, which most likely have one cause.
                self.misplaced(piece, word);
            }
        }
    }

    fn version(&mut self, range: &Range<usize>) -> Option<Spanned<u64>> {
        let version = self.leaf(range, Rule::only_version, |cx, mut pairs| build::version(cx, pairs.next()?))?;
        if version.node != VERSION {
            let message = format!("version {} of the language is not known", version.node);
            self.diagnostics.push(
                Diagnostic::error(
                    codes::UNSUPPORTED_VERSION,
                    message,
                    version.span,
                    format!("this compiler reads version {VERSION}"),
                )
                .help("a newer release of resnetc may read it"),
            );
        }
        Some(version)
    }

    /// Reports the missing version. Returns whether the file is in another language, of which nothing more is reported.
    fn no_version(&mut self, first: Option<&Piece>) -> bool {
        let start = first.map_or(0, |piece| piece.range.start);
        let length = first.map_or(0, |piece| self.first_word(&piece.range).len());
        let span = Span::new(self.file, start..start + length);
        let top = Span::new(self.file, 0..0);
        let message = format!("the file does not begin with `resnet {VERSION}`");
        if let Some(other) = foreign::kind(self.text.trim_start()) {
            let help = "write the network in this language (`resnetc new` makes a first file), or export the model to ONNX and `resnetc import` that";
            self.diagnostics.clear();
            self.diagnostics
                .push(Diagnostic::error(codes::NO_VERSION, message, span, format!("this looks like {other}")).help(help));
            return true;
        }
        self.diagnostics.push(Diagnostic::error(codes::NO_VERSION, message, span, "the version belongs in front of this").fix(
            format!("write `resnet {VERSION}` in the first line"),
            top,
            format!("resnet {VERSION}\n"),
        ));
        false
    }

    fn misplaced(&mut self, piece: &Piece, word: &str) {
        if self.was_reported(&piece.range) {
            return;
        }
        if let Some(found) = foreign::item(&self.clean[piece.range.clone()]) {
            let pieces = vec![(0, piece.range.start)];
            let cx = Context { file: self.file, pieces, diagnostics: &mut self.diagnostics };
            let diagnostic = explain::advised(&cx, found);
            self.diagnostics.push(diagnostic);
            return;
        }
        let span = explain::token_span(self.file, self.clean, piece.range.start);
        let found = explain::token(self.clean, piece.range.start);
        let message = format!("expected `use`, `network`, `block` or `elementwise`, found {found}");
        let mut diagnostic = Diagnostic::error(codes::SYNTAX, message, span, "not expected here");
        if word == "resnet" {
            diagnostic = diagnostic.note("the version goes on the first line, once");
        } else if !word.is_empty() {
            diagnostic = diagnostic.note("statements go in the braces of a network or block");
        }
        self.diagnostics.push(diagnostic);
    }

    /// Adds file-level information to an item.
    fn finish(&self, mut item: Item, is_damaged: bool, tree: &File) -> Item {
        match &mut item {
            Item::Use(_) => {}
            Item::Network(Network { doc, damaged, span, .. }) | Item::Block(Block { doc, damaged, span, .. }) => {
                *doc = self.doc(span.range().start, &tree.comments);
                *damaged = is_damaged;
            }
            Item::Function(function) => function.doc = self.doc(function.span.range().start, &tree.comments),
        }
        item
    }

    /// The `///` lines directly above `start`.
    fn doc(&self, start: usize, comments: &[Spanned<String>]) -> Option<String> {
        let last = comments.partition_point(|comment| comment.span.range().start < start);
        let mut below = start;
        let mut lines = Vec::new();
        for comment in comments[..last].iter().rev() {
            let between = &self.text[comment.span.range().end..below];
            let adjacent = between.matches('\n').count() == 1 && between.trim().is_empty();
            let Some(line) = comment.node.strip_prefix("///").filter(|_| adjacent) else { break };
            lines.push(line.strip_prefix(' ').unwrap_or(line));
            below = comment.span.range().start;
        }
        lines.reverse();
        if lines.is_empty() { None } else { Some(lines.join("\n")) }
    }

    fn item(&mut self, piece: &Piece, word: &str) -> Option<Item> {
        if !self.was_reported(&piece.range)
            && let Ok(mut pairs) = Grammar::parse(Rule::only_item, &self.clean[piece.range.clone()])
        {
            return self.built(&piece.range, vec![(0, piece.range.start)], |cx| build::item(cx, pairs.next()?));
        }
        if matches!(word, "use" | "elementwise") {
            let item = self.leaf(&piece.range, Rule::only_item, |cx, mut pairs| build::item(cx, pairs.next()?));
            return if word == "use" { item } else { item.or_else(|| self.name_only(piece, word)) };
        }
        let braces = self.braces(piece);
        let head = self.hollow(piece, &braces, Rule::only_item, |cx, mut pairs| build::item(cx, pairs.next()?));
        let mut item = head.or_else(|| self.name_only(piece, word));
        for (i, inside) in braces.iter().enumerate() {
            let statements = self.statements(inside);
            match &mut item {
                Some(Item::Network(Network { body, .. }) | Item::Block(Block { body, .. })) if i == 0 => *body = statements,
                _ => {}
            }
        }
        item
    }

    /// An item of which only the name can be parsed, so that uses of it are not reported as unknown.
    fn name_only(&self, piece: &Piece, word: &str) -> Option<Item> {
        let rest = &self.clean[piece.range.start + word.len()..piece.range.end];
        let start = piece.range.end - rest.trim_start().len();
        let name = self.first_word(&(start..piece.range.end));
        if name.is_empty() {
            return None;
        }
        let name = self.spanned(start..start + name.len());
        let span = Span::new(self.file, piece.range.clone());
        let (params, body, damaged) = (Vec::new(), Vec::new(), true);
        Some(match word {
            "network" => Item::Network(Network { doc: None, name, params, base: None, body, span, damaged }),
            "elementwise" => Item::Function(Function { doc: None, name, params, value: None, span }),
            _ => Item::Block(Block { doc: None, name, params, body, span, damaged }),
        })
    }

    fn statements(&mut self, braces: &Braces) -> Vec<Stmt> {
        let pieces = self.cut(braces.open + 1..braces.close.at, braces.marks.clone());
        let mut statements = Vec::new();
        let mut in_section = false;
        for piece in &pieces {
            // one report for Darknet's sections
            let text = &self.clean[piece.range.clone()];
            if std::mem::replace(&mut in_section, foreign::section(text).is_some()) && foreign::is_in_section(text) {
                in_section = true;
                continue;
            }
            statements.extend(self.statement(piece));
        }
        statements
    }

    fn statement(&mut self, piece: &Piece) -> Option<Stmt> {
        if self.diagnostics.len() >= MAX_ERRORS {
            return None;
        }
        let statement = |cx: &mut Context, mut pairs: Pairs<Rule>| build::statement(cx, pairs.next()?);
        let word = self.first_word(&piece.range);
        let braces = self.braces(piece);
        if braces.is_empty() || !explain::has_braces(word) {
            return self.leaf(&piece.range, Rule::only_statement, statement);
        }
        let mut result = self.hollow(piece, &braces, Rule::only_statement, statement);
        match word {
            "parallel" => {
                let arms: Vec<_> = braces.iter().flat_map(|inside| self.arms(inside)).collect();
                if let Some(StmtKind::Parallel { arms: empty, .. }) = result.as_mut().map(|stmt| &mut stmt.kind) {
                    *empty = arms;
                }
            }
            "train" | "precision" => {
                let lists = braces.iter().flat_map(|inside| self.each(inside, Rule::only_entries, build::list_of_entries));
                let entries = lists.flatten().collect();
                if let Some(StmtKind::Train(empty) | StmtKind::Precision(empty)) = result.as_mut().map(|stmt| &mut stmt.kind) {
                    *empty = entries;
                }
            }
            // what names no block most likely has something else in its braces than keys
            "stage" | "repeat" if result.is_none() && !self.clean[piece.range.start..braces[0].open].contains(" of ") => {}
            "stage" | "repeat" | "preprocess" => {
                let lists = braces.iter().flat_map(|inside| self.each(inside, Rule::only_keys, build::list_of_keys));
                for keys in lists.collect::<Vec<_>>() {
                    match result.as_mut().map(|stmt| &mut stmt.kind) {
                        Some(StmtKind::Stage(stage)) => {
                            stage.args.extend(keys.args);
                            stage.first.extend(keys.first);
                            stage.allows.extend(keys.allows);
                        }
                        Some(StmtKind::Preprocess(args)) => args.extend(keys.args),
                        _ => {}
                    }
                }
            }
            _ => {
                let bodies = braces.iter().map(|inside| self.statements(inside)).collect();
                if let Some(stmt) = &mut result {
                    fill(stmt, bodies);
                }
            }
        }
        result
    }

    fn arms(&mut self, braces: &Braces) -> Vec<(Option<Label>, Vec<Stmt>)> {
        let pieces = self.cut(braces.open + 1..braces.close.at, braces.marks.clone());
        let mut arms = Vec::new();
        for piece in pieces {
            let inside = self.braces(&piece);
            let arm = self.hollow(&piece, &inside, Rule::only_arm, |cx, mut pairs| build::arm(cx, pairs.next()?));
            let body = inside.iter().flat_map(|inside| self.statements(inside)).collect();
            arms.extend(arm.map(|(name, _)| (name, body)));
        }
        arms
    }

    /// Matches each line in the braces separately.
    fn each<T>(&mut self, braces: &Braces, rule: Rule, build: fn(&mut Context, Pairs<Rule>) -> Option<T>) -> Vec<T> {
        let pieces = self.cut(braces.open + 1..braces.close.at, braces.marks.clone());
        pieces.iter().filter_map(|piece| self.leaf(&piece.range, rule, build)).collect()
    }

    /// Matches a piece that is not split further.
    fn leaf<T>(
        &mut self,
        range: &Range<usize>,
        rule: Rule,
        build: impl FnOnce(&mut Context, Pairs<Rule>) -> Option<T>,
    ) -> Option<T> {
        self.matched(range, &self.clean[range.clone()], vec![(0, range.start)], rule, build)
    }

    /// Matches a piece with empty braces.
    fn hollow<T>(
        &mut self,
        piece: &Piece,
        braces: &[Braces],
        rule: Rule,
        build: impl FnOnce(&mut Context, Pairs<Rule>) -> Option<T>,
    ) -> Option<T> {
        let mut text = String::new();
        let mut pieces = Vec::new();
        let mut at = piece.range.start;
        for inside in braces {
            pieces.push((text.len(), at));
            text.push_str(&self.clean[at..=inside.open]);
            pieces.push((text.len(), inside.close.at));
            text.push('}');
            at = inside.close.at + inside.close.len;
        }
        pieces.push((text.len(), at));
        text.push_str(&self.clean[at..piece.range.end.max(at)]);
        // Errors inside the braces do not affect the rest.
        let head = piece.range.start..braces.first().map_or(piece.range.end, |inside| inside.open + 1);
        self.matched(&head, &text, pieces, rule, build)
    }

    /// Matches `text`, which was taken from `range`, and builds from it. Errors are reported unless the scan already did.
    fn matched<T>(
        &mut self,
        range: &Range<usize>,
        text: &str,
        pieces: Vec<(usize, usize)>,
        rule: Rule,
        build: impl FnOnce(&mut Context, Pairs<Rule>) -> Option<T>,
    ) -> Option<T> {
        match Grammar::parse(rule, text) {
            Ok(pairs) => self.built(range, pieces, |cx| build(cx, pairs)),
            Err(_) if self.was_reported(range) => None,
            Err(error) => {
                let following = &self.clean[range.end.min(self.clean.len())..];
                let cx = Context { file: self.file, pieces, diagnostics: &mut self.diagnostics };
                let diagnostic = explain::explain(&cx, text, following, rule, &error);
                self.diagnostics.push(diagnostic);
                None
            }
        }
    }

    fn built<T>(
        &mut self,
        range: &Range<usize>,
        pieces: Vec<(usize, usize)>,
        build: impl FnOnce(&mut Context) -> Option<T>,
    ) -> Option<T> {
        let before = self.diagnostics.len();
        let mut cx = Context { file: self.file, pieces, diagnostics: &mut self.diagnostics };
        let built = build(&mut cx);
        if built.is_none() && self.diagnostics.len() == before && !self.was_reported(range) {
            let span = Span::new(self.file, range.clone());
            self.diagnostics.push(Diagnostic::error(codes::SYNTAX, "this does not parse", span, ""));
        }
        built
    }

    fn was_reported(&self, range: &Range<usize>) -> bool {
        let next = self.reported.partition_point(|reported| reported.end <= range.start);
        self.reported[next..].iter().any(|reported| reported.start < range.end)
    }

    fn first_word(&self, range: &Range<usize>) -> &'a str {
        let clean: &'a str = self.clean;
        let text = &clean[range.clone()];
        let end = text.bytes().position(|b| !b.is_ascii_alphanumeric() && b != b'_').unwrap_or(text.len());
        &text[..end]
    }

    /// The outermost pairs of braces in a piece.
    fn braces(&self, piece: &Piece) -> Vec<Braces> {
        let mut braces = Vec::new();
        let mut open = None;
        let mut depth = 0_usize;
        for i in piece.marks.clone() {
            let mark = self.marks[i];
            match mark.kind {
                MarkKind::Open => {
                    if depth == 0 {
                        open = Some(i);
                    }
                    depth += 1;
                }
                MarkKind::Close => {
                    depth = depth.saturating_sub(1);
                    if let (0, Some(first)) = (depth, open) {
                        braces.push(Braces { open: self.marks[first].at, close: mark, marks: first + 1..i });
                        open = None;
                    }
                }
                MarkKind::End => {}
            }
        }
        braces
    }

    /// Splits a range of the text at the ends of its outermost statements.
    fn cut(&self, range: Range<usize>, marks: Range<usize>) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let (mut start, mut first, mut depth) = (range.start, marks.start, 0_usize);
        for i in marks.clone() {
            let mark = self.marks[i];
            match mark.kind {
                MarkKind::Open => depth += 1,
                MarkKind::Close => depth = depth.saturating_sub(1),
                MarkKind::End if depth == 0 => {
                    pieces.extend(self.trim(start..mark.at, first..i));
                    (start, first) = (mark.at + mark.len, i + 1);
                }
                MarkKind::End => {}
            }
        }
        pieces.extend(self.trim(start..range.end, first..marks.end));
        pieces
    }

    fn trim(&self, range: Range<usize>, marks: Range<usize>) -> Option<Piece> {
        let text = self.clean.get(range.clone())?;
        let start = range.end - text.trim_start().len();
        let end = range.start + text.trim_end().len();
        if start < end { Some(Piece { range: start..end, marks }) } else { None }
    }
}

/// Inserts separately parsed bodies into their statement.
fn fill(stmt: &mut Stmt, bodies: Vec<Vec<Stmt>>) {
    let mut bodies = bodies.into_iter();
    let mut kind = &mut stmt.kind;
    loop {
        match kind {
            StmtKind::Section { body, .. }
            | StmtKind::Scope { body, .. }
            | StmtKind::Sequential { body, .. }
            | StmtKind::Joined { body, .. }
            | StmtKind::Branch { body, .. } => {
                *body = bodies.next().unwrap_or_default();
                return;
            }
            StmtKind::If { then, otherwise, .. } => {
                *then = bodies.next().unwrap_or_default();
                if otherwise.is_empty() {
                    *otherwise = bodies.next().unwrap_or_default();
                    return;
                }
                kind = &mut otherwise[0].kind;
            }
            _ => return,
        }
    }
}
