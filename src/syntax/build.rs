//! Builds the tree from pest's pairs: items and statements. Each function takes a pair of the rule it is named after.
//!
//! `None` means that a pair lacks a part its rule requires, which no input can cause; the caller reports a syntax error.

use pest::iterators::{Pair, Pairs};

use super::ast::*;
use super::context::{Context, integer_value, next};
use super::expressions::{argument, arguments, expression, keyed, label, string};
use super::grammar::Rule;
use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::base::source::Span;

/// The maximum number of parameters of a block, network or function, since each is compared with the others.
const MAX_PARAMETERS: usize = 256;

/// The maximum length of an `else if` chain, since the tree nests equally deep.
const MAX_ELSE_IF: usize = 64;

/// The inner pairs without the leading keyword.
fn after_keyword<'i>(pair: Pair<'i, Rule>) -> Pairs<'i, Rule> {
    let mut pairs = pair.into_inner();
    pairs.next();
    pairs
}

pub(super) fn version(cx: &Context, pair: Pair<Rule>) -> Option<Spanned<u64>> {
    let number = after_keyword(pair).next()?;
    Some(Spanned { node: number.as_str().replace('_', "").parse().ok()?, span: cx.span(&number) })
}

pub(super) fn item(cx: &mut Context, pair: Pair<Rule>) -> Option<Item> {
    let pair = pair.into_inner().next()?;
    match pair.as_rule() {
        Rule::use_item => use_item(cx, pair).map(Item::Use),
        Rule::network_item => network(cx, pair).map(Item::Network),
        Rule::block_item => block(cx, pair).map(Item::Block),
        Rule::elementwise_item => function(cx, pair).map(Item::Function),
        _ => None,
    }
}

fn use_item(cx: &mut Context, pair: Pair<Rule>) -> Option<Use> {
    let span = cx.span(&pair);
    let mut pairs = after_keyword(pair);
    let from = next(&mut pairs, Rule::use_from)?.into_inner().next()?;
    let from = match from.as_rule() {
        Rule::string => UsePath::File(string(cx, &from)),
        _ => UsePath::Std(cx.ident(&from)),
    };
    let names = pairs.find(|pair| pair.as_rule() == Rule::use_names).map_or_else(Vec::new, |names| {
        names.into_inner().filter(|pair| pair.as_rule() == Rule::word).map(|pair| cx.ident(&pair)).collect()
    });
    Some(Use { from, names, span })
}

fn network(cx: &mut Context, pair: Pair<Rule>) -> Option<Network> {
    let span = cx.span(&pair);
    let mut pairs = after_keyword(pair);
    let name = cx.next_ident(&mut pairs, Rule::word)?;
    let params = optional(next(&mut pairs, Rule::parameters), |pair| parameters(cx, pair))?.unwrap_or_default();
    let base = optional(next(&mut pairs, Rule::base), |pair| {
        let unit_pair = pair.into_inner().find(|pair| pair.as_rule() == Rule::unit)?;
        unit(cx, unit_pair)
    })?;
    let body = optional(next(&mut pairs, Rule::body), |pair| body(cx, pair))?.unwrap_or_default();
    Some(Network { doc: None, name, params, base, body, span, damaged: false })
}

fn block(cx: &mut Context, pair: Pair<Rule>) -> Option<Block> {
    let span = cx.span(&pair);
    let mut pairs = after_keyword(pair);
    let name = cx.next_ident(&mut pairs, Rule::word)?;
    let params = optional(next(&mut pairs, Rule::parameters), |pair| parameters(cx, pair))?.unwrap_or_default();
    let body = body(cx, next(&mut pairs, Rule::body)?)?;
    Some(Block { doc: None, name, params, body, span, damaged: false })
}

fn function(cx: &mut Context, pair: Pair<Rule>) -> Option<Function> {
    let span = cx.span(&pair);
    let mut pairs = after_keyword(pair);
    let name = cx.next_ident(&mut pairs, Rule::word)?;
    let params = parameters(cx, next(&mut pairs, Rule::operands)?)?;
    let value = expression(cx, pairs.find(|pair| pair.as_rule() == Rule::expression)?)?;
    Some(Function { doc: None, name, params, value: Some(value), span })
}

