//! Operators and blocks in words, as dumps and summaries show them.

use std::fmt::Write;

use super::{BatchNorm, Elementwise, Epilogue, FrameId, Graph, Op, Pad, PadMode, Pair, PoolKind, Sides, Train};

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
    match op {
        Op::Conv(c) => {
            let _ = write!(text, " {}, {}", size(c.kernel), c.filters);
            part(&mut text, "stride", c.stride, [1, 1]);
            let same = [0, 1].map(|axis| c.dilation[axis] * (c.kernel[axis].max(1) - 1) / 2);
            sides(&mut text, c.pad, same);
            part(&mut text, "dilation", c.dilation, [1, 1]);
            if c.groups != 1 {
                let _ = write!(text, ", groups {}", c.groups);
            }
            if c.bias {
                text.push_str(", bias");
            }
            epilogue(&mut text, &c.epilogue);
        }
        Op::Linear(l) => {
            let _ = write!(text, " {}", l.features);
            if !l.bias {
                text.push_str(", no bias");
            }
            epilogue(&mut text, &l.epilogue);
        }
        Op::BatchNorm(n) => {
            let usual = BatchNorm::DEFAULT;
            if n.eps != usual.eps {
                let _ = write!(text, " eps {}", n.eps);
            }
            if n.momentum != usual.momentum {
                let _ = write!(text, " momentum {}", n.momentum);
            }
        }
        Op::Pool(p) => {
            let _ = write!(text, " {}", size(p.kernel));
            part(&mut text, "stride", p.stride, [0, 0]);
            part(&mut text, "dilation", p.dilation(), [1, 1]);
            sides(&mut text, p.pad, [0, 0]);
            if p.ceil {
                text.push_str(", ceil_mode");
            }
            if p.kind == (PoolKind::Avg { count_pad: false }) {
                text.push_str(", count_include_pad false");
            }
        }
        Op::AdaptiveAvgPool([1, 1]) | Op::GlobalMaxPool => text.push_str(" global"),
        Op::AdaptiveAvgPool(to) => {
            let _ = write!(text, " output_size {}", size(*to));
        }
        Op::Dropout(rate) => {
            let _ = write!(text, " {rate}");
        }
        Op::Pad(Pad { channels: [before, after], sides: around, mode }) => {
            if *mode != PadMode::Zeros {
                let _ = write!(text, " {}", mode.word());
            }
            if [*before, *after] != [0, 0] {
                let _ = write!(text, " channels {before} + {after}");
            }
            sides(&mut text, *around, [0, 0]);
        }
        Op::Subsample(stride) => {
            let _ = write!(text, " {}", size(*stride));
        }
        Op::Upsample(Some(times)) => {
            let _ = write!(text, " nearest, scale_factor {}", size(*times));
        }
        Op::Upsample(None) => text.push_str(" nearest"),
        Op::Elementwise(function) => elementwise(&mut text, function),
        Op::Input(_) | Op::Concat | Op::Flatten | Op::Softmax => {}
        Op::Train(op) => train(&mut text, op),
    }
    text
}

/// The attributes of a training operator.
fn train(text: &mut String, op: &Train) {
    match op {
        Train::BatchNorm { epilogue: e, .. } => epilogue(text, e),
        Train::NormGradParams { relu: true, .. } | Train::NormGradInput { relu: true, .. } => text.push_str(" + act"),
        Train::ConvGradInput { conv, .. } | Train::ConvGradWeight(conv) => {
            let _ = write!(text, " {}, {}", size(conv.kernel), conv.filters);
            part(text, "stride", conv.stride, [1, 1]);
            if let Train::ConvGradInput { .. } = op {
                epilogue(text, &conv.epilogue);
            }
        }
        Train::MaxPoolGrad(pool) | Train::AvgPoolGrad { pool, .. } => {
            let _ = write!(text, " {}", size(pool.kernel));
            part(text, "stride", pool.stride, [0, 0]);
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
        Train::NormStats
        | Train::NormGradParams { relu: false, .. }
        | Train::NormGradInput { relu: false, .. }
        | Train::BiasGrad
        | Train::LinearGradInput { .. }
        | Train::LinearGradWeight
        | Train::AdaptiveAvgPoolGrad { .. }
        | Train::UpsampleGrad { .. }
        | Train::Unpad(_)
        | Train::SumPlane
        | Train::Reduce(_)
        | Train::Unflatten(_)
        | Train::SoftmaxGrad => {}
    }
}

fn size([h, w]: Pair) -> String {
    format!("{h}x{w}")
}

fn part(text: &mut String, name: &str, value: Pair, default: Pair) {
    if value != default {
        let _ = match value {
            [h, w] if h == w => write!(text, ", {name} {h}"),
            pair => write!(text, ", {name} {}", size(pair)),
        };
    }
}

fn sides(text: &mut String, pad: Sides, default: Pair) {
    if pad == [[default[0]; 2], [default[1]; 2]] {
        return;
    }
    let _ = match pad {
        [[t, b], [l, r]] if t == b && b == l && l == r => write!(text, ", padding {t}"),
        [[t, b], [l, r]] => write!(text, ", padding {t} {b} {l} {r}"),
    };
}

fn epilogue(text: &mut String, epilogue: &Epilogue) {
    if epilogue.residual {
        text.push_str(" + add");
    }
    if let Some(act) = &epilogue.act {
        let _ = write!(text, " + {}", act.name);
        elementwise(text, act);
    }
}

/// The expression or the numbers of a function, after its name.
fn elementwise(text: &mut String, function: &Elementwise) {
    if function.name == Elementwise::APPLY {
        let _ = write!(text, " {}", function.expression().as_deref().unwrap_or("…"));
    }
    for number in function.given() {
        let _ = write!(text, " {} {}", number.key, number.value);
    }
}
