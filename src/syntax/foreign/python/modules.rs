//! Calls of a class's own layers, `self.act(x)`, and of modules that are blocks here.

use super::steps::{IDENTITIES, MODULES, statements};
use super::tree::{Argument, Expr, Kind};
use crate::syntax::table;

/// The advice for a call that no single operator is; `None` where nothing is known of it.
pub fn advice(expr: &Expr) -> Option<String> {
    match &expr.kind {
        Kind::Call(callee, arguments) => called(expr, callee, arguments),
        Kind::Index(of, index) if of.name().is_some() => Some(slice(index)),
        Kind::Index(of, _) | Kind::Attribute(of, _) => advice(of),
        _ => None,
    }
}

/// `x[:, :12]`: some channels.
fn slice(index: &str) -> String {
    let channels = index.strip_prefix(':').and_then(|rest| rest.trim_start().strip_prefix(','));
    let (start, end) = channels.and_then(|range| range.split_once(':')).unwrap_or(("", ""));
    let number = |text: &str, otherwise| if text.trim().is_empty() { Some(otherwise) } else { text.trim().parse::<u32>().ok() };
    match (number(start, 0), number(end, 0)) {
        (Some(start), Some(end)) if end > start => format!("write `slice start: {start}, count: {}`", end - start),
        _ => "`slice start: 0, count: 32` takes some of the channels; `parallel concat split { … }` shares them among arms"
            .to_owned(),
    }
}

fn called(expr: &Expr, callee: &Expr, arguments: &[Argument]) -> Option<String> {
    let path = callee.path();
    let class = match &callee.kind {
        Kind::Name(name) | Kind::Attribute(_, name) => *name,
        // `self.layer4[0](x)`
        Kind::Index(of, _) => return of.path().filter(|path| path[0] == "self").map(|path| of_self(path[path.len() - 1])),
        _ => return None,
    };
    if let Kind::Attribute(of, name) = &callee.kind
        && IDENTITIES.contains(name)
        && matches!(of.kind, Kind::Call(..))
    {
        return advice(of);
    }
    if let Some(help) = of_tensor(class) {
        return Some(help.to_owned());
    }
    if let Some(help) = order(expr) {
        return Some(help);
    }
    let path = path?;
    if class.contains("make_layer") {
        return Some("layers of equal blocks are a stage: `stage layer1: 3 of bottleneck { filters: 64 }`".to_owned());
    }
    if path.first() == Some(&"self") {
        return Some(of_self(class));
    }
    let is_class = class.starts_with(|c: char| c.is_ascii_uppercase());
    let is_library = path.len() > 1 && MODULES.contains(&path[0]) && path[0] != "timm";
    if !is_class || is_library || table::statement(class).is_some() {
        return None;
    }
    Some(of_block(class, arguments))
}

/// A layer that the class constructs elsewhere.
fn of_self(name: &str) -> String {
    match of_attribute(name) {
        Some(own) => format!("`{name}` is a layer of the class: write its operator in this place, such as `{own}`"),
        None => format!("`{name}` is a layer of the class: write its operator in this place, one statement a line"),
    }
}

/// Methods and functions whose place another statement takes.
fn of_tensor(name: &str) -> Option<&'static str> {
    Some(match name {
        "permute" | "Permute" => {
            "leave it out: `layernorm` normalizes the channels of every place, and `conv 1x1, bias: true` is `nn.Linear` at every place"
        }
        "stack" => "`concat LABEL` joins channels, and `add` and `mul` values; there is no further axis",
        "drop_path" | "DropPath" | "StochasticDepth" | "dropblock" => {
            "leave it out: `train { stochastic_depth 0.2 }` drops blocks, and `dropout 0.2` values"
        }
        "chunk" | "split" | "tensor_split" => {
            "`parallel concat split { { … }; { … } }` gives each arm its share of the channels; `slice start: 0, count: 32` takes some"
        }
        name if IDENTITIES.contains(&name) => "what changes nothing is not written: leave this out",
        "Parameter" => {
            "a learned tensor is part of a function: `use std.layers: layer_scale`, or `elementwise scaled(x, gamma: parameter = 1e-6) = x * gamma`"
        }
        _ => return None,
    })
}

