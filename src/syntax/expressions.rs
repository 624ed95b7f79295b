//! Builds the tree from pest's pairs: expressions, strings and labels.

use std::sync::LazyLock;

use pest::Parser;
use pest::iterators::{Pair, Pairs};
use pest::pratt_parser::{Assoc, Op, PrattParser};

use super::MAX_OPERATORS;
use super::ast::*;
use super::context::{Context, integer_value};
use super::explain;
use super::grammar::{Grammar, Rule};
use super::scan;
use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::base::source::Span;

/// From lowest to highest precedence.
static PRATT: LazyLock<PrattParser<Rule>> = LazyLock::new(|| {
    let infix = |rule| Op::infix(rule, Assoc::Left);
    PrattParser::new()
        .op(infix(Rule::or_word))
        .op(infix(Rule::and_word))
        .op(Op::prefix(Rule::not_word))
        .op(infix(Rule::equal)
            | infix(Rule::not_equal)
            | infix(Rule::less)
            | infix(Rule::less_equal)
            | infix(Rule::greater)
            | infix(Rule::greater_equal))
        .op(infix(Rule::plus) | infix(Rule::minus))
        .op(infix(Rule::star) | infix(Rule::slash) | infix(Rule::percent))
        .op(Op::prefix(Rule::negate))
});

/// An `expression` in a statement, or a `value` in a training entry.
///
/// Rejects expressions with more than [`MAX_OPERATORS`] operators, since the tree can nest equally deep and is traversed
/// recursively.
pub(super) fn expression(cx: &mut Context, pair: Pair<Rule>) -> Option<Expr> {
    let operators = pair.clone().into_inner().flatten().filter(|pair| is_operator(pair.as_rule())).count();
    if operators > MAX_OPERATORS {
        let message = format!("the expression holds {operators} operators; at most {MAX_OPERATORS} are read");
        cx.diagnostics.push(Diagnostic::error(codes::LIMIT, message, cx.span(&pair), "this expression"));
        return None;
    }
    nested(cx, pair)
}

fn is_operator(rule: Rule) -> bool {
    match rule {
        Rule::index | Rule::else_word | Rule::not_word | Rule::negate => true,
        _ => infix(rule).is_some(),
    }
}

/// An expression inside one whose operators are already counted.
fn nested(cx: &mut Context, pair: Pair<Rule>) -> Option<Expr> {
    match pair.as_rule() {
        Rule::expression => nested(cx, pair.into_inner().next()?),
        Rule::conditional => conditional(cx, pair),
        Rule::operation | Rule::value => operation(cx, pair.into_inner()),
        _ => None,
    }
}

/// `if a then b else if c then d else e`.
fn conditional(cx: &mut Context, pair: Pair<Rule>) -> Option<Expr> {
    let whole = cx.span(&pair);
    let starts: Vec<Span> =
        pair.clone().into_inner().filter(|pair| pair.as_rule() == Rule::if_word).map(|pair| cx.span(&pair)).collect();
    let operations = pair.into_inner().filter(|pair| pair.as_rule() == Rule::operation);
    let mut parts = operations.map(|pair| nested(cx, pair)).collect::<Option<Vec<_>>>()?;
    let mut otherwise = parts.pop()?;
    for start in starts.into_iter().rev() {
        let (then, condition) = (parts.pop()?, parts.pop()?);
        let kind = ExprKind::If(Box::new(condition), Box::new(then), Box::new(otherwise));
        otherwise = Expr { kind, span: start.to(whole) };
    }
    Some(otherwise)
}

fn operation(cx: &mut Context, pairs: Pairs<Rule>) -> Option<Expr> {
    // The parser takes one closure per kind of operator; only operands need the context.
    let file = cx.file;
    let pieces = cx.pieces.clone();
    let mut ignored = Vec::new();
    let place = Context { file, pieces, diagnostics: &mut ignored };
    PRATT
        .map_primary(|pair| operand(cx, pair))
        .map_prefix(|operator, value: Option<Expr>| {
            let value = value?;
            let kind = if operator.as_rule() == Rule::negate { UnaryOp::Neg } else { UnaryOp::Not };
            let span = place.span(&operator).to(value.span);
            Some(Expr { kind: ExprKind::Unary(kind, Box::new(value)), span })
        })
        .map_infix(|left: Option<Expr>, operator, right: Option<Expr>| {
            let (left, right) = (left?, right?);
            let span = left.span.to(right.span);
            let operator = Spanned { node: infix(operator.as_rule())?, span: place.span(&operator) };
            Some(Expr { kind: ExprKind::Binary(operator, Box::new(left), Box::new(right)), span })
        })
        .parse(pairs)
}

