//! The statements of layers and functions that are constructed, called or assigned in Python.

use super::layer;
use super::layers;
use super::tree::{Argument, Expr, Kind};
use super::{activations, parse};
use crate::syntax::foreign::advice::is_label;

/// Statements in the place of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translation<'a> {
    /// The statements, in one line.
    pub own: String,
    /// How much of the text they stand for.
    pub length: usize,
    /// Whether they certainly do the same: every value is written out, and they read the value of the statement before.
    pub is_certain: bool,
    /// A value of another name that the last of them reads.
    pub other: Option<&'a str>,
}

/// The statements of an expression.
struct Steps<'a> {
    lines: Vec<String>,
    /// The value that a function takes; a layer that is only constructed takes none.
    reads: Option<&'a str>,
    is_literal: bool,
}

/// How deep calls may nest.
const MAX_DEPTH: usize = 32;

/// The modules that functions and layers are in.
pub const MODULES: &[&str] = &["torch", "nn", "F", "functional", "tf", "keras", "layers", "ops", "K", "np", "timm"];

/// Names of the value that a class passes from layer to layer.
pub const VALUES: &[&str] = &["x", "out", "y", "h", "input", "inputs"];

/// Methods that change no value.
pub const IDENTITIES: &[&str] = &["contiguous", "clone", "detach", "to", "cuda", "cpu", "float", "half", "eval", "type_as"];

/// Functions that make a layer, by its sizes.
const BUILDERS: &[&str] = &["conv", "conv3x3", "conv1x1"];

/// The statements of `nn.Conv2d(3, 64, 7, stride=2)`, `x = F.relu(x)`, `self.fc = nn.Linear(512, 10)`, `model.add(Dense(10))` or a
/// list of these; `None` where anything has no counterpart.
pub fn statements(text: &str) -> Option<Translation<'_>> {
    let mut lines = Vec::new();
    let (mut is_certain, mut other) = (true, None);
    let mut rest = text.trim();
    while !rest.is_empty() {
        let target = target(rest);
        let call = target.map_or(rest, |(_, value)| value);
        let target = target.map(|(target, _)| target);
        let parsed = parse::expression(call).filter(|(expr, _)| target.is_some() || has_call(expr));
        // after a comma at a line's end, the next line belongs to the text, too
        if parsed.is_none() && !lines.is_empty() {
            let length = text.trim_end().len() - rest.len();
            return Some(Translation { own: lines.join("; ") + "; ", length, is_certain, other });
        }
        let (expr, length) = parsed?;
        let steps = steps(&expr, 0)?;
        // only `x = …(x)` certainly reads what the statement before computes
        other = steps.reads.filter(|value| Some(*value) != target && !VALUES.contains(value));
        is_certain &= steps.is_literal && steps.reads.is_none_or(|value| Some(value) == target);
        let from = lines.len();
        lines.extend(steps.lines);
        let name = target.and_then(|target| target.strip_prefix("self.")).filter(|name| is_label(name));
        if let (Some(name), true) = (name, lines.len() == from + 1) {
            lines[from] += &format!(" as {name}");
        }
        rest = match call[length..].trim_start() {
            "" => "",
            more => more.strip_prefix(',')?.trim_start(),
        };
    }
    (!lines.is_empty()).then(|| Translation { own: lines.join("; "), length: text.trim_end().len(), is_certain, other })
}

/// The target and the value of `self.conv1 = …`.
fn target(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '.'))?;
    let value = text[end..].trim_start().strip_prefix('=')?;
    (!value.starts_with('=')).then(|| (&text[..end], value.trim_start()))
}

fn has_call(expr: &Expr) -> bool {
    match &expr.kind {
        Kind::Call(..) => true,
        Kind::Index(of, _) | Kind::Attribute(of, _) => has_call(of),
        _ => false,
    }
}

/// The statements of an expression; `None` where it has no counterpart. `depth` bounds how deep calls nest.
fn steps<'a>(expr: &Expr<'a>, depth: usize) -> Option<Steps<'a>> {
    if depth > MAX_DEPTH {
        return None;
    }
    match &expr.kind {
        Kind::Call(callee, arguments) => called(callee, arguments, depth),
        // `torch.max` along an axis returns the indices, too
        Kind::Index(of, "0") | Kind::Attribute(of, "values") if callee_of(of) == Some("max") => largest(of, depth),
        _ => None,
    }
}

/// The last part of a called path.
fn callee_of<'a>(expr: &Expr<'a>) -> Option<&'a str> {
    match &expr.kind {
        Kind::Call(callee, _) => match callee.kind {
            Kind::Name(name) | Kind::Attribute(_, name) => Some(name),
            _ => None,
        },
        _ => None,
    }
}

