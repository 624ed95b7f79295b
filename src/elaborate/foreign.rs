//! Words of other frameworks, and this language's former ones: what each is here.
//!
//! A context is an operator's word, or what the messages of a recipe call it: `optimizer sgd`, `schedule`, `train`.

use super::operators;
use crate::base::codes;
use crate::base::diagnostic::{Code, Diagnostic};
use crate::base::source::Span;
use crate::ir::ops::Schema;
use crate::syntax::ast::{Arg, BinaryOp, Call, Expr, ExprKind, UnaryOp};
use crate::syntax::prelude;
pub use crate::syntax::table::Answer;
use crate::syntax::table::Answer::{Nothing, Ours};
use crate::syntax::table::{self, among, plain};

/// What a word of elsewhere is in this context.
pub fn find(context: &str, word: &str) -> Option<Answer> {
    if context == "statement" {
        // an operator of ours that is spelled differently needs no row
        let own = || operators::find(&plain(word)).map(|operator| Ours(operator.schema.word));
        return match table::statement(word) {
            Some(Ours(written)) => Some(Ours(written)),
            answer => own().or(answer),
        };
    }
    let plain = plain(word);
    // a former word of ours can be spelled like another one of elsewhere; some keys mean nothing to any operator
    among(context, word).or_else(|| among(context, &plain)).or_else(|| {
        let is_operator = operators::find(context).is_some() || prelude::find(context).is_some();
        among("operator", &plain).filter(|_| is_operator)
    })
}

/// Our word for a block of elsewhere.
pub fn block(word: &str) -> Option<&'static str> {
    match find("block", word)? {
        Ours(own) => Some(own),
        Nothing(_) => None,
    }
}

/// The error for a word of elsewhere, where it is known. `missing` is the message where nothing here is the same.
pub(super) fn error(context: &str, word: &str, code: Code, span: Span, missing: String) -> Option<Diagnostic> {
    Some(answered(find(context, word)?, word, code, span, missing, |own| (span, own.to_owned())))
}

/// The error for a function of numbers of elsewhere: `int(…)`, `make_divisible(…)`.
pub(super) fn number_function(word: &str, span: Span) -> Option<Diagnostic> {
    error("number", word, codes::UNKNOWN_NAME, span, format!("there is no function `{word}` of numbers"))
}