fn infix(rule: Rule) -> Option<BinaryOp> {
    Some(match rule {
        Rule::or_word => BinaryOp::Or,
        Rule::and_word => BinaryOp::And,
        Rule::equal => BinaryOp::Eq,
        Rule::not_equal => BinaryOp::Ne,
        Rule::less => BinaryOp::Lt,
        Rule::less_equal => BinaryOp::Le,
        Rule::greater => BinaryOp::Gt,
        Rule::greater_equal => BinaryOp::Ge,
        Rule::plus => BinaryOp::Add,
        Rule::minus => BinaryOp::Sub,
        Rule::star => BinaryOp::Mul,
        Rule::slash => BinaryOp::Div,
        Rule::percent => BinaryOp::Rem,
        _ => return None,
    })
}

/// An atom and the indices after it.
fn operand(cx: &mut Context, pair: Pair<Rule>) -> Option<Expr> {
    let mut pairs = pair.into_inner();
    let mut value = atom(cx, pairs.next()?)?;
    for index in pairs {
        let span = value.span.to(cx.span(&index));
        let index = nested(cx, index.into_inner().find(|pair| pair.as_rule() == Rule::expression)?)?;
        value = Expr { kind: ExprKind::Index(Box::new(value), Box::new(index)), span };
    }
    Some(value)
}

fn atom(cx: &mut Context, pair: Pair<Rule>) -> Option<Expr> {
    let span = cx.span(&pair);
    let text = pair.as_str();
    let kind = match pair.as_rule() {
        Rule::integer => ExprKind::Int(integer_value(text)?),
        Rule::float => ExprKind::Float(text.replace('_', "").parse().ok()?),
        Rule::size => {
            let (height, width) = text.split_once('x')?;
            ExprKind::Size(height.parse().ok()?, width.parse().ok()?)
        }
        Rule::truth => ExprKind::Bool(text == "true"),
        Rule::string => ExprKind::Str(string(cx, &pair).node),
        Rule::list => {
            let items = pair.into_inner().filter(|pair| pair.as_rule() == Rule::expression);
            ExprKind::List(items.map(|pair| nested(cx, pair)).collect::<Option<_>>()?)
        }
        // Parentheses affect only the span.
        Rule::group => nested(cx, pair.into_inner().next()?)?.kind,
        Rule::name => {
            let mut pairs = pair.into_inner();
            let name = cx.ident(&pairs.next()?);
            match pairs.next() {
                Some(pair) => ExprKind::Call(name, arguments(cx, pair)?),
                None => ExprKind::Name(name.node),
            }
        }
        _ => return None,
    };
    Some(Expr { kind, span })
}

/// Arguments in parentheses: a bare name is positional.
pub(super) fn arguments(cx: &mut Context, pair: Pair<Rule>) -> Option<Vec<Arg>> {
    let mut args: Vec<Arg> = Vec::new();
    for pair in pair.into_inner().filter(|pair| pair.as_rule() == Rule::argument) {
        let arg = argument(cx, pair)?;
        if let (None, Some(keyed)) = (&arg.key, args.last().filter(|last| last.key.is_some())) {
            let message = "a value without a key follows one with a key";
            let diagnostic = Diagnostic::error(codes::POSITIONAL, message, arg.span, "needs a key, or its place further left");
            cx.diagnostics.push(diagnostic.label(keyed.span, "from here on each value has a key"));
        }
        args.push(arg);
    }
    Some(args)
}

pub(super) fn argument(cx: &mut Context, pair: Pair<Rule>) -> Option<Arg> {
    let inner = pair.into_inner().next()?;
    match inner.as_rule() {
        Rule::keyed => keyed(cx, inner),
        _ => {
            let value = expression(cx, inner)?;
            Some(Arg { key: None, span: value.span, value })
        }
    }
}

