//! Expressions of Python that join values: `x + a`, `x * gate`, `torch.cat([x, a], dim=1)`; and those of one value.

use super::steps::{MODULES, VALUES};
use super::tree::{Argument, Expr, Kind};
use super::value::signed;
use crate::elementwise::Unary;
use crate::syntax::table::{self, plain};

/// What is written in an expression's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Join {
    /// This statement: an expression of the current value alone.
    Apply(String),
    /// Advice.
    Help(String),
}

/// Names of a block's input in the code of residual networks.
const SHORTCUTS: &[&str] = &["identity", "shortcut", "residual", "short_cut", "skip_connection", "input"];

/// What an expression is here, which is assigned to `target`; `None` if it joins nothing.
pub fn join(expr: &Expr, target: Option<&str>) -> Option<Join> {
    let mentions = |name: &&str| expr.text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == *name);
    let current = target.into_iter().chain(VALUES.iter().copied()).find(mentions).unwrap_or("x");
    if matches!(expr.kind, Kind::Binary(..) | Kind::Negative(_))
        && mentions(&current)
        && let Some(own) = elementwise(expr, current, 0)
    {
        return Some(Join::Apply(format!("apply {own}")));
    }
    let help = match &expr.kind {
        Kind::Binary(a, "+", b) => joined(a, b, current, "add")?,
        Kind::Binary(a, "*", b) => joined(a, b, current, "mul")?,
        Kind::Binary(a, "-", b) if a.path().is_some() && b.path().is_some() => {
            format!(
                "values are joined by `add`, `mul` and `concat`; negate `{}` where it is computed, `apply -x`, and `add` it",
                b.text
            )
        }
        Kind::Call(callee, arguments) => called(callee, arguments, current)?,
        _ => return None,
    };
    Some(Join::Help(help))
}

/// `torch.cat`, `torch.add`, `torch.mul`, `x.add(a)`.
fn called(callee: &Expr, arguments: &[Argument], current: &str) -> Option<String> {
    let Kind::Attribute(of, name) = &callee.kind else { return None };
    let word = match *name {
        "cat" | "concat" | "concatenate" => return concatenated(arguments, current),
        "add" | "add_" => "add",
        "mul" | "mul_" | "multiply" => "mul",
        _ => return None,
    };
    match arguments {
        [a, b] if of.name().is_some() => joined(&a.value, &b.value, current, word),
        [b] => joined(of, &b.value, current, word),
        _ => None,
    }
}

/// `a` and `b` by `add` or `mul`.
fn joined(a: &Expr, b: &Expr, current: &str, word: &str) -> Option<String> {
    let other = if is_current(b, current) { a } else { b };
    let is_shortcut = |value: &Expr| value.name().is_some_and(|name| SHORTCUTS.contains(&name));
    if word == "add" && (is_shortcut(a) || is_shortcut(b)) {
        return Some("write `add shortcut`, which adds the block's input by the current policy".to_owned());
    }
    let is_parameter = |value: &Expr| matches!(&value.kind, Kind::Attribute(of, _) if of.name() == Some("self"));
    if word == "mul" && (is_parameter(a) || is_parameter(b)) {
        return Some("a learned factor is part of a function: `use std.layers: layer_scale` in front of the network, and `layer_scale` here".to_owned());
    }
    if let Some((label, function)) = of_label(other, current) {
        let Some(own) = function else { return Some(labeled(word, &[label])) };
        return Some(format!("write `{word} {label}`, with `{own}` at the end of what makes `{label}`"));
    }
    match &other.kind {
        Kind::Name(label) => Some(labeled(word, &[label])),
        Kind::Call(..) => {
            let is_of = match word {
                "add" => "add",
                _ => "multiply by",
            };
            Some(format!("write `{word} {{ … }}`: the statements in braces compute what to {is_of} from the current value"))
        }
        _ => None,
    }
}

