//! Operators and blocks in words, as dumps and summaries show them.

use std::fmt::Write;

use super::ops::{AttrValue, Attribute, Attributes, Kind, Shown};
use super::{Act, Epilogue, FrameId, Graph, Op, Pair, Train};

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
    let mut text = op.word().to_string();
    if let Some((schema, values)) = op.attributes() {
        let parts = schema.attributes.iter().filter_map(|attribute| part(attribute, values.value(attribute.key)?, &values));
        for (i, part) in parts.enumerate() {
            let _ = write!(text, "{} {part}", if i == 0 { "" } else { "," });
        }
    }
    if let Op::Train(op) = op {
        train(&mut text, op);
    }
    if let Some(fused) = op.epilogue() {
        epilogue(&mut text, *fused);
    }
    text
}

/// An attribute in a dump; `None` if it is left out.
fn part(attribute: &Attribute<'_>, value: AttrValue, all: &Attributes<'_>) -> Option<String> {
    let left_out = match attribute.shown {
        Shown::WithKey => attribute.default_value(all) == Some(value),
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
        Train::NormGradParams { act: Some(_), .. } | Train::NormGradInput { act: Some(_), .. } => text.push_str(" + act"),
        Train::ConvGradInput { conv, .. } | Train::ConvGradWeight(conv) => {
            let _ = write!(text, " {}, {}", size(conv.kernel), conv.filters);
            stride(text, conv.stride, [1, 1]);
        }
        Train::MaxPoolGrad(pool) | Train::AvgPoolGrad { pool, .. } => {
            let _ = write!(text, " {}", size(pool.kernel));
            stride(text, pool.stride, [0, 0]);
        }
        Train::Slice { start, count } => {
            let _ = write!(text, " {count} from {start}");
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

fn epilogue(text: &mut String, epilogue: Epilogue) {
    if epilogue.residual {
        text.push_str(" + add");
    }
    match epilogue.act {
        Some(Act::Relu) => text.push_str(" + relu"),
        Some(Act::Sigmoid) => text.push_str(" + sigmoid"),
        None => {}
    }
}
