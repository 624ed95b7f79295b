//! Explains syntax errors: translates pest's expected rules into the terms of the language.

use std::collections::BTreeSet;

use pest::error::{Error, ErrorVariant, InputLocation};

use super::context::Context;
use super::foreign;
use super::grammar::Rule;
use super::scan::shorten;
use super::words::is_reserved;
use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::base::source::{FileId, Span};

/// Whether statements that start with this word have braces.
pub(super) fn has_braces(word: &str) -> bool {
    const WITH_BRACES: [&str; 15] = [
        "stem",
        "head",
        "scope",
        "sequential",
        "branch",
        "parallel",
        "add",
        "mul",
        "concat",
        "if",
        "stage",
        "repeat",
        "preprocess",
        "precision",
        "train",
    ];
    WITH_BRACES.contains(&word)
}

/// Explains the error in `text`, which is followed by `following` in the file and should match `rule`.
pub(super) fn explain(cx: &Context, text: &str, following: &str, rule: Rule, error: &Error<Rule>) -> Diagnostic {
    let known = match rule {
        Rule::only_statement => foreign::nested(text).or_else(|| foreign::notation(text)),
        Rule::only_item => foreign::notation(text),
        Rule::only_arm if !text.contains('{') => foreign::arm(text),
        Rule::only_entries | Rule::only_keys => foreign::option(text),
        _ => None,
    };
    if let Some(found) = known {
        return advised(cx, found);
    }
    let at = match error.location {
        InputLocation::Pos(at) | InputLocation::Span((at, _)) => at,
    };
    let at = text.len() - text[at.min(text.len())..].trim_start_matches([' ', '\t', '\r']).len();
    let expected = match &error.variant {
        ErrorVariant::ParsingError { positives, .. } => expected(positives),
        ErrorVariant::CustomError { .. } => Vec::new(),
    };
    let ends = text[at..].is_empty() || text[at..].starts_with('\n');
    let (found, span) = if ends {
        // The line ends too early: point directly after its last character.
        let end = text[..at].trim_end().len();
        let next = following.trim_start_matches([' ', '\t', '\r']);
        let found = if next.starts_with('}') { "`}`" } else { "the end of the line" };
        (found.to_owned(), cx.span_at(end.saturating_sub(1)..end))
    } else {
        (token(text, at), cx.span_at(at..at + token_length(&text[at..])))
    };
    let message = match list(&expected) {
        Some(list) => format!("expected {list}, found {found}"),
        None => format!("{found} is not expected here"),
    };
    let label = if ends { "something is missing after this" } else { "not expected here" };
    // A missing token belongs directly after the existing text.
    let before = text[..at].trim_end().len();
    let last = cx.span_at(before.saturating_sub(1)..before);
    let gap = Span { start: last.end, ..last };
    let tail = cx.span_at(before..arguments_end(text).max(before));
    advise(Diagnostic::error(codes::SYNTAX, message, span, label), text, at, following, &expected, gap, tail)
}

/// Where the arguments of a statement or entry end: before the braces that it ends with.
fn arguments_end(text: &str) -> usize {
    text.trim_end_matches(|c: char| c.is_whitespace() || matches!(c, '{' | '}')).len()
}

/// The error of a statement in another notation.
pub(super) fn advised(cx: &Context, found: foreign::Advice) -> Diagnostic {
    let diagnostic = Diagnostic::error(codes::SYNTAX, found.message, cx.span_at(found.at), "not expected here");
    match found.edit {
        Some((range, own)) => diagnostic.fix(found.help, cx.span_at(range), own),
        None => diagnostic.help(found.help),
    }
}