/// Another value that a method or function changes: `y.expand_as(x)`, `y.sigmoid()`; with the activation, if it is one.
fn of_label<'a>(value: &Expr<'a>, current: &str) -> Option<(&'a str, Option<&'static str>)> {
    let Kind::Call(callee, arguments) = &value.kind else { return None };
    let Kind::Attribute(of, name) = &callee.kind else { return None };
    let path = of.path()?;
    let label = match (&path[..], &arguments[..]) {
        (&[label], _) if !MODULES.contains(&label) && label != "self" => label,
        (_, [argument]) if path.last().is_some_and(|module| MODULES.contains(module)) => argument.value.name()?,
        _ => return None,
    };
    let is_shape = matches!(*name, "expand_as" | "expand" | "view" | "view_as" | "reshape" | "unsqueeze" | "contiguous" | "to");
    let function = table::activation(name).map(|activation| activation.name);
    (label != current && (is_shape || function.is_some())).then_some((label, function))
}

fn labeled(word: &str, labels: &[&str]) -> String {
    let [first, others @ ..] = labels else { return String::new() };
    let is = if others.is_empty() { "is the label" } else { "are labels" };
    let list = labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
    format!(
        "write `{word} {}`; {list} {is} of a statement (`as {first}`) or of a branch (`branch {first} {{ … }}`)",
        labels.join(", ")
    )
}

/// `torch.cat([x, a], dim=1)`.
fn concatenated(arguments: &[Argument], current: &str) -> Option<String> {
    let (first, others) = arguments.split_first()?;
    let Kind::Sequence(values) = &first.value.kind else { return None };
    let names = values.iter().map(Expr::name).collect::<Option<Vec<_>>>();
    let axis = others.iter().find(|argument| matches!(argument.key, None | Some("dim" | "axis")));
    let is_channels = axis.is_some_and(|axis| matches!(axis.value.whole(), Some(1 | -3)));
    let Some(names) = names.filter(|_| is_channels) else {
        let help = "`concat LABEL` joins the channels of the current value and those of labels (PyTorch's `dim=1`)";
        return Some(help.to_owned());
    };
    match &names[..] {
        [] | [_] => None,
        [value, labels @ ..] if *value == current || !names.contains(&current) => Some(labeled("concat", labels)),
        [first, ..] => Some(format!(
            "`concat {first}` would put the current value first; for `{first}` first, write after `{first}`: `concat {{ … }}` with what makes \
             `{current}` of it"
        )),
    }
}

fn is_current(value: &Expr, current: &str) -> bool {
    value.name() == Some(current)
}

/// An expression of the current value alone, in our words.
fn elementwise(expr: &Expr, current: &str, depth: usize) -> Option<String> {
    const MAX_DEPTH: usize = 16;
    if depth > MAX_DEPTH {
        return None;
    }
    let inner = |value: &Expr| elementwise(value, current, depth + 1);
    match &expr.kind {
        Kind::Name(name) => (*name == current).then(|| "x".to_owned()),
        Kind::Number(_) => signed(expr).map(|written| written.text),
        Kind::Negative(value) => Some(format!("-{}", grouped(value, inner(value)?))),
        Kind::Binary(a, sign @ ("+" | "-" | "*" | "/"), b) => {
            let (left, right) = (inner(a)?, inner(b)?);
            let is_sum = matches!(*sign, "+" | "-");
            let is_factor = matches!(a.kind, Kind::Binary(_, "*" | "/", _));
            let left = if is_sum || is_factor { left } else { grouped(a, left) };
            let right = if *sign == "+" { right } else { grouped(b, right) };
            Some(format!("{left} {sign} {right}"))
        }
        Kind::Call(callee, arguments) => {
            let (name, value) = match (&callee.kind, &arguments[..]) {
                (Kind::Attribute(value, name), []) => (*name, &**value),
                (Kind::Name(name) | Kind::Attribute(_, name), [Argument { key: None, value }]) => (*name, value),
                _ => return None,
            };
            let is_method = arguments.is_empty() || callee.path().is_some_and(|path| path.len() < 3 && path[0] != "self");
            let own = table::activation(name).filter(|own| own.params.is_empty()).map(|own| own.name);
            let own = own.or_else(|| Unary::ALL.iter().map(|unary| unary.word()).find(|word| *word == plain(name)))?;
            is_method.then_some(())?;
            Some(format!("{own}({})", inner(value)?))
        }
        _ => None,
    }
}

/// In parentheses, if it is an operation itself.
fn grouped(value: &Expr, own: String) -> String {
    if matches!(value.kind, Kind::Binary(..)) { format!("({own})") } else { own }
}
