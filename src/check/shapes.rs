//! Every node's shape by the one rule, and what is said where it cannot be.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::operand_shapes;
use crate::base::codes;
use crate::base::diagnostic::{Code, Diagnostic};
use crate::base::source::Span;
use crate::ir::summary::thousands;
use crate::ir::{Network, NodeId, Op, Shape, ShapeError, Shortcut, ShortcutUse, infer};

/// Infers all shapes; reports what fails, once for all instances of a stage.
pub(super) fn check(network: &Network, diags: &mut Vec<Diagnostic>) -> Vec<Shape> {
    let graph = &network.graph;
    let shortcuts: HashMap<NodeId, &ShortcutUse> = network.shortcuts.iter().map(|s| (s.add, s)).collect();
    let mut shapes = vec![Shape::Unknown; graph.bound()];
    // what is wrong with a block is said where it is first used, and counted elsewhere
    let mut reported: HashMap<(Code, Span, String), (usize, usize)> = HashMap::new();
    for id in graph.order() {
        let node = graph.node(id);
        let inputs = operand_shapes(graph, &shapes, id);
        match infer(&node.op, &inputs) {
            Ok(shape) => shapes[id.index()] = shape,
            Err(error) => {
                let diag = match (shortcuts.get(&id), &error) {
                    (Some(shortcut), ShapeError::Unequal { .. }) => shortcut_differs(network, &shapes, id, shortcut),
                    _ => explain(network, id, &inputs, &error),
                };
                match reported.entry((diag.code, node.origin.span, diag.message.clone())) {
                    Entry::Occupied(mut again) => again.get_mut().1 += 1,
                    Entry::Vacant(first) => {
                        first.insert((diags.len(), 0));
                        diags.push(with_frames(network, id, diag));
                    }
                }
            }
        }
    }
    for (at, more) in reported.into_values().filter(|&(_, more)| more > 0) {
        let uses = if more == 1 { "use" } else { "uses" };
        diags[at].notes.push(format!("note: and the same in {more} more {uses} of this line"));
    }
    shapes
}

/// Adds where in the expansion the node stands: the stages and calls that led to it.
fn with_frames(network: &Network, id: NodeId, mut diag: Diagnostic) -> Diagnostic {
    let node = network.graph.node(id);
    for (_, frame) in network.graph.frames(node.origin.frame) {
        // a label inside the statement has already said where it is
        let said = |at: Span| at.file == frame.span.file && frame.span.start <= at.start && at.end <= frame.span.end;
        if diag.labels.iter().any(|l| said(l.span)) {
            continue;
        }
        diag = match frame.instance {
            Some((i, _)) => match network.stages.iter().find(|s| s.span == frame.span) {
                Some(stage) => diag.label(stage.label_span, format!("in block {i} of this stage")),
                None => diag.label(frame.span, format!("in block {i} of this")),
            },
            None => diag.label(frame.span, format!("in `{}`, used here", frame.unit)),
        };
    }
    diag
}