/// `Some(None)` if there is nothing to build; `None` if building failed.
fn optional<'i, T>(pair: Option<Pair<'i, Rule>>, build: impl FnOnce(Pair<'i, Rule>) -> Option<T>) -> Option<Option<T>> {
    match pair {
        Some(pair) => build(pair).map(Some),
        None => Some(None),
    }
}

/// The `parameters` of a block or network, or the `operands` of a function.
fn parameters(cx: &mut Context, pair: Pair<Rule>) -> Option<Vec<Param>> {
    let mut parameters = Vec::new();
    for pair in pair.into_inner().filter(|pair| matches!(pair.as_rule(), Rule::parameter | Rule::declared)) {
        if parameters.len() == MAX_PARAMETERS {
            let message = format!("more than {MAX_PARAMETERS} parameters are declared");
            cx.diagnostics.push(Diagnostic::error(codes::LIMIT, message, cx.span(&pair), "one too many"));
            return None;
        }
        let mut pairs = pair.into_inner();
        let name = cx.next_ident(&mut pairs, Rule::word)?;
        let kind = next(&mut pairs, Rule::colon).and_then(|_| cx.next_ident(&mut pairs, Rule::word));
        let default = pairs.find(|pair| pair.as_rule() == Rule::expression);
        parameters.push(Param { name, kind, default: optional(default, |pair| expression(cx, pair))? });
    }
    Some(parameters)
}

/// A `unit`: `bottleneck(groups: 32)`.
fn unit(cx: &mut Context, pair: Pair<Rule>) -> Option<UnitRef> {
    let span = cx.span(&pair);
    let mut pairs = pair.into_inner();
    let name = cx.next_ident(&mut pairs, Rule::word)?;
    let args = optional(pairs.next(), |pair| arguments(cx, pair))?.unwrap_or_default();
    Some(UnitRef { name, args, span })
}

/// A bare name in a list: short for `name: name`.
fn shorthand(name: Ident) -> Arg {
    let span = name.span;
    let value = Expr { kind: ExprKind::Name(name.node.clone()), span };
    Arg { key: Some(name), value, span }
}

fn body(cx: &mut Context, pair: Pair<Rule>) -> Option<Vec<Stmt>> {
    pair.into_inner().map(|pair| statement(cx, pair)).collect()
}