/// Adds advice for likely mistakes. `gap` is where a missing token belongs, and `tail` everything from there.
fn advise(
    diagnostic: Diagnostic,
    text: &str,
    at: usize,
    following: &str,
    expected: &[&str],
    gap: Span,
    tail: Span,
) -> Diagnostic {
    let rest = &text[at..];
    let before = text[..at].trim_end();
    let word = &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())];
    if expected.contains(&"`,`") && !word.is_empty() && !is_reserved(word) && !before.ends_with(',') {
        let help = match () {
            () if expected.contains(&"`)`") || expected.contains(&"`]`") => "separate list items with `,`",
            () => "separate arguments with `,`, and put statements on separate lines",
        };
        return diagnostic.fix(help, gap, ",");
    }
    // the rest of the arguments is most likely written in the same way
    let quoted = ["labels", "weights", "use"].iter().any(|word| text.starts_with(word));
    let respelled = || foreign::respelled(&text[before.len()..arguments_end(text)], quoted);
    if rest.starts_with('=') && !rest.starts_with("==") && expected.contains(&"`:`") {
        let key = before.rsplit(|c| !is_word(c)).next().unwrap_or("");
        let own = respelled();
        return diagnostic.fix(format!("write `{key}{own}`"), tail, own);
    }
    if rest.starts_with('*') && before.ends_with('*') {
        return diagnostic.help("powers are products: `2 * 2 * 2`; a square is `square(x)` in a function");
    }
    if text.trim_end() == "shortcut" {
        return diagnostic.help("`add shortcut` adds the block's input; `shortcut: projection` in the network says how");
    }
    if ["is None", "is not None"].iter().any(|none| rest.starts_with(none)) {
        return diagnostic.help("there is no `None`: a parameter such as `project = false` is true or false, `if project { … }`");
    }
    if let Some(help) = braces(text, rest, expected) {
        return diagnostic.help(help);
    }
    if word == "if" && rest.contains(" else ") && !expected.contains(&"a value") {
        return diagnostic.help("the condition comes first: `if x > 0 then x else 0`");
    }
    if rest.starts_with('\'') {
        return diagnostic.fix("words are written without quotes, texts in double quotes", tail, respelled());
    }
    let in_front = text.split_once('(').map_or("", |(name, _)| name);
    let called = !in_front.is_empty() && in_front.chars().all(is_word) && !is_reserved(in_front);
    if called || (rest.starts_with('(') && expected.contains(&"the end of the line")) {
        return diagnostic.help("operators and blocks take their arguments without parentheses: `conv 3x3, filters: 64`");
    }
    if rest.is_empty() && expected.contains(&"`{`") && following.trim_start().starts_with('{') {
        return diagnostic.help("`{` must be on the same line as what it belongs to");
    }
    if expected.contains(&"a name") && is_reserved(word) {
        return diagnostic.note(format!("`{word}` is a reserved word and cannot be a name"));
    }
    diagnostic
}