pub(super) fn keyed(cx: &mut Context, pair: Pair<Rule>) -> Option<Arg> {
    let span = cx.span(&pair);
    let mut pairs = pair.into_inner();
    let key = cx.next_ident(&mut pairs, Rule::word)?;
    let value = expression(cx, pairs.find(|pair| pair.as_rule() == Rule::expression)?)?;
    Some(Arg { key: Some(key), value, span })
}

/// A string's value, with escapes resolved.
pub(super) fn string(cx: &Context, pair: &Pair<Rule>) -> Spanned<String> {
    let raw = pair.as_str();
    let raw = raw.get(1..raw.len().saturating_sub(1)).unwrap_or("");
    Spanned { node: unescape(raw), span: cx.span(pair) }
}

fn unescape(raw: &str) -> String {
    let mut value = String::with_capacity(raw.len());
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('n')) => value.push('\n'),
            ('\\', Some('t')) => value.push('\t'),
            ('\\', Some(other)) => value.push(other),
            (other, _) => value.push(other),
        }
    }
    value
}

/// A name, or a string template with `{expression}` parts.
pub(super) fn label(cx: &mut Context, pair: Pair<Rule>) -> Option<Label> {
    let inner = pair.into_inner().next()?;
    if inner.as_rule() != Rule::string {
        return Some(Label::Name(cx.ident(&inner)));
    }
    let span = cx.span(&inner);
    let start = inner.as_span().start() + 1;
    let raw = inner.as_str();
    let raw = raw.get(1..raw.len().saturating_sub(1)).unwrap_or("");
    if !raw.contains(['{', '}']) {
        return Some(Label::Name(Spanned { node: unescape(raw), span }));
    }
    let mut parts = Vec::new();
    let mut at = 0;
    while at < raw.len() {
        let rest = &raw[at..];
        let text = rest.find(['{', '}']).unwrap_or(rest.len());
        if text > 0 {
            parts.push(TemplatePart::Text(unescape(&rest[..text])));
        }
        at += text;
        if at == raw.len() {
            break;
        }
        let Some(length) = raw[at..].find('}').filter(|_| raw[at..].starts_with('{')) else {
            let span = cx.span_at(start + at..start + at + 1);
            let (message, label) = match raw.as_bytes().get(at) {
                Some(b'{') => ("`{` is never closed in this label", "opened here"),
                _ => ("`}` closes nothing in this label", "nothing was opened"),
            };
            let diagnostic = Diagnostic::error(codes::BRACKETS, message, span, label);
            cx.diagnostics.push(diagnostic.note("in a label, `{expression}` is replaced by its value"));
            return None;
        };
        parts.push(TemplatePart::Expr(filled_in(cx, &raw[at + 1..at + length], start + at + 1)?));
        at += length + 1;
    }
    Some(Label::Template(Template { parts, span }))
}

fn shift(span: Span, by: usize) -> std::ops::Range<usize> {
    span.range().start + by..span.range().end + by
}

/// The expression between the braces of a template, which starts at `start` in the matched text.
pub(super) fn filled_in(cx: &mut Context, text: &str, start: usize) -> Option<Expr> {
    let place = cx.place(start);
    let scan = scan::scan(cx.file, text);
    if !scan.diagnostics.is_empty() {
        for mut diagnostic in scan.diagnostics {
            diagnostic.labels.iter_mut().for_each(|label| label.span = cx.span_at(shift(label.span, start)));
            diagnostic
                .helps
                .iter_mut()
                .filter_map(|help| help.edit.as_mut())
                .for_each(|(span, _)| *span = cx.span_at(shift(*span, start)));
            cx.diagnostics.push(diagnostic);
        }
        return None;
    }
    let mut cx = Context { file: cx.file, pieces: vec![(0, place)], diagnostics: &mut *cx.diagnostics };
    match Grammar::parse(Rule::only_expression, text) {
        Ok(mut pairs) => expression(&mut cx, pairs.next()?),
        Err(error) => {
            let diagnostic = explain::explain(&cx, text, "}", Rule::only_expression, &error);
            cx.diagnostics.push(diagnostic);
            None
        }
    }
}
