//! Operators and blocks in words, as dumps and summaries show them.

use std::fmt::Write;

use super::ops::{AttrValue, Given, Kind, Shown};
use super::{Elementwise, Epilogue, FrameId, Graph, Op, Pair, Train};

/// The scope that contains a stage's instances, and whether each instance opens its own scope (`layer1.0`) in it.
pub fn around(graph: &Graph, instance: FrameId) -> (&str, bool) {
    let frame = graph.frame(instance);
    let outer = frame.parent.map_or("", |parent| graph.frame(parent).scope.as_str());
    match (frame.scope.rsplit_once('.'), frame.instance) {
        (Some((scope, last)), Some((i, _))) if frame.scope != outer && last == i.to_string() => (scope, true),
        _ => (&frame.scope, false),
    }
}

/// An operator with its non-default attributes: `conv 3x3, 64, stride 2`.
pub fn describe(op: &Op) -> String {
    let mut text = op.word().to_owned();
    if let Some(function) = op.as_elementwise() {
        expression(&mut text, function);
    }
    attributes(&mut text, op.attributes());
    if let Op::Train(op) = op {
        train(&mut text, op);
    }
    if let Some(fused) = op.epilogue() {
        epilogue(&mut text, fused);
    }
    text
}

fn attributes(text: &mut String, list: Vec<Given<'_>>) {
    for (i, part) in list.into_iter().filter_map(part).enumerate() {
        let _ = write!(text, "{} {part}", if i == 0 { "" } else { "," });
    }
}

/// An attribute in a dump; `None` if it is left out.
fn part(Given { attribute, value, is_default }: Given<'_>) -> Option<String> {
    let left_out = match attribute.shown {
        Shown::WithKey => is_default,
        Shown::Unless(usual) => value == usual,
        Shown::Bare | Shown::Always | Shown::Everywhere => false,
    };
    if left_out {
        return None;
    }
    let text = match value {
        AttrValue::Size([h, w]) if attribute.is_positional || attribute.kind == Kind::Window => format!("{h}x{w}"),
        AttrValue::Sides([[t, b], [l, r]]) if [b, l, r] != [t; 3] => format!("{t} {b} {l} {r}"),
        AttrValue::Ends([before, after]) => format!("{before} + {after}"),
        AttrValue::Number(x) => x.to_string(),
        AttrValue::Flag(true) => return Some(attribute.key.to_owned()),
        value => value.to_string(),
    };
    let is_bare = attribute.is_positional || attribute.shown == Shown::Bare;
    Some(if is_bare { text } else { format!("{} {text}", attribute.key) })
}

/// The attributes of a training operator.
fn train(text: &mut String, op: &Train) {
    match op {
        Train::NormGradParams { relu: true, .. } | Train::NormGradInput { relu: true, .. } => text.push_str(" + act"),
        Train::ConvGradInput { conv, .. } | Train::ConvGradWeight(conv) => {
            let _ = write!(text, " {}, {}", size(conv.kernel), conv.filters);
            stride(text, conv.stride, [1, 1]);
        }
        Train::MaxPoolGrad(pool) | Train::AvgPoolGrad { pool, .. } => {
            let _ = write!(text, " {}", size(pool.kernel));
            stride(text, pool.stride, [0, 0]);
        }
        Train::SubsampleGrad { stride, .. } => {
            let _ = write!(text, " {}", size(*stride));
        }
        Train::Dropout { p, .. } => {
            let _ = write!(text, " {p}");
        }
        Train::CrossEntropy { smoothing, weight } | Train::CrossEntropyGrad { smoothing, weight } => {
            if *smoothing != 0.0 {
                let _ = write!(text, " smoothing {smoothing}");
            }
            if *weight != 1.0 {
                let _ = write!(text, " times {weight}");
            }
        }
        _ => {}
    }
}

fn size([h, w]: Pair) -> String {
    format!("{h}x{w}")
}

fn stride(text: &mut String, value: Pair, default: Pair) {
    if value != default {
        let _ = match value {
            [h, w] if h == w => write!(text, ", stride {h}"),
            pair => write!(text, ", stride {}", size(pair)),
        };
    }
}

fn epilogue(text: &mut String, epilogue: &Epilogue) {
    if epilogue.residual {
        text.push_str(" + add");
    }
    if let Some(act) = &epilogue.act {
        let _ = write!(text, " + {}", act.name);
        expression(text, act);
        attributes(text, act.attributes());
    }
}

/// What an `apply` computes.
fn expression(text: &mut String, function: &Elementwise) {
    if function.is_applied() {
        let _ = write!(text, " {}", function.expression().as_deref().unwrap_or("…"));
    }
}
