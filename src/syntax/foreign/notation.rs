//! Statements in the notation of PyTorch, Keras and Darknet, which do not parse here.

use super::advice::{Advice, advice, is_word};
use super::assignment::{assignment, target_of};
use super::call::{call, expression, sequential};
use super::files::without_word;
use super::keys::{colon, comma, key};
use super::python::{self, Expr, Join};
use super::sizes::{dimensions, kernel, swapped, without_block};
use crate::syntax::table::{self, Answer};
use crate::syntax::words::{ITEMS, STATEMENTS};

const OF_VALUES: &str = "an expression of values is no statement";

/// The advice for what stands outside of networks and blocks, where its notation is known.
pub fn item(text: &str) -> Option<Advice> {
    let end = text.find(|c| !is_word(c)).unwrap_or(text.len());
    let word = &text[..end];
    let lower = word.to_ascii_lowercase();
    if word != lower && ITEMS.contains(&&*lower) {
        return Advice::own(format!("`{word}` is written `{lower}` here"), 0..end, lower);
    }
    if matches!(word, "import" | "from" | "class" | "def") { notation(text) } else { None }
}

/// The advice for a statement that does not parse, where its notation is known.
pub fn notation(text: &str) -> Option<Advice> {
    let end = text.find(|c| !is_word(c)).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let line = rest.lines().next().unwrap_or("");
    if let Some(found) = in_place(text).or_else(|| in_place_operator(text)) {
        return Some(found);
    }
    if word.starts_with(|c: char| c.is_ascii_digit()) {
        let message = format!("`{word}` has no operator");
        return advice(message, 0..end, "an operator and its arguments go on one line: `conv 3x3, filters: 32`");
    }
    if let Some((target, value)) = target_of(text) {
        return assignment(text, target, value);
    }
    match word {
        "for" | "while" => {
            return advice(
                format!("there is no `{word}` loop"),
                0..end,
                "write `repeat 3 of BLOCK`, or `stage layer1: 3 of BLOCK { filters: 64 }`",
            );
        }
        "def" | "class" => {
            return advice(
                format!("`{word}` is Python"),
                0..end,
                "write `network NAME { … }` or `block NAME(filters) { … }` with one operator a line, in the order in which they run",
            );
        }
        "import" | "from" => {
            return advice(format!("`{word}` does not import here"), 0..end, "write `use std.blocks: basic`");
        }
        "return" => {
            return advice("there is no `return`", 0..end, "the last value is the result: delete this line")?
                .edit(0..text.len(), "");
        }
        "mean" | "max" if line.contains('(') => {
            let help = "write `mean over: places` for PyTorch's `dim=(2, 3)`, and `mean over: channels` for its `dim=1`";
            return advice(format!("`{word}` names the axes"), 0..end + line.trim_end().len(), help.replace("mean", word));
        }
        "with" => {
            return advice("there is no `with`", 0..end, "statements run in the order in which they are written: leave this out");
        }
        "stage" | "repeat" if !text.split('{').next().unwrap_or("").contains(" of ") => return without_block(text, word),
        "stage" | "repeat" => return swapped(text).or_else(|| colon(text, word)),
        "input" => return dimensions(text).or_else(|| colon(text, word)),
        "block" if line.trim_start().starts_with(':') => return key(text, word),
        _ if STATEMENTS.contains(&word) => return colon(text, word),
        "" => return without_word(text),
        _ => {}
    }
    let lower = word.to_ascii_lowercase();
    if lower == "sequential" {
        return sequential(0..end);
    }
    if STATEMENTS.contains(&&*lower) && !line.trim_start().starts_with(['(', '.', '=']) {
        return Advice::own(format!("`{word}` is written `{lower}` here"), 0..end, lower);
    }
    // `nn.Conv2d`, `self.conv1`
    let target = text.find(|c: char| !is_word(c) && c != '.').unwrap_or(text.len());
    let tail = text[target..].trim_start();
    if let Some(value) = tail.strip_prefix('=').filter(|rest| !rest.starts_with('=')) {
        return assignment(text, target, value.trim_start());
    }
    if text[target..].starts_with('(') || (tail.starts_with('(') && (target > end || *word != lower)) {
        return call(text, target);
    }
    if target > end {
        if let Some(help) = expression(text, None) {
            return advice(format!("`{}` is called as in Python", &text[..target]), 0..text.trim_end().len(), help);
        }
        if tail.starts_with(['[', '.']) {
            return None;
        }
        let message = format!("`{}` has a prefix, and operators have none", &text[..target]);
        return match table::statement(&text[..target]) {
            Some(Answer::Ours(own)) if tail.is_empty() || !own.contains(' ') => Advice::own(message, 0..target, own),
            Some(Answer::Ours(own)) => advice(message, 0..target, format!("write `{own}`")),
            Some(Answer::Nothing(why)) => advice(message, 0..target, why),
            None => advice(message, 0..target, "write only the operator's word: `conv 3x3, filters: 64`"),
        };
    }
    if line.trim_start().starts_with(':') {
        return key(text, word);
    }
    if line.trim_start().starts_with(',') {
        return comma(text, word, end + line.len() - line.trim_start().len());
    }
    kernel(text)
}

/// `1 - x`, `x * torch.sigmoid(x)`, `x + a`: an expression as a statement.
fn in_place(text: &str) -> Option<Advice> {
    let whole = text.trim_end().len();
    let expr = python::whole(text).filter(Expr::is_operation)?;
    match python::join(&expr, None) {
        Some(Join::Apply(own)) => Advice::own("an expression of the current value is a statement with `apply`", 0..whole, own),
        Some(Join::Help(help)) => advice(OF_VALUES, 0..whole, help),
        None => advice(
            OF_VALUES,
            0..whole,
            "`add LABEL` and `mul LABEL` join values; `apply 2 * x` computes an expression of the current value `x` alone",
        ),
    }
}

/// `x += a`: what is added, or multiplied by.
fn in_place_operator(text: &str) -> Option<Advice> {
    let line = text.lines().next()?.trim_end();
    let (target, value) = ["+=", "*="].iter().find_map(|sign| line.split_once(sign))?;
    let sign = &line[target.len()..target.len() + 1];
    let sum = format!("{} {sign} {}", target.trim(), value.trim());
    let expr = python::whole(&sum).filter(Expr::is_operation)?;
    match python::join(&expr, Some(target.trim()))? {
        Join::Apply(own) => Advice::own(OF_VALUES, 0..line.len(), own),
        Join::Help(help) => advice(OF_VALUES, 0..line.len(), help),
    }
}