/// `F(x)` and the shortcut differ: the error that the language exists for.
fn shortcut_differs(network: &Network, shapes: &[Shape], id: NodeId, shortcut: &ShortcutUse) -> Diagnostic {
    let graph = &network.graph;
    let node = graph.node(id);
    let operands = graph.operands(id);
    let shape = |slot: usize| operands.get(slot).map_or(Shape::Unknown, |v| shapes[v.node.index()].clone());
    let (f, carried) = (shape(0), shape(1));
    let x = &shapes[shortcut.x.node.index()];
    let message = match (carried.channels(), f.channels()) {
        (Some(a), Some(b)) if a != b => format!("the shortcut adds {a} channels to {b}"),
        _ => format!("the shortcut adds a map of {} to {}", map_text(&carried), map_text(&f)),
    };
    let mut diag = Diagnostic::error(codes::SHORTCUT_DIFFERS, message, node.origin.span, "added here");
    let stage = graph.frames(node.origin.frame).find(|(_, f)| f.instance.is_some());
    let record = stage.and_then(|(_, frame)| network.stages.iter().find(|s| s.span == frame.span));
    if let (Some((_, frame)), Some(stage)) = (stage, record) {
        if let Some((i, _)) = frame.instance {
            diag = diag.label(stage.label_span, format!("in block {i} of this stage"));
        }
        match stage.filters {
            Some((_, span)) => diag = diag.label(span, format!("makes F(x) {f}")),
            None => diag = diag.note(format!("F(x) is {f}")),
        }
    } else {
        diag = diag.note(format!("F(x) is {f}"));
    }
    let policy = match shortcut.policy {
        Shortcut::Identity => "identity",
        Shortcut::Pad { .. } => "pad",
        Shortcut::Projection | Shortcut::ProjectionAlways => "projection",
        Shortcut::None => "none",
    };
    diag = match shortcut.policy_span {
        Some(span) => diag.label(span, format!("{policy} carries {carried}")),
        None => diag.note(format!("no `shortcut` policy is stated, so x itself is carried: {carried}")),
    };
    diag = diag.rule("x and F(x) must have equal dimensions");
    let (Some(from), Some(to)) = (x.channels(), f.channels()) else { return diag };
    // both policies make the map that subsampling x by the path's strides makes: they are offered where it is F(x)'s
    let height = if x.map().is_some_and(|map| map.len() == 2) { shortcut.stride } else { 1 };
    let strided = infer(&Op::Subsample([height, shortcut.stride]), std::slice::from_ref(x)).ok();
    let reaches = strided.as_ref().and_then(Shape::map).zip(f.map()).is_some_and(|(a, b)| a == b);
    if !reaches {
        return diag
            .help("no policy makes these maps equal: pad the path's windows by (k - 1) / 2, which is their default for odd k");
    }
    if to >= from && !matches!(shortcut.policy, Shortcut::Pad { .. }) {
        let what = match (shortcut.stride > 1, to - from) {
            (true, 0) => "subsamples".to_string(),
            (true, n) => format!("subsamples and appends {n} zero channels"),
            (false, n) => format!("appends {n} zero channels"),
        };
        diag = diag.help(format!("`shortcut: pad` {what} (option A, +0 parameters)"));
    }
    if !matches!(shortcut.policy, Shortcut::Projection | Shortcut::ProjectionAlways) {
        let cost = thousands((from as u64).saturating_add(2).saturating_mul(to as u64));
        diag = diag.help(format!("`shortcut: projection` adds a 1x1 convolution and its norm (option B, +{cost} parameters)"));
    }
    diag
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn map_text(shape: &Shape) -> String {
    match shape.map() {
        Some([h, w]) => format!("{h} x {w}"),
        _ => shape.to_string(),
    }
}

fn explain(network: &Network, id: NodeId, inputs: &[Shape], error: &ShapeError) -> Diagnostic {
    let graph = &network.graph;
    let node = graph.node(id);
    let span = node.origin.span;
    let reads = inputs.first().map_or(String::new(), |shape| format!("reads {shape}"));
    match error {
        ShapeError::Unequal { op, left, right, slot } => {
            let mut diag = Diagnostic::error(codes::OPERANDS_DIFFER, error.to_string(), span, "joined here");
            let operands = graph.operands(id);
            for (slot, shape) in [(0, left), (*slot, right)] {
                if let Some(value) = operands.get(slot) {
                    let at = graph.node(value.node).origin.span;
                    if at != span {
                        diag = diag.label(at, format!("this is {shape}"));
                    }
                }
            }
            diag.rule(match *op {
                "concat" => "what is concatenated has equal height and width",
                "mul" => "a factor has the shape of the other, or `C x 1 x 1` against `C x H x W`",
                _ => "what is added has equal dimensions",
            })
        }
        ShapeError::Window { window, map, .. } => {
            let mut diag = Diagnostic::error(codes::WINDOW, error.to_string(), span, reads);
            if map.fixed().is_some_and(|n| n < *window) {
                diag = diag.help("a larger input, fewer strides before this, a smaller window, or padding around it");
            }
            diag.rule("a window lies at least once in the padded map")
        }
        ShapeError::PoolPadding { .. } => {
            Diagnostic::error(codes::POOL_PADDING, error.to_string(), span, "a window of padding alone has no value")
                .rule("a pool is padded by less than its window")
        }
        ShapeError::Hole { .. } => {
            Diagnostic::error(codes::POOL_PADDING, error.to_string(), span, "a window of padding alone has no value")
                .rule("each window of a pool sees a value of the map")
        }
        ShapeError::Mirror { .. } => Diagnostic::error(codes::PAD_MODE, error.to_string(), span, reads)
            .rule("a mirror shows a map without its outermost values: less than its size")
            .help("less padding, a larger map, or `mode: replicate`"),
        ShapeError::PadChannels { .. } => Diagnostic::error(codes::PAD_MODE, error.to_string(), span, "channels, and a mode other than zeros")
            .rule("`reflect` and `replicate` go around the map; channels are padded with zeros")
            .help("a second `pad` for the channels"),
        ShapeError::Groups { count, groups, .. } => {
            let mut diag =
                Diagnostic::error(codes::GROUPS, error.to_string(), span, reads).rule("groups divide channels and filters");
            let filters = if let Op::Conv(conv) = &node.op { conv.filters } else { *count };
            let channels = inputs.first().and_then(Shape::channels).unwrap_or(*count);
            let both = gcd(channels, filters);
            if let Some(near) = (2..=both.min(*groups)).rev().find(|g| both.is_multiple_of(*g)) {
                diag = diag.help(format!("`groups: {near}` divides the {channels} channels and the {filters} filters"));
            }
            diag
        }
        ShapeError::Signal { .. } => Diagnostic::error(codes::SIGNAL, error.to_string(), span, reads)
            .rule("a signal has channels and a length, and no height: its windows, strides and pads are one number")
            .help("`conv 7` in place of `conv 7x7`, `maxpool 3, stride: 2`, `pad [left, right]`"),
        ShapeError::Rank { needs, .. } => {
            let mut diag = Diagnostic::error(codes::RANK, error.to_string(), span, reads);
            if needs.starts_with("map") {
                diag = diag.rule("once flattened, a value has no height and width any more");
            } else {
                diag = diag.help("`avgpool global` or `flatten` before it makes a vector of a map");
            }
            diag
        }
        ShapeError::Free { op, shape } if matches!(node.op, Op::Upsample(_)) => {
            Diagnostic::error(codes::FREE_SIZE, format!("`{op}` by a factor needs a fixed size, and {shape} is free"), span, reads)
                .rule("a free size may be divided, as strides do it; a multiple of one has no form that sizes are compared in")
                .help("`upsample nearest, like: LABEL` makes as many rows and columns as another value has; or fix the input's size")
        }
        ShapeError::Free { op, shape } => {
            // `linear` flattens a map first: who wrote `linear` is told of it, not of the flattening
            let written = graph.users(id).first().map(|(user, _)| graph.node(*user)).filter(|user| user.origin.span == span);
            let op = written.map_or(*op, |user| user.op.word());
            let message = format!("`{op}` needs a fixed size, and {shape} is free");
            Diagnostic::error(codes::FREE_SIZE, message, span, reads)
            .rule("a layer with fixed weights for each position needs a fixed size")
            .help("`avgpool global` or `avgpool output_size: 7x7` before it fixes the size")
        }
        ShapeError::FreeCeil { .. } => Diagnostic::error(codes::FREE_SIZE, error.to_string(), span, reads)
            .rule("a last window that would start in the padding behind the map is dropped, and whether one would depends on the size")
            .help("leave `ceil` out, pad by no more than the window less the stride, or fix the input's size"),
        ShapeError::Zero { .. } => Diagnostic::error(codes::ZERO, error.to_string(), span, "is 0 here"),
        ShapeError::TooLarge => Diagnostic::error(codes::VALUE_TOO_LARGE, error.to_string(), span, reads),
        // slices stand in the graphs of training steps alone, which no source writes
        ShapeError::Arity { .. } | ShapeError::Slice { .. } => Diagnostic::error(codes::OPERANDS_DIFFER, error.to_string(), span, "joined here"),
    }
}