/// The order of nested calls of a class's layers: `F.relu(self.bn1(self.conv1(x)))`.
fn order(expr: &Expr) -> Option<String> {
    const MOST: usize = 8;
    let mut calls = Vec::new();
    let mut at = expr;
    while let Kind::Call(callee, arguments) = &at.kind {
        let path = callee.path()?;
        let is_own = path.first() == Some(&"self") && path.len() > 1;
        let name = path.last()?;
        calls.push(if is_own { own_statement(name) } else { own_function(name)? });
        at = &arguments.first()?.value;
    }
    if calls.len() < 2 || calls.len() > MOST || at.name().is_none() {
        return None;
    }
    calls.reverse();
    Some(format!("the innermost call runs first; write one statement a line: {}", calls.join(", ")))
}

/// What a layer of the class most likely is, by its name: `bn1`.
fn own_statement(name: &str) -> String {
    match of_attribute(name) {
        Some(own) => format!("`{own} as {name}`"),
        None => format!("what `{name}` is"),
    }
}

fn own_function(name: &str) -> Option<String> {
    let call = format!("x = F.{name}(x)");
    statements(&call).map(|translation| format!("`{}`", translation.own))
}

/// The statement that attributes of such a name usually are.
fn of_attribute(name: &str) -> Option<&'static str> {
    let base = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_').to_ascii_lowercase();
    Some(match &*base {
        "conv" | "conv_dw" | "conv_pw" | "dwconv" => "conv …",
        "bn" | "norm" => "batchnorm",
        "fc" | "linear" | "classifier" | "head" => "linear …",
        "pool" | "avgpool" | "global_pool" | "gap" => "avgpool …",
        "maxpool" => "maxpool …",
        "drop" | "dropout" => "dropout …",
        _ => return table::activation(&base).map(|activation| activation.name),
    })
}

/// A module of its own, which is a block.
fn of_block(class: &str, arguments: &[Argument]) -> String {
    let lower = class.to_ascii_lowercase();
    if lower.contains("squeezeex") || matches!(&*lower, "se" | "semodule" | "seblock" | "selayer") {
        return squeeze(arguments);
    }
    let is_convolution =
        ["conv2dnorm", "convbn", "convnorm", "basicconv", "convmodule"].iter().any(|known| lower.starts_with(known));
    if is_convolution {
        let lines = "write `conv 3x3, filters: 64`, `batchnorm` and the activation in lines of their own";
        return format!("{lines}; `use std.blocks: conv_norm_relu` has them as a block");
    }
    let name = snake_case(class.strip_suffix("Module").unwrap_or(class));
    let known = match &*lower {
        "basicblock" => Some("basic"),
        "bottleneck" => Some("bottleneck"),
        _ => None,
    };
    match known {
        Some(own) => format!("write `use std.blocks: {own}` in front of the network, and `{own} filters: 64` here"),
        None => format!(
            "a module of one's own is a block: `block {name}(filters) {{ … }}` in front of the network, and `{name} filters: 64` here"
        ),
    }
}

/// `inverted_residual` for `InvertedResidual`, `cnblock` for `CNBlock`.
fn snake_case(class: &str) -> String {
    let mut name = String::new();
    let mut before = '_';
    for c in class.chars() {
        if c.is_ascii_uppercase() && before.is_ascii_lowercase() {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
        before = c;
    }
    name
}

/// `SqueezeExcitation(24, 6)`: the channels, and those between.
fn squeeze(arguments: &[Argument]) -> String {
    let wholes: Vec<i64> = arguments.iter().filter(|argument| argument.key.is_none()).filter_map(|a| a.value.whole()).collect();
    let own = match wholes[..] {
        [channels, between] if arguments.len() == 2 && between > 0 && channels % between == 0 => {
            format!("squeeze filters: {channels}, ratio: {}", channels / between)
        }
        _ => "squeeze filters: 64, ratio: 16".to_owned(),
    };
    format!(
        "write `use std.blocks: squeeze` in front of the network, and `{own}` here, which gates by `sigmoid`; or `mul {{ … }}` with its statements"
    )
}