fn answered(
    answer: Answer,
    word: &str,
    code: Code,
    span: Span,
    missing: String,
    edit: impl FnOnce(&'static str) -> (Span, String),
) -> Diagnostic {
    match answer {
        Ours(own) => {
            let (at, new) = edit(own);
            let written = new.trim_end().to_owned();
            Diagnostic::error(code, format!("`{word}` is written `{written}` here"), span, "another word")
                .fix(format!("write `{written}`"), at, new)
                .renamed()
        }
        Nothing(why) => Diagnostic::error(code, missing, span, "not known").help(why),
    }
}

/// The error for a statement of elsewhere, where its word is known. The fix also drops or names its first argument, where that means
/// something else here.
pub(super) fn statement(call: &Call, missing: String) -> Option<Diagnostic> {
    let word = &call.name.node;
    let span = call.name.span;
    if let Some(diag) = affine(call) {
        return Some(diag);
    }
    let answer = find("statement", word)?;
    let diag = answered(answer, word, codes::UNKNOWN_OPERATOR, span, missing, |own| {
        let up_to = |arg: &Arg| Span { end: arg.span.start, ..span };
        let through = |arg: &Arg| Span { end: arg.span.end, ..span };
        let first = call.args.first().filter(|first| first.key.is_none());
        match (own, first, call.args.last()) {
            ("avgpool global", Some(first @ Arg { value: Expr { kind: ExprKind::Int(1), .. }, .. }), _) => {
                (through(first), own.to_owned())
            }
            ("avgpool global", Some(first), _) if plain(word).starts_with("adaptive") => {
                (up_to(first), "avgpool output_size: ".to_owned())
            }
            // a window has no padding in PyTorch and Keras
            ("maxpool" | "avgpool", Some(Arg { value: Expr { kind: ExprKind::Int(n), .. }, .. }), Some(last))
                if call.args.len() == 1 =>
            {
                (through(last), format!("{own} {n}x{n}, padding: 0"))
            }
            ("avgpool global", None, Some(_)) => (span, own.split(' ').next().unwrap_or(own).to_owned()),
            // the number of channels, which is inferred
            ("batchnorm", Some(first), _) => match call.args.get(1) {
                Some(next) => (up_to(next), format!("{own} ")),
                None => (through(first), own.to_owned()),
            },
            _ => match call.args.last().filter(|_| own.contains(' ') || takes_nothing(own)) {
                Some(last) => (through(last), own.to_owned()),
                None => (span, own.to_owned()),
            },
        }
    });
    let diag = match answer {
        Ours(own) => defaults(own, call).into_iter().fold(diag, Diagnostic::note),
        Nothing(_) => diag,
    };
    Some(match word.as_str() {
        "return" => {
            Diagnostic { helps: Vec::new(), ..diag }.fix("the last value is the result: delete this line", whole(call), "")
        }
        _ => diag,
    })
}

/// The error for our former `scale times, plus: b`.
fn affine(call: &Call) -> Option<Diagnostic> {
    let arg = |key: &str| call.args.iter().find(|arg| arg.key.as_ref().is_some_and(|k| k.node == key));
    let times = arg("times").or_else(|| call.args.first().filter(|first| first.key.is_none()));
    let (times, plus) = (times, arg("plus"));
    if call.name.node != "scale" || call.args.is_empty() || call.args.len() != times.iter().chain(&plus).count() {
        return None;
    }
    let times = times.map_or(Some("1".to_owned()), |arg| factor(&arg.value))?;
    let plus = plus.map_or(Some(String::new()), |arg| Some(format!(" + {}", factor(&arg.value)?)))?;
    let own = format!("apply {times} * x{plus}");
    let diag =
        Diagnostic::error(codes::UNKNOWN_OPERATOR, format!("`scale` is written `{own}` here"), call.name.span, "another word");
    Some(diag.fix(format!("write `{own}`"), whole(call), own).renamed())
}

/// A number or name as written.
fn factor(value: &Expr) -> Option<String> {
    match &value.kind {
        ExprKind::Int(n) => Some(n.to_string()),
        ExprKind::Float(x) => Some(format!("{x:?}")),
        ExprKind::Name(name) => Some(name.clone()),
        ExprKind::Unary(UnaryOp::Neg, inner) => Some(format!("-{}", factor(inner)?)),
        _ => None,
    }
}

/// What PyTorch and Keras do by default where our operator does something else, and the statement does not say it.
fn defaults(own: &str, call: &Call) -> Option<String> {
    let gives = |key: &str| call.args.iter().any(|arg| arg.key.as_ref().is_some_and(|k| plain(&k.node).starts_with(key)));
    let is_pool = matches!(own, "maxpool" | "avgpool");
    let is_translated =
        is_pool && call.args.len() == 1 && call.args[0].key.is_none() && matches!(call.args[0].value.kind, ExprKind::Int(_));
    let keys: Vec<&str> = [("pad", "padding: 0", is_pool || own == "conv"), ("bias", "bias: true", own == "conv")]
        .into_iter()
        .filter(|&(key, _, differs)| differs && !gives(key) && !gives(&format!("use{key}")))
        .map(|(_, text, _)| text)
        .collect();
    let applies = !keys.is_empty() && !is_translated;
    applies.then(|| format!("by default, PyTorch and Keras have `{}` here", keys.join(", ")))
}

fn takes_nothing(word: &str) -> bool {
    operators::find(word).is_some_and(|operator| operator.schema.attributes.is_empty() && !operator.schema.is_join())
        || prelude::find(word).is_some_and(|activation| activation.keys().next().is_none())
}

/// The error for what a join takes instead of labels: `concat [a, b]`, `concat a, dim: 1`.
pub(super) fn not_a_label(word: &str, arg: &Arg) -> Diagnostic {
    let diag = Diagnostic::error(codes::UNKNOWN_LABEL, format!("`{word}` takes labels"), arg.span, "not a label");
    let names =
        |items: &[Expr]| items.iter().map(|item| factor(item).filter(|_| matches!(item.kind, ExprKind::Name(_)))).collect();
    let listed: Option<Vec<String>> = match &arg.value.kind {
        ExprKind::List(items) if arg.key.is_none() => names(items),
        _ => None,
    };
    if let Some(own) = listed.filter(|names| !names.is_empty()).map(|names| names.join(", ")) {
        return diag.fix(format!("labels are written without brackets: `{word} {own}`"), arg.span, own);
    }
    match arg.key.as_ref().and_then(|key| find(word, &key.node)) {
        Some(Nothing(why)) => diag.help(why),
        _ => diag.rule("branches are joined by their names: `add shortcut`, `mul gate`, `concat a, b`"),
    }
}

/// A call without its label.
fn whole(call: &Call) -> Span {
    call.args.last().map_or(call.name.span, |last| Span { end: last.span.end, ..call.name.span })
}

/// The error for `3*3` as a size, which is 9.
pub(super) fn product(schema: &Schema<'_>, args: &[Arg]) -> Option<Diagnostic> {
    args.iter().find_map(|arg| {
        let name = arg.key.as_ref().map_or(schema.positional()?, |key| &key.node);
        let key = schema.attribute(name).filter(|attribute| attribute.kind.is_size())?.key;
        let ExprKind::Binary(op, a, b) = &arg.value.kind else { return None };
        let (BinaryOp::Mul, ExprKind::Int(a), ExprKind::Int(b)) = (op.node, &a.kind, &b.kind) else { return None };
        let own = format!("{a}x{b}");
        let message = format!("`{key}` takes a size, and this is a product");
        let diag = Diagnostic::error(codes::BAD_VALUE, message, arg.value.span, format!("is {}", a.saturating_mul(*b)));
        Some(diag.fix(format!("write `{own}`"), arg.value.span, own))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::ops::operators;
    use crate::syntax::table::TABLE;

    #[test]
    fn words_of_the_table_are_plain_and_no_two_rows_answer_one() {
        let mut seen = std::collections::HashSet::new();
        for (contexts, words, _) in TABLE {
            for (context, word) in contexts.iter().flat_map(|context| words.iter().map(move |word| (*context, *word))) {
                let is_former = context == "augment" && word == "random_crop";
                assert!(plain(word) == word || is_former, "{context}: {word}");
                assert!(seen.insert((context, word)), "{context}: `{word}` twice");
            }
        }
    }

    #[test]
    fn a_key_that_is_ours_is_not_foreign() {
        for Schema { word, attributes, .. } in operators().map(|operator| operator.schema) {
            for key in attributes.iter().map(|attribute| attribute.key) {
                assert_eq!(find(word, key), None, "{word}: {key}");
            }
        }
    }

    #[test]
    fn every_answer_that_names_an_operator_names_one_of_ours() {
        for (contexts, words, answer) in TABLE {
            if let (&["statement"], Ours(own)) = (*contexts, answer) {
                let word = own.split(' ').next().unwrap_or(own);
                assert!(operators::find(word).is_some() || prelude::find(word).is_some(), "{words:?}: {own}");
            }
            for context in contexts.iter().filter_map(|context| operators::find(context)) {
                if let Ours(own) = answer {
                    assert!(context.schema.attribute(own).is_some(), "{}: {own}", context.schema.word);
                }
            }
        }
    }
}
