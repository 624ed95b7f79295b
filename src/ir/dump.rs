//! The text dump: deterministic and human-readable. Snapshot tests compare it; `--emit graph` and `--emit optimized` print it.
//!
//! One line per node: its name, operator, operands (unless it reads the line above), shape and parameters.
//! The blocks of a stage are listed under a heading. With `fold`, identical blocks are printed once.

use std::collections::HashMap;
use std::fmt::Write;

use super::summary::{Totals, learned, thousands};
use super::{Act, Epilogue, FrameId, Graph, NodeId, Op, Pad, PadMode, Pair, PoolKind, ShapedNetwork, Sides, Train};

/// Dump options.
#[derive(Clone, Copy, Debug, Default)]
pub struct DumpOptions {
    /// Prints repeated blocks once, with their count.
    pub fold: bool,
}

/// One rendered node; names are relative to its block.
struct Line {
    name: String,
    what: String,
    shape: String,
    params: String,
}

/// The nodes of one stage instance, or a run of nodes outside all stages.
struct Group {
    frame: Option<FrameId>,
    lines: Vec<Line>,
}

/// Renders a network.
pub fn dump(network: &ShapedNetwork, options: DumpOptions) -> String {
    let groups = groups(network);
    let graph = network.graph();
    let totals = Totals::of(network);
    let mut out = String::new();
    let macs = totals.macs.map_or_else(|| "free".to_string(), thousands);
    let _ =
        writeln!(out, "network {}: {} layers, {} params, {macs} macs", network.name(), totals.layers, thousands(totals.params));

    let width = |f: fn(&Line) -> &String| groups.iter().flat_map(|g| &g.lines).map(|l| f(l).chars().count()).max().unwrap_or(0);
    let (name, what, shape, params) = (width(|l| &l.name), width(|l| &l.what), width(|l| &l.shape), width(|l| &l.params));
    let mut stage = None;
    let mut i = 0;
    while i < groups.len() {
        let group = &groups[i];
        let mut alike = 1;
        if let Some(id) = group.frame {
            let frame = graph.frame(id);
            let of = frame.instance.map_or(1, |(_, of)| of);
            let (scope, opens) = around(graph, id);
            if stage != Some((frame.parent, frame.span)) {
                let _ = writeln!(out, "\n{scope}{}{of} of {}", if scope.is_empty() { "" } else { ": " }, frame.unit);
                stage = Some((frame.parent, frame.span));
            }
            if options.fold {
                // if instances open no scope, layer numbering continues across them
                let equal = |(a, b): (&Line, &Line)| {
                    (a.name == b.name || !opens) && (&a.what, &a.shape, &a.params) == (&b.what, &b.shape, &b.params)
                };
                let same = |next: &&Group| {
                    next.frame.is_some_and(|n| graph.frame(n).span == frame.span && graph.frame(n).parent == frame.parent)
                        && next.lines.len() == group.lines.len()
                        && next.lines.iter().zip(&group.lines).all(equal)
                };
                alike += groups[i + 1..].iter().take_while(same).count();
            }
            let first = frame.instance.map_or(0, |(i, _)| i);
            let _ = match alike {
                1 => writeln!(out, "  block {first}"),
                n => writeln!(out, "  blocks {first} to {}, {n} alike", first + n - 1),
            };
        } else if stage.take().is_some() {
            out.push('\n');
        }
        for line in &group.lines {
            let indent = if group.frame.is_some() { "    " } else { "  " };
            let pad = if group.frame.is_some() { 0 } else { 2 };
            let text = format!(
                "{indent}{:name$}  {:what$}  {:shape$}  {:>params$}",
                line.name,
                line.what,
                line.shape,
                line.params,
                name = name + pad,
            );
            let _ = writeln!(out, "{}", text.trim_end());
        }
        i += alike;
    }
    out.push('\n');
    for (label, value) in graph.outputs() {
        let _ = writeln!(out, "output {label}: {}  {}", graph.node(value.node).name, network.shape(value.node));
    }
    out
}

/// The scope that contains a stage's instances, and whether each instance opens its own scope (`layer1.0`) in it.
pub fn around(graph: &Graph, instance: FrameId) -> (&str, bool) {
    let frame = graph.frame(instance);
    let outer = frame.parent.map_or("", |parent| graph.frame(parent).scope.as_str());
    match (frame.scope.rsplit_once('.'), frame.instance) {
        (Some((scope, last)), Some((i, _))) if frame.scope != outer && last == i.to_string() => (scope, true),
        _ => (&frame.scope, false),
    }
}