fn largest<'a>(expr: &Expr<'a>, depth: usize) -> Option<Steps<'a>> {
    match &expr.kind {
        Kind::Call(callee, arguments) => function(callee, "max", arguments, depth),
        _ => None,
    }
}

fn called<'a>(callee: &Expr<'a>, arguments: &[Argument<'a>], depth: usize) -> Option<Steps<'a>> {
    match &callee.kind {
        // Keras's functional style calls the layer: `Dense(10)(x)`
        Kind::Call(class, inner) => {
            let steps = called(class, inner, depth).filter(|steps| steps.reads.is_none())?;
            match arguments {
                [Argument { key: None, value }] => read(value, depth, steps.lines, steps.is_literal),
                _ => None,
            }
        }
        // `model.add(Dense(10))`
        Kind::Attribute(_, "add") if matches!(arguments, [Argument { key: None, value }] if has_call(value)) => {
            steps(&arguments[0].value, depth).filter(|steps| steps.reads.is_none())
        }
        Kind::Name(class) | Kind::Attribute(_, class) if class.starts_with(|c: char| c.is_ascii_uppercase()) => {
            let path = callee.path()?;
            let (lines, is_literal) = layer_lines(class, arguments, path.contains(&"nn") || path.contains(&"torch"))?;
            Some(Steps { lines, reads: None, is_literal })
        }
        Kind::Attribute(of, name) if IDENTITIES.contains(name) && has_call(of) => steps(of, depth + 1),
        // anyone can define `conv3x3`
        Kind::Name(name) if BUILDERS.contains(name) => {
            let (lines, is_literal) = layer_lines(name, arguments, true)?;
            Some(Steps { lines, reads: None, is_literal: is_literal && *name == "conv" })
        }
        Kind::Name(name) | Kind::Attribute(_, name) if *name != "max" => function(callee, name, arguments, depth),
        _ => None,
    }
}

/// A function of a value: `F.relu(x)`, `x.relu()`.
fn function<'a>(callee: &Expr<'a>, name: &str, arguments: &[Argument<'a>], depth: usize) -> Option<Steps<'a>> {
    let module = match &callee.kind {
        Kind::Attribute(of, _) => of.path().filter(|path| path.last().is_some_and(|module| MODULES.contains(module))),
        _ => Some(Vec::new()),
    };
    let (value, arguments) = match (&callee.kind, module) {
        (Kind::Attribute(value, _), None) => (&**value, arguments),
        _ => {
            let (first, others) = arguments.split_first()?;
            (first.key.is_none_or(|key| key == "input").then_some(&first.value)?, others)
        }
    };
    // a function of ours is called like this by mistake, too
    let is_bare = matches!(callee.kind, Kind::Name(_));
    if is_bare && !value.name().is_some_and(|name| VALUES.contains(&name)) {
        return None;
    }
    let (lines, is_literal) = layer_lines(name, arguments, true)?;
    read(value, depth, lines, is_literal)
}

/// Statements after those of the value that they read.
fn read<'a>(value: &Expr<'a>, depth: usize, lines: Vec<String>, is_literal: bool) -> Option<Steps<'a>> {
    if let Some(name) = value.name() {
        return (name != "self").then_some(Steps { lines, reads: Some(name), is_literal });
    }
    let inner = steps(value, depth + 1)?;
    inner.reads?;
    let all = inner.lines.into_iter().chain(lines).collect();
    Some(Steps { lines: all, reads: inner.reads, is_literal: is_literal && inner.is_literal })
}

/// The statements of a layer, with those of Keras's `activation` argument.
fn layer_lines(name: &str, arguments: &[Argument], is_torch: bool) -> Option<(Vec<String>, bool)> {
    let named = |value: &Expr| activations::of_keras(value.word()?).map(str::to_owned);
    if let ("Activation", [Argument { key: None | Some("activation"), value }]) = (name, arguments) {
        return Some((vec![named(value)?], true));
    }
    // the second parameter of `Dense`
    let is_activation = |(i, argument): &(usize, &Argument)| {
        argument.key == Some("activation") || (name == "Dense" && argument.key.is_none() && *i == 1)
    };
    let activation = arguments.iter().enumerate().find(is_activation).map(|(_, argument)| &argument.value);
    let others = arguments.iter().enumerate().filter(|argument| !is_activation(argument));
    let others: Vec<Argument> = others.map(|(_, argument)| argument.clone()).collect();
    let (mut lines, is_literal) = match layers::find(name) {
        Some(layer) => layer::statements(layer, &others)?,
        None => activations::statement_of(name, &others, is_torch).map(|(line, is_literal)| (vec![line], is_literal))?,
    };
    if let Some(activation) = activation {
        lines.push(named(activation)?);
    }
    Some((lines, is_literal))
}