pub(super) fn statement(cx: &mut Context, pair: Pair<Rule>) -> Option<Stmt> {
    let span = cx.span(&pair);
    let pair = pair.into_inner().next()?;
    let kind = match pair.as_rule() {
        Rule::input => input(cx, pair)?,
        Rule::section => {
            let mut pairs = pair.into_inner();
            let name = cx.next_ident(&mut pairs, Rule::section_word)?;
            StmtKind::Section { name, body: body(cx, pairs.next()?)? }
        }
        Rule::scope => {
            let mut pairs = after_keyword(pair);
            StmtKind::Scope { name: label(cx, pairs.next()?)?, body: body(cx, pairs.next()?)? }
        }
        Rule::sequential => {
            let mut pairs = after_keyword(pair);
            let flat = next(&mut pairs, Rule::flat).is_some();
            let name = optional(next(&mut pairs, Rule::label), |pair| label(cx, pair))?;
            StmtKind::Sequential { name, flat, body: body(cx, pairs.next()?)? }
        }
        Rule::shortcut => StmtKind::Shortcut(only_expression(cx, pair)?),
        Rule::stage => StmtKind::Stage(stage(cx, pair, true)?),
        Rule::repeat => StmtKind::Stage(stage(cx, pair, false)?),
        Rule::branch => {
            let mut pairs = after_keyword(pair);
            let name = cx.next_ident(&mut pairs, Rule::path);
            let from = from_label(cx, &mut pairs)?;
            StmtKind::Branch { name, from, body: body(cx, pairs.next()?)? }
        }
        Rule::joined => {
            let mut pairs = pair.into_inner();
            let join = cx.next_ident(&mut pairs, Rule::join_word)?;
            let body = body(cx, pairs.next()?)?;
            StmtKind::Joined { join, body, label: optional(pairs.next(), |pair| as_label(cx, pair))? }
        }
        Rule::parallel => {
            let mut pairs = after_keyword(pair);
            let join = cx.next_ident(&mut pairs, Rule::word)?;
            let split = optional(next(&mut pairs, Rule::split), |pair| shares(cx, pair))?;
            let arms = next(&mut pairs, Rule::arms)?.into_inner().map(|pair| arm(cx, pair)).collect::<Option<_>>()?;
            StmtKind::Parallel { join, split, arms, label: optional(pairs.next(), |pair| as_label(cx, pair))? }
        }
        Rule::if_statement => if_statement(cx, pair)?,
        Rule::let_statement => {
            let mut pairs = after_keyword(pair);
            let name = cx.next_ident(&mut pairs, Rule::word)?;
            StmtKind::Let { name, value: expression(cx, pairs.find(|pair| pair.as_rule() == Rule::expression)?)? }
        }
        Rule::output => {
            let mut pairs = after_keyword(pair);
            let name = cx.next_ident(&mut pairs, Rule::word)?;
            StmtKind::Output { name, from: from_label(cx, &mut pairs)? }
        }
        Rule::expect => StmtKind::Expect(expect(cx, pair)?),
        Rule::preprocess => {
            let keys = keys(cx, next(&mut after_keyword(pair), Rule::keys)?)?;
            if let Some(allow) = keys.allows.first() {
                let message = "`allow` belongs to a stage";
                cx.diagnostics.push(Diagnostic::error(codes::SYNTAX, message, allow.span, "nothing to allow here"));
            }
            if let Some(first) = keys.first.first() {
                let message = "`first` belongs to a stage or a `repeat`";
                cx.diagnostics.push(Diagnostic::error(codes::SYNTAX, message, first.span, "nothing is repeated here"));
            }
            StmtKind::Preprocess(keys.args)
        }
        Rule::precision => StmtKind::Precision(entries(cx, next(&mut after_keyword(pair), Rule::entries)?)?),
        Rule::labels => StmtKind::Labels(only_expression(cx, pair)?),
        Rule::weights => {
            let path = after_keyword(pair).next()?;
            StmtKind::Weights(string(cx, &path))
        }
        Rule::apply => {
            let mut pairs = after_keyword(pair);
            let value = expression(cx, next(&mut pairs, Rule::expression)?)?;
            StmtKind::Apply { value, label: optional(pairs.next(), |pair| as_label(cx, pair))? }
        }
        Rule::train => StmtKind::Train(entries(cx, next(&mut after_keyword(pair), Rule::entries)?)?),
        Rule::call => StmtKind::Call(call(cx, pair)?),
        _ => return None,
    };
    Some(Stmt { kind, span })
}

/// The single expression of a statement such as `shortcut: policy`.
fn only_expression(cx: &mut Context, pair: Pair<Rule>) -> Option<Expr> {
    expression(cx, pair.into_inner().find(|pair| pair.as_rule() == Rule::expression)?)
}

fn input(cx: &mut Context, pair: Pair<Rule>) -> Option<StmtKind> {
    let mut pairs = after_keyword(pair);
    let name = cx.next_ident(&mut pairs, Rule::word);
    let dims = dims(cx, pairs.find(|pair| pair.as_rule() == Rule::dims)?)?;
    Some(StmtKind::Input { name, dims })
}

fn dims(cx: &mut Context, pair: Pair<Rule>) -> Option<Vec<Expr>> {
    let dims = pair.into_inner().filter(|pair| pair.as_rule() == Rule::dim);
    dims.map(|pair| {
        let inner = pair.into_inner().next()?;
        let span = cx.span(&inner);
        match inner.as_rule() {
            Rule::dim_number => Some(Expr { kind: ExprKind::Int(integer_value(inner.as_str())?), span }),
            Rule::expression => expression(cx, inner),
            _ => Some(Expr { kind: ExprKind::Name(inner.as_str().to_owned()), span }),
        }
    })
    .collect()
}

fn call(cx: &mut Context, pair: Pair<Rule>) -> Option<Call> {
    let mut pairs = pair.into_inner();
    let name = cx.next_ident(&mut pairs, Rule::word)?;
    let mut call = Call { name, args: Vec::new(), label: None };
    for pair in pairs {
        match pair.as_rule() {
            Rule::argument => {
                let mut arg = argument(cx, pair)?;
                if arg.key.is_none() && !call.args.is_empty() {
                    match &arg.value.kind {
                        // a join's operands are labels, which may contain dots
                        ExprKind::Name(name)
                            if !name.contains('.') || matches!(&call.name.node[..], "add" | "mul" | "concat") =>
                        {
                            arg = shorthand(Spanned { node: name.clone(), span: arg.value.span });
                        }
                        _ => {}
                    }
                }
                call.args.push(arg);
            }
            Rule::as_label => call.label = Some(as_label(cx, pair)?),
            _ => {}
        }
    }
    second_positional(cx, &call);
    Some(call)
}