/// What braces that are missing, or too many, stand for.
fn braces(text: &str, rest: &str, expected: &[&str]) -> Option<&'static str> {
    let word = text.split(|c| !is_word(c)).next()?;
    let needs = expected.contains(&"`{`");
    match word {
        "if" | "else" if needs && rest.starts_with(':') => Some("braces hold what belongs to it: `if COND { … } else { … }`"),
        "parallel" if needs && ["concat", "add", "mul"].iter().any(|join| rest.starts_with(join)) => {
            Some("the join comes first: `parallel concat split { … }`")
        }
        _ if rest.starts_with('{') && !has_braces(word) => Some(
            "only `add`, `mul` and `concat` join braces at once; give others a label: `branch gate { … }`, then `gated gate`",
        ),
        _ => None,
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Describes the token at `at` for a message.
pub(super) fn token(text: &str, at: usize) -> String {
    let rest = &text[at..];
    // single quotes need no escape between backticks
    format!("`{}`", shorten(&rest[..token_length(rest)]).escape_debug().to_string().replace("\\'", "'"))
}

/// The span of the token at `at`.
pub(super) fn token_span(file: FileId, text: &str, at: usize) -> Span {
    Span::new(file, at..at + token_length(&text[at..]))
}

fn token_length(rest: &str) -> usize {
    let Some(first) = rest.chars().next() else { return 0 };
    if is_word(first) {
        let pointed = |(i, c): (usize, char)| c == '.' && rest[i + 1..].starts_with(is_word);
        return rest.char_indices().find(|&(i, c)| !is_word(c) && !pointed((i, c))).map_or(rest.len(), |(i, _)| i);
    }
    if first == '\'' {
        return rest[1..].find(['\'', '\n']).filter(|&at| rest[1 + at..].starts_with('\'')).map_or(1, |at| at + 2);
    }
    if first == '"' {
        let mut escaped = false;
        for (i, c) in rest.char_indices().skip(1) {
            match c {
                '\n' => return i,
                '"' if !escaped => return i + 1,
                _ => escaped = c == '\\' && !escaped,
            }
        }
        return rest.len();
    }
    const PAIRS: [&str; 5] = ["==", "!=", "<=", ">=", "~="];
    if PAIRS.iter().any(|pair| rest.starts_with(pair)) { 2 } else { first.len_utf8() }
}

/// `a`, `a or b`, `a, b or c`.
fn list(expected: &[&str]) -> Option<String> {
    let (last, others) = expected.split_last()?;
    Some(if others.is_empty() { (*last).to_owned() } else { format!("{} or {last}", others.join(", ")) })
}

/// Describes the rules, without duplicates, in a fixed order.
fn expected(rules: &[Rule]) -> Vec<&'static str> {
    let words: BTreeSet<(u8, &'static str)> = rules.iter().filter_map(|&rule| in_words(rule)).collect();
    // An operator can follow every value, so it is left out if anything else is expected.
    let only_operators = words.iter().all(|&(rank, _)| rank == OPERATOR);
    words.into_iter().filter(|&(rank, _)| only_operators || rank != OPERATOR).map(|(_, word)| word).collect()
}

/// The rank of infix operators.
const OPERATOR: u8 = 8;

/// Describes a rule, with its rank in the list of expected tokens.
fn in_words(rule: Rule) -> Option<(u8, &'static str)> {
    let rank_and_word = match rule {
        Rule::item | Rule::file | Rule::use_item | Rule::network_item | Rule::block_item | Rule::elementwise_item => {
            (0, "`use`, `network`, `block` or `elementwise`")
        }
        Rule::statement | Rule::call => (0, "a statement"),
        Rule::word | Rule::path | Rule::label | Rule::unit | Rule::use_names | Rule::parameter | Rule::declared => (0, "a name"),
        Rule::key | Rule::keyed | Rule::entry | Rule::entry_key => (0, "a key"),
        Rule::arm => (0, "an arm such as `left { … }`"),
        Rule::use_from => (0, "a library such as `std.blocks` or a file in quotes"),
        Rule::expression
        | Rule::operation
        | Rule::operand
        | Rule::argument
        | Rule::value
        | Rule::conditional
        | Rule::group
        | Rule::list
        | Rule::name
        | Rule::truth => (0, "a value"),
        Rule::dims | Rule::expected => (0, "a size such as `3 x 224 x 224`"),
        Rule::dim | Rule::dim_number => (0, "a size"),
        Rule::size => (0, "a size such as `3x3`"),
        Rule::integer | Rule::float | Rule::version => (0, "a number"),
        Rule::string => (0, "a text in quotes"),
        Rule::times => (1, "`x`"),
        Rule::parameters | Rule::operands => (1, "`(`"),
        Rule::base | Rule::assign => (1, "`=`"),
        Rule::colon => (1, "`:`"),
        Rule::about => (2, "`~=`"),
        Rule::comma => (2, "`,`"),
        Rule::close_paren => (3, "`)`"),
        Rule::close_square => (3, "`]`"),
        Rule::of_word => (3, "`of`"),
        Rule::then_word => (3, "`then`"),
        Rule::else_word | Rule::else_if | Rule::else_body => (3, "`else`"),
        Rule::if_word => (3, "`if`"),
        Rule::from_word | Rule::from_label => (3, "`from`"),
        Rule::as_word | Rule::as_label => (4, "`as`"),
        Rule::body | Rule::keys | Rule::arms | Rule::entries => (5, "`{`"),
        Rule::EOI => (6, "the end of the line"),
        Rule::or_word
        | Rule::and_word
        | Rule::equal
        | Rule::not_equal
        | Rule::less
        | Rule::less_equal
        | Rule::greater
        | Rule::greater_equal
        | Rule::plus
        | Rule::minus
        | Rule::negate
        | Rule::star
        | Rule::slash
        | Rule::percent
        | Rule::index
        | Rule::arguments => (OPERATOR, "an operator"),
        _ => return None,
    };
    Some(rank_and_word)
}