/// The outermost stage instance that contains a node.
fn instance(graph: &Graph, id: NodeId) -> Option<FrameId> {
    graph.frames(graph.node(id).origin.frame).filter(|(_, f)| f.instance.is_some()).last().map(|(id, _)| id)
}

fn groups(network: &ShapedNetwork) -> Vec<Group> {
    let graph = network.graph();
    let mut groups: Vec<Group> = Vec::new();
    let mut scopes: HashMap<NodeId, (Option<FrameId>, String)> = HashMap::new();
    let (mut previous, mut entry) = (None, None);
    for id in graph.order() {
        let node = graph.node(id);
        let frame = instance(graph, id);
        let scope = frame.map_or(String::new(), |f| format!("{}.", graph.frame(f).scope));
        let relative = node.name.strip_prefix(&scope).unwrap_or(&node.name).to_string();
        let operands = graph.operands(id);
        if groups.last().is_none_or(|group| group.frame != frame) {
            entry = None;
        }
        let reads: Vec<String> = operands
            .iter()
            .map(|value| match scopes.get(&value.node) {
                Some((f, name)) if *f == frame => name.clone(),
                // the first value that a block reads from outside is its input, whichever instance produced it
                Some(_) if frame.is_some() && *entry.get_or_insert(value.node) == value.node => "x".to_string(),
                _ => graph.node(value.node).name.clone(),
            })
            .collect();
        let plain = matches!(operands[..], [only] if Some(only.node) == previous);
        let mut what = describe(&node.op);
        if !plain && !reads.is_empty() {
            let _ = write!(what, " <- {}", reads.join(", "));
        }
        let params = match learned(network, id) {
            0 => String::new(),
            n => thousands(n),
        };
        let line = Line { name: relative.clone(), what, shape: network.shape(id).to_string(), params };
        match groups.last_mut() {
            Some(group) if group.frame == frame => group.lines.push(line),
            _ => groups.push(Group { frame, lines: vec![line] }),
        }
        scopes.insert(id, (frame, relative));
        previous = Some(id);
    }
    groups
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
            epilogue(&mut text, c.epilogue);
        }
        Op::Linear(l) => {
            let _ = write!(text, " {}", l.features);
            if !l.bias {
                text.push_str(", no bias");
            }
            epilogue(&mut text, l.epilogue);
        }
        Op::BatchNorm(n) => {
            if n.eps != 1e-5 {
                let _ = write!(text, " eps {}", n.eps);
            }
            if n.momentum != 0.1 {
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
        Op::Clamp(clamp) => {
            for (word, limit) in [(" min", clamp.min), (" max", clamp.max)] {
                if let Some(limit) = limit {
                    let _ = write!(text, "{word} {limit}");
                }
            }
        }
        Op::Scale(scale) => {
            let _ = write!(text, " {}", scale.times);
            if scale.plus != 0.0 {
                let _ = write!(text, ", plus {}", scale.plus);
            }
        }
        Op::Input(_) | Op::Act(Act::Relu | Act::Sigmoid) | Op::Add | Op::Mul | Op::Concat | Op::Flatten | Op::Softmax => {}
        Op::Train(op) => train(&mut text, op),
    }
    text
}

/// The attributes of a training operator.
fn train(text: &mut String, op: &Train) {
    match op {
        Train::BatchNorm { epilogue: e, .. } => epilogue(text, *e),
        Train::NormGradParams { act: Some(_), .. } | Train::NormGradInput { act: Some(_), .. } => text.push_str(" + act"),
        Train::ConvGradInput { conv, .. } | Train::ConvGradWeight(conv) => {
            let _ = write!(text, " {}, {}", size(conv.kernel), conv.filters);
            part(text, "stride", conv.stride, [1, 1]);
            if let Train::ConvGradInput { .. } = op {
                epilogue(text, conv.epilogue);
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
        | Train::NormGradParams { act: None, .. }
        | Train::NormGradInput { act: None, .. }
        | Train::ActGrad(_)
        | Train::BiasGrad
        | Train::LinearGradInput { .. }
        | Train::LinearGradWeight
        | Train::AdaptiveAvgPoolGrad { .. }
        | Train::UpsampleGrad { .. }
        | Train::ClampGrad(_)
        | Train::Unpad(_)
        | Train::SumPlane
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