/// Reports values without a key beside the first argument, once.
fn second_positional(cx: &mut Context, call: &Call) {
    let Some((at, arg)) = call.args.iter().enumerate().skip(1).find(|(_, arg)| arg.key.is_none()) else { return };
    let message = format!("only the first argument of `{}` can go without a key", call.name.node);
    let mut diagnostic = Diagnostic::error(codes::POSITIONAL, message, arg.span, "needs a key");
    let first = call.args.first().filter(|first| first.key.is_none());
    if let Some(first) = first {
        diagnostic = diagnostic.label(first.span, "the first argument");
    }
    let others = call.args[at + 1..].iter().any(|arg| arg.key.is_none());
    let fix = first.filter(|_| at == 1 && !others).and_then(|first| second_value(&call.name.node, first.span, arg.span));
    cx.diagnostics.push(match fix {
        Some((help, span, own)) => diagnostic.fix(help, span, own),
        None => diagnostic.help("write `key: value`; a name alone is short for `name: name`"),
    });
}

/// What a second value without a key most likely is: a help with its edit.
pub(crate) fn second_value(word: &str, first: Span, second: Span) -> Option<(String, Span, String)> {
    let keyed = |key: &str| {
        let before = Span { end: second.start, ..second };
        Some((format!("write `{key}: …`"), before, format!("{key}: ")))
    };
    match &*word.to_ascii_lowercase() {
        "conv" | "conv2d" => keyed("filters"),
        "maxpool" | "avgpool" => keyed("stride"),
        "linear" | "dense" | "fc" | "innerproduct" => {
            let unneeded = Span { end: second.start, ..first };
            Some(("the input width is inferred: give the output width alone".to_owned(), unneeded, String::new()))
        }
        _ => None,
    }
}

fn shares(cx: &mut Context, pair: Pair<Rule>) -> Option<Split> {
    let span = cx.span(&pair);
    let list = after_keyword(pair).find(|pair| pair.as_rule() == Rule::expression);
    Some(Split { span, shares: optional(list, |pair| expression(cx, pair))? })
}

fn as_label(cx: &mut Context, pair: Pair<Rule>) -> Option<Label> {
    label(cx, after_keyword(pair).next()?)
}

fn from_label(cx: &Context, pairs: &mut Pairs<Rule>) -> Option<Option<Ident>> {
    optional(next(pairs, Rule::from_label), |pair| cx.next_ident(&mut after_keyword(pair), Rule::path))
}

fn stage(cx: &mut Context, pair: Pair<Rule>, is_stage: bool) -> Option<Stage> {
    let mut pairs = after_keyword(pair);
    let label = match next(&mut pairs, Rule::label) {
        Some(pair) => Some(label(cx, pair)?),
        None => cx.next_ident(&mut pairs, Rule::path).map(Label::Name),
    };
    let (label, names) = match label {
        Some(Label::Name(name)) => (Some(name), None),
        names => (None, names),
    };
    let count = expression(cx, pairs.find(|pair| pair.as_rule() == Rule::expression)?)?;
    let unit = unit(cx, pairs.find(|pair| pair.as_rule() == Rule::unit)?)?;
    let Keys { args, first, allows } = optional(next(&mut pairs, Rule::keys), |pair| keys(cx, pair))?.unwrap_or_default();
    Some(Stage { is_stage, label, names, count, unit, args, first, allows })
}

/// The keys in braces.
#[derive(Default)]
pub(super) struct Keys {
    /// `filters: 64`, `filters`
    pub args: Vec<Arg>,
    /// `first stride: 2`
    pub first: Vec<Arg>,
    /// `allow doubling`
    pub allows: Vec<Ident>,
}

/// `{ filters: double, map: halve, allow doubling }`, or only the keys.
pub(super) fn keys(cx: &mut Context, pair: Pair<Rule>) -> Option<Keys> {
    list_of_keys(cx, pair.into_inner())
}

