//! Calls: `nn.Conv2d(3, 64, 7)`, `relu()`, `conv(3x3, filters: 64)`.

use std::ops::Range;

use super::advice::{Advice, advice, is_label, is_statement};
use super::python::{self, Join};
use crate::ir::ops;
use crate::syntax::prelude;
use crate::syntax::table::{self, Answer};

const NO_PARENTHESES: &str = "write the operator's word and its keys, without parentheses: `conv 3x3, filters: 64`";

/// `nn.Conv2d(3, 64, 7)`, `relu()`, `conv(3x3, filters: 64)`.
pub fn call(text: &str, target: usize) -> Option<Advice> {
    let name = &text[..target];
    let whole = text.trim_end().len();
    let message = format!("`{name}` is called as in Python");
    if let Some(found) = translated(text, &message) {
        return Some(found);
    }
    if name.rsplit('.').next() == Some("Sequential") || text.contains("Sequential(") {
        return sequential(0..target);
    }
    if let Some(help) = expression(text, None) {
        return advice(message, 0..whole, help);
    }
    match &*name.rsplit('.').next().unwrap_or(name).to_ascii_lowercase() {
        "input" | "inputlayer" => return advice(message, 0..target, "write `input 3 x 224 x 224`: channels, height and width"),
        "cat" | "concat" | "concatenate" => {
            let help = "write `concat LABEL`; `branch LABEL { … }` or `as LABEL` gives a value its label";
            return advice(message, 0..target, help);
        }
        _ => {}
    }
    let is_own = name.starts_with(|c: char| c.is_ascii_lowercase()) && !name.contains('.');
    match table::statement(name).filter(|_| !is_own && untranslated(text).is_none()) {
        Some(Answer::Ours(own)) => return of_ours(text, target, message, own),
        Some(Answer::Nothing(why)) => return advice(format!("there is no operator or block `{name}`"), 0..target, why),
        None => {}
    }
    let inside = text[target..whole].trim_start().strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    match inside {
        Some(inside) if inside.trim().is_empty() && !name.contains('.') => {
            Advice::own(format!("`{name}` takes its arguments without parentheses"), 0..whole, name)
        }
        Some(inside) if is_statement(&format!("{name} {inside}")) => {
            let own = format!("{name} {}", inside.trim());
            Advice::own(format!("`{name}` takes its arguments without parentheses"), 0..whole, own.trim_end())
        }
        _ => advice(message, 0..target, untranslated(text).unwrap_or(NO_PARENTHESES)),
    }
}

/// Layers and functions with the statements that do the same.
pub fn translated(text: &str, message: &str) -> Option<Advice> {
    let found = python::statements(text)?;
    if found.is_certain {
        return Advice::own(message, 0..found.length, found.own);
    }
    let own = found.own.trim_end_matches([';', ' ']);
    advice(
        message,
        0..found.length,
        match found.other {
            Some(value) => format!(
                "write `{own}`, which reads the value of the statement before; `branch NAME from {value} {{ … }}` reads `{value}`"
            ),
            None => format!("write `{own}`"),
        },
    )
}

/// What an expression is here that is no single layer.
pub fn expression(text: &str, target: Option<&str>) -> Option<String> {
    // with a label, too
    let text = text.rsplit_once(" as ").filter(|(_, label)| is_label(label.trim_end())).map_or(text, |(call, _)| call);
    let expr = python::whole(text)?;
    match python::join(&expr, target) {
        Some(Join::Apply(own)) => Some(format!("write `{own}`")),
        Some(Join::Help(help)) => Some(help),
        None => python::advice(&expr),
    }
}

/// `nn.ReLU6()` and others that are written in other words: without arguments, the fix is certain.
fn of_ours(text: &str, target: usize, message: String, own: &str) -> Option<Advice> {
    let whole = text.trim_end().len();
    let changes_nothing = matches!(&*text[target..whole].replace(' ', ""), "()" | "(inplace=True)" | "(True)");
    // frameworks differ in the slopes of these
    let is_certain = own.contains(' ') || (prelude::find(own).is_some() && !matches!(own, "leaky_relu" | "prelu"));
    if changes_nothing && is_certain {
        return Advice::own(message, 0..whole, own);
    }
    let word = own.split(' ').next().unwrap_or(own);
    let help = match ops::find(word).and_then(|operator| operator.schema.examples.first()) {
        Some(example) => format!("write the operator and its keys, as in `{example}`; `resnetc explain {word}` lists them"),
        None => format!("write the word and its keys, without parentheses: `{own}`"),
    };
    advice(message, 0..target, help)
}

/// What keeps a constructed layer from being translated, if it is known.
pub fn untranslated(text: &str) -> Option<&'static str> {
    let compact: String = text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '\'' | '"')).collect();
    if compact.contains("padding=same") {
        return Some(
            "with an odd kernel and stride 1, `conv 3x3, filters: 64` keeps the size without `padding`; otherwise write the padding as a number",
        );
    }
    compact.contains(")(").then_some(
        "write only the operator: it reads the value of the statement before; `branch NAME from LABEL { … }` reads another one",
    )
}

pub fn sequential(at: Range<usize>) -> Option<Advice> {
    advice(
        "statements run in the order in which they are written, without a container",
        at,
        "write one operator a line in `network NAME { … }`; `sequential NAME { … }` numbers its statements as PyTorch's `Sequential` does",
    )
}
