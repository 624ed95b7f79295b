//! Comments that look like the second half of a division: in `filters: hidden // 2`, a comment begins at the slashes.

use std::collections::HashSet;

use super::lets::gather_lets;
use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::base::source::Span;
use crate::syntax::ast::{File, Item};

/// The names that every block or stage has.
const GIVEN: [&str; 3] = ["in_channels", "i", "count"];

/// Warns of comments that continue an expression, as in Python.
pub(super) fn run(tree: &File, text: &str, diags: &mut Vec<Diagnostic>) {
    let names = names(tree);
    for comment in &tree.comments {
        let before = &text[..comment.span.range().start];
        let line = before.rfind('\n').map_or(before, |end| &before[end + 1..]);
        let divisor = comment.node.strip_prefix("//").and_then(|rest| divisor(rest, &names));
        if let (Some(dividend), Some(divisor)) = (dividend(line, &names), divisor) {
            diags.push(warning(dividend, divisor, comment.span));
        }
    }
}

fn warning(dividend: &str, divisor: &str, span: Span) -> Diagnostic {
    let message = format!("`// {divisor}` is a comment, and divides nothing");
    Diagnostic::warning(codes::COMMENT_DIVIDES, message, span, format!("not read: the value is `{dividend}`"))
        .help(format!("`floor(a / b)` divides and rounds down: `floor({dividend} / {divisor})`"))
        .help("a comment on a line of its own is not mistaken for a division")
}

/// Parameters and `let`s of the file.
fn names(tree: &File) -> HashSet<&str> {
    let mut names = HashSet::from(GIVEN);
    for item in &tree.items {
        let (params, body) = match item {
            Item::Use(_) | Item::Function(_) => continue,
            Item::Block(block) => (&block.params, &block.body),
            Item::Network(network) => (&network.params, &network.body),
        };
        names.extend(params.iter().map(|param| param.name.node.as_str()));
        let mut lets = Vec::new();
        gather_lets(body, &mut lets);
        names.extend(lets.into_iter().map(|name| name.node.as_str()));
    }
    names
}

/// What a line of code before a comment ends in, if that can be divided: a name, an item of a list, or what is in parentheses.
/// Comments mostly stand further away.
fn dividend<'t>(line: &'t str, names: &HashSet<&str>) -> Option<&'t str> {
    let code = line.strip_suffix(' ').unwrap_or(line);
    let start = match code.chars().next_back()? {
        ')' => opening(code, '(', ')')?,
        ']' => opening(code, '[', ']')?,
        _ => code.len(),
    };
    let called = code[..start].trim_end_matches(is_word);
    let dividend = &code[called.len()..];
    let has_name = words(dividend).any(|word| names.contains(word));
    // the word of a statement is not divided, and neither is a label
    let last = called.trim_end();
    let is_statement = last.is_empty() || last.ends_with(['{', '}']);
    let is_label = [" as", " from", "branch"].iter().any(|word| last.ends_with(word));
    (has_name && !is_statement && !is_label).then_some(dividend)
}

/// The place of the bracket that the last one closes.
fn opening(code: &str, open: char, close: char) -> Option<usize> {
    let mut depth = 0;
    for (at, c) in code.char_indices().rev() {
        depth += i32::from(c == close) - i32::from(c == open);
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// What the text of a comment begins with, if a value can be divided by that: a number, a name or what is in parentheses; and then
/// nothing, or what may follow a value.
fn divisor<'t>(comment: &'t str, names: &HashSet<&str>) -> Option<&'t str> {
    let text = comment.strip_prefix(' ').unwrap_or(comment);
    let end = match text.strip_prefix('(') {
        Some(inner) => inner.find(')')? + 2,
        None => text.find(|c| !is_word(c)).unwrap_or(text.len()),
    };
    let (divisor, rest) = text.split_at(end);
    let is_value = |word: &str| names.contains(word) || word.bytes().all(|c| c.is_ascii_digit());
    let rest = rest.trim_start();
    let goes_on = rest.is_empty() || rest.starts_with([',', ')', ']', '}', '{', '+', '*', '%', '<', '>', '=']);
    (goes_on && words(divisor).next().is_some() && words(divisor).all(is_value)).then_some(divisor)
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c| !is_word(c)).filter(|word| !word.is_empty())
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