pub(super) fn list_of_keys(cx: &mut Context, pairs: Pairs<Rule>) -> Option<Keys> {
    let mut keys = Keys::default();
    for pair in pairs.filter(|pair| pair.as_rule() == Rule::key) {
        let inner = pair.into_inner().next()?;
        match inner.as_rule() {
            Rule::first => keys.first.push(keyed(cx, next(&mut after_keyword(inner), Rule::keyed)?)?),
            Rule::keyed => keys.args.push(keyed(cx, inner)?),
            Rule::allow => keys.allows.push(cx.next_ident(&mut after_keyword(inner), Rule::word)?),
            _ => keys.args.push(shorthand(cx.ident(&inner))),
        }
    }
    Some(keys)
}

pub(super) fn arm(cx: &mut Context, pair: Pair<Rule>) -> Option<(Option<Label>, Vec<Stmt>)> {
    let mut pairs = pair.into_inner().peekable();
    let name = pairs.next_if(|pair| pair.as_rule() == Rule::label);
    Some((optional(name, |pair| label(cx, pair))?, body(cx, pairs.next()?)?))
}

/// An `else if` becomes the only statement of an `else`.
fn if_statement(cx: &mut Context, pair: Pair<Rule>) -> Option<StmtKind> {
    let start = pair.as_span().start();
    let end = start + pair.as_str().trim_end().len();
    let mut pairs = after_keyword(pair);
    let mut cases = vec![(start, expression(cx, pairs.next()?)?, body(cx, pairs.next()?)?)];
    let mut otherwise = Vec::new();
    for pair in pairs {
        let else_span = cx.span(&pair);
        let parts = pair.clone().into_inner().filter(|pair| matches!(pair.as_rule(), Rule::expression | Rule::body));
        let mut parts = parts.peekable();
        if cases.len() > MAX_ELSE_IF {
            let message = format!("more than {MAX_ELSE_IF} `else if` follow each other");
            cx.diagnostics.push(Diagnostic::error(codes::LIMIT, message, else_span, "one too many"));
            return None;
        }
        if pair.as_rule() == Rule::else_if {
            let if_word = pair.into_inner().find(|pair| pair.as_rule() == Rule::if_word)?;
            cases.push((if_word.as_span().start(), expression(cx, parts.next()?)?, body(cx, parts.next()?)?));
        } else {
            otherwise = body(cx, parts.next()?)?;
        }
    }
    // From last to first: each becomes the `else` body of the previous one.
    while let Some((start, cond, then)) = cases.pop() {
        let kind = StmtKind::If { cond, then, otherwise };
        if cases.is_empty() {
            return Some(kind);
        }
        otherwise = vec![Stmt { kind, span: cx.span_at(start..end) }];
    }
    None
}

fn expect(cx: &mut Context, pair: Pair<Rule>) -> Option<Expect> {
    let mut pairs = after_keyword(pair);
    let metric = cx.next_ident(&mut pairs, Rule::path)?;
    let about = pairs.next()?.as_rule() == Rule::about;
    let expected = pairs.next()?;
    let span = cx.span(&expected);
    let inner = expected.into_inner().next()?;
    let value = match inner.as_rule() {
        Rule::dims => ExpectValue::Shape(dims(cx, inner)?, span),
        _ => ExpectValue::Number(cx.ident(&inner)),
    };
    Some(Expect { metric, about, value })
}

fn entries(cx: &mut Context, pair: Pair<Rule>) -> Option<Vec<Entry>> {
    list_of_entries(cx, pair.into_inner())
}

pub(super) fn list_of_entries(cx: &mut Context, pairs: Pairs<Rule>) -> Option<Vec<Entry>> {
    pairs.filter(|pair| pair.as_rule() == Rule::entry).map(|pair| entry(cx, pair)).collect()
}

fn entry(cx: &mut Context, pair: Pair<Rule>) -> Option<Entry> {
    let span = cx.span(&pair);
    let mut pairs = pair.into_inner();
    let key = cx.next_ident(&mut pairs, Rule::entry_key)?;
    let mut entry = Entry { key, args: Vec::new(), entries: Vec::new(), span };
    for pair in pairs {
        match pair.as_rule() {
            Rule::expression | Rule::value => {
                let value = expression(cx, pair)?;
                entry.args.push(Arg { key: None, span: value.span, value });
            }
            Rule::entries => entry.entries = entries(cx, pair)?,
            _ => {}
        }
    }
    Some(entry)
}
