//! The keys of a statement's arguments.

use std::sync::Arc;

use super::eval::Eval;
use super::foreign;
use super::suggest::nearest;
use super::value::{Bound, Value};
use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::base::source::Span;
use crate::ir::ops::{Kind, Schema};
use crate::syntax::second_value;

/// Finds the key of each argument; `None` after a reported error.
pub(super) fn of_arguments<'b, 's>(
    schema: &Schema<'s>,
    args: &'b [Bound],
    eval: &mut Eval<'_>,
) -> Option<Vec<(&'s str, &'b Bound)>> {
    let mut given: Vec<(&str, &Bound)> = Vec::new();
    let mut fine = true;
    for (i, arg) in args.iter().enumerate() {
        if i > 0 && arg.key.is_none() {
            // the parser has reported every argument without a key but the first
            fine = false;
            continue;
        }
        let (name, span): (Arc<str>, Span) = match (&arg.key, schema.positional()) {
            (Some((key, span)), _) => (key.clone(), *span),
            (None, Some(positional)) => (positional.into(), arg.span),
            (None, None) if args.get(1).is_some_and(|second| second.key.is_none()) => {
                fine = false;
                continue;
            }
            (None, None) => {
                eval.diags.push(without_key(schema, arg));
                fine = false;
                continue;
            }
        };
        match schema.attribute(&name) {
            Some(key)
                if given
                    .iter()
                    .any(|(k, first)| *k == key.key && first.key.is_none() && matches!(first.value, Value::Int(_))) =>
            {
                // `upsample 2, mode: bilinear`: the first one was meant for another key, and is reported there
                given.retain(|(k, _)| *k != key.key);
                eval.diags.push(without_key(schema, &args[0]));
                fine = false;
            }
            Some(key) if given.iter().any(|(k, _)| *k == key.key) => {
                eval.diags.push(Diagnostic::error(
                    codes::GIVEN_TWICE,
                    format!("`{name}` is given twice"),
                    span,
                    "the second time",
                ));
                fine = false;
            }
            Some(key) => given.push((key.key, arg)),
            None => {
                fine = false;
                let message = format!("`{}` has no `{name}`", schema.word);
                // `linear 512, classes`: a value rather than the short form of `classes: classes`
                let short = (i == 1 && span == arg.span && args[0].key.is_none())
                    .then(|| second_value(schema.word, args[0].span, span))
                    .flatten();
                if let Some((help, at, own)) = short {
                    let diag = Diagnostic::error(codes::UNKNOWN_KEY, message, span, format!("is short for `{name}: {name}`"));
                    eval.diags.push(diag.fix(help, at, own));
                    continue;
                }
                if let Some(diag) = foreign::error(schema.word, &name, codes::UNKNOWN_KEY, span, message.clone()) {
                    eval.diags.push(diag);
                    continue;
                }
                eval.diags.push(unknown(schema, &name, span, message));
            }
        }
    }
    fine.then_some(given)
}

/// The error for a key that the operator does not have.
fn unknown(schema: &Schema<'_>, name: &str, span: Span, message: String) -> Diagnostic {
    let diag = Diagnostic::error(codes::UNKNOWN_KEY, message, span, "not one of its keys");
    if let Some(near) = nearest(name, schema.attributes.iter().map(|key| key.key)) {
        return diag.fix(format!("did you mean `{near}`?"), span, near);
    }
    if schema.attributes.is_empty() {
        return diag;
    }
    let list: Vec<_> = schema.attributes.iter().map(|key| format!("`{}`", key.key)).collect();
    diag.note(format!("it takes {}", list.join(", ")))
}

/// The error for a first argument without a key, where every argument has one.
fn without_key(schema: &Schema<'_>, arg: &Bound) -> Diagnostic {
    let takes = if schema.attributes.is_empty() { "nothing" } else { "its arguments by key" };
    let message = match schema.positional() {
        Some(first) => format!("the first argument of `{}` is its `{first}`", schema.word),
        None => format!("`{}` takes {takes}", schema.word),
    };
    let diag = Diagnostic::error(codes::TOO_MANY_ARGUMENTS, message, arg.span, "not expected here");
    let is_number = matches!(arg.value, Value::Int(_));
    if schema.word.ends_with("norm") && is_number {
        return diag.help("the number of channels is inferred: leave this out");
    }
    let takes_it = |kind: Kind| matches!(kind, Kind::Number | Kind::Real | Kind::Factors) || (is_number && kind == Kind::Count);
    match schema.attributes.iter().find(|attribute| takes_it(attribute.kind)).or(schema.attributes.first()) {
        Some(attribute) => {
            let own = format!("{}: ", attribute.key);
            diag.fix(format!("write `{own}{}`", arg.value), Span { end: arg.span.start, ..arg.span }, own)
        }
        None => diag,
    }
}
