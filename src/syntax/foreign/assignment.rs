//! Assignments: `x = …`, `self.conv1 = …`, `a, b = …`.

use super::advice::{Advice, advice, is_label, is_statement, is_word};
use super::call::{expression, sequential, translated, untranslated};
use super::python;
use crate::syntax::words::STATEMENTS;

/// The length of the target, and the value, of `a, b = …`, `x: Tensor = …`, `layers[0] = …` and `shortcut = x`.
pub fn target_of(text: &str) -> Option<(usize, &str)> {
    let at = text.lines().next()?.find('=')?;
    let (target, value) = (text[..at].trim_end(), text[at + 1..].trim_start());
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(|c| is_word(c) || c == '.')
    };
    let is_type = |name: &str| name.starts_with(|c: char| c.is_ascii_uppercase()) || name.contains('.');
    let is_lone = value.trim_end().chars().all(is_word) && !value.starts_with(|c: char| c.is_ascii_digit());
    let is_policy = matches!(value.trim_end(), "identity" | "projection" | "pad" | "none");
    let assigns = match target {
        _ if value.starts_with('=') => false,
        _ if target.contains(',') => target.split(',').all(|name| is_name(name.trim())),
        _ if target.ends_with(']') => target.split_once('[').is_some_and(|(name, _)| is_name(name)),
        _ if target.contains(':') => target.split_once(':').is_some_and(|(name, of)| is_name(name.trim()) && is_type(of.trim())),
        _ => STATEMENTS.contains(&target) && !is_policy && (is_lone || value.split_once('(').is_some_and(|(f, _)| is_name(f))),
    };
    assigns.then_some((target.len(), value))
}

/// `x = …`, `self.conv1 = …`.
pub fn assignment(text: &str, target: usize, value: &str) -> Option<Advice> {
    let name = &text[..target];
    if value.starts_with(|c: char| c.is_ascii_digit()) && name != "x" && !name.contains('.') {
        return advice(
            format!("`{name}` has no operator"),
            0..target,
            "a key goes after its operator, with `:`: `conv 3x3, filters: 32`",
        );
    }
    // `torch.max` along an axis returns the indices, too
    let largest = name.ends_with(", _").then(|| format!("x = {}[0]", value.trim_end())).and_then(|call| translated(&call, ""));
    if let Some(found) = largest {
        return advice("a layer is written as a statement, not constructed or assigned", 0..text.trim_end().len(), found.help);
    }
    if let Some(found) = translated(text, "a layer is written as a statement, not constructed or assigned") {
        let is_kept = found.edit.is_none() && is_label(name) && !python::VALUES.contains(&name);
        let help = format!("{}; in `branch {name} {{ … }}`, the value before it is kept, too", found.help);
        return Some(if is_kept { Advice { help, ..found } } else { found });
    }
    if value.contains("Sequential(") {
        return sequential(0..target);
    }
    let from = text.len() - value.len();
    let plain = is_statement(value) && text[..target].chars().all(|c| is_word(c) || c == '.');
    let message = "a value is not assigned to a variable";
    if plain {
        let help = "write only the operator: it reads the value of the statement before";
        return advice(message, 0..target, help)?.edit(0..from, "");
    }
    if let Some(help) = of_number(name, value) {
        return advice(message, 0..text.trim_end().len(), help);
    }
    if let Some(help) = untranslated(value) {
        return advice(message, 0..target, help);
    }
    if name.contains(',') && value.contains("[:") {
        let help =
            "`parallel concat split { … }` gives each arm its share of the channels; `slice start: 0, count: 32` takes some";
        return advice(message, 0..text.trim_end().len(), help);
    }
    if let Some(help) = expression(value, Some(name)) {
        return advice(message, 0..text.trim_end().len(), help);
    }
    advice(message, 0..target, "write only the operator: it reads the value of the statement before; `as NAME` names its result")
}

/// What a number, a size or the current value is that gets a name: `hidden = int(width * 0.5)`, `identity = x`.
fn of_number(name: &str, value: &str) -> Option<String> {
    let value = value.trim_end();
    if !is_label(name) {
        return None;
    }
    if value == "x" || value == "input" {
        if name == "shortcut" {
            return Some("leave this out: in a block, `add shortcut` adds its input by the current policy".to_owned());
        }
        return Some(format!(
            "write `branch {name} {{ }}`, which names the current value, to be joined later (`add {name}`); in a block, `add \
             shortcut` adds its input without a name"
        ));
    }
    if value.contains(".size(") || value.contains(".shape") {
        return Some(
            "sizes are inferred: leave this out; `upsample bilinear, like: LABEL` takes the size of another value".to_owned(),
        );
    }
    if value.starts_with("int(round(") || value.starts_with("round(") {
        return Some(format!("write `let {name} = …`, which names a number; `floor(x + 0.5)` rounds to the nearest whole one"));
    }
    if let Some(own) = python::number(value) {
        return Some(format!("write `let {name} = {own}`, which names a number"));
    }
    let compares = ["==", "!=", "<=", ">=", " and ", " or ", "not "].iter().any(|sign| value.contains(sign));
    (compares && !value.contains(['.', '(', '['])).then(|| format!("write `let {name} = {value}`"))
}
