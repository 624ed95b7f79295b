//! Infers every node's shape, and explains failures.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::joins;
use crate::base::codes;
use crate::base::diagnostic::{Code, Diagnostic};
use crate::base::source::Span;
use crate::ir::summary::thousands;
use crate::ir::{
    Conv, ConvTranspose, Graph, Network, NodeId, Op, Shape, ShapeError, Shortcut, ShortcutUse, Types, Value, infer_shape,
};

/// Infers all types, and reports each failure once for all instances of a stage.
pub(super) fn check(network: &Network, diags: &mut Vec<Diagnostic>) -> Types {
    let graph = &network.graph;
    let shortcuts: HashMap<NodeId, &ShortcutUse> = network.shortcuts.iter().map(|s| (s.add, s)).collect();
    let mut types = Types::default();
    // an error in a block is reported at its first use, and counted for the others
    let mut reported: HashMap<(Code, Span, String), (usize, usize)> = HashMap::new();
    for id in graph.order() {
        let node = graph.node(id);
        let Err(error) = types.infer(graph, id) else { continue };
        let diag = match (shortcuts.get(&id), &error) {
            (Some(shortcut), ShapeError::Unequal { .. }) => shortcut_differs(network, &types, id, shortcut),
            _ => explain(network, id, &types.operand_shapes(graph, id), &error),
        };
        match reported.entry((diag.code, node.origin.span, diag.message.clone())) {
            Entry::Occupied(mut again) => again.get_mut().1 += 1,
            Entry::Vacant(first) => {
                first.insert((diags.len(), 0));
                diags.push(with_frames(network, id, diag));
            }
        }
    }
    for (at, more) in reported.into_values().filter(|&(_, more)| more > 0) {
        let uses = if more == 1 { "use" } else { "uses" };
        diags[at].notes.push(format!("note: the same happens in {more} more {uses} of this line"));
    }
    types
}

/// Adds labels for the expansion of a node: the stages and calls that lead to it.
fn with_frames(network: &Network, id: NodeId, mut diag: Diagnostic) -> Diagnostic {
    let node = network.graph.node(id);
    for (_, frame) in network.graph.frames(node.origin.frame) {
        // a label inside the statement already shows the place
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

/// The error for an `F(x)` and a shortcut that differ in shape.
fn shortcut_differs(network: &Network, types: &Types, id: NodeId, shortcut: &ShortcutUse) -> Diagnostic {
    let graph = &network.graph;
    let node = graph.node(id);
    let operands = graph.operands(id);
    let shape = |slot: usize| operands.get(slot).map_or(Shape::Unknown, |v| types.shape(*v).clone());
    let (f, carried) = (shape(0), shape(1));
    let x = types.shape(shortcut.x);
    let message = match (carried.channels(), f.channels()) {
        (Some(a), Some(b)) if a != b => format!("the shortcut adds {a} channels to {b}"),
        _ => format!("the shortcut adds a feature map of {} to {}", map_text(&carried), map_text(&f)),
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
    // both policies subsample x by the path's strides, so they are suggested only if that yields F(x)'s size
    let height = if x.map().is_some_and(|map| map.len() == 2) { shortcut.stride } else { 1 };
    let strided = infer_shape(&Op::Subsample([height, shortcut.stride]), std::slice::from_ref(x)).ok();
    let reaches = strided.as_ref().and_then(Shape::map).zip(f.map()).is_some_and(|(a, b)| a == b);
    if !reaches {
        return diag.help("no policy makes these sizes equal: pad the path's kernels by (k - 1) / 2, the default for odd k");
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
    match &shortcut.condition {
        Some(condition) => diag.help(format!(
            "`if {condition} {{ add shortcut }}` in the block leaves the shortcut out where it does not fit, as MobileNets do"
        )),
        None => diag,
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// A number of groups that divides the channels, not more than wanted. A norm's groups have several channels each, since groups of
/// one are an instance norm; powers of two are usual.
fn near_groups(channels: usize, wanted: usize, is_norm: bool) -> Option<usize> {
    let most = if is_norm { wanted.min(channels / 2) } else { wanted };
    let divides = |groups: &usize| channels.is_multiple_of(*groups);
    let power = (1..usize::BITS).map(|bits| 1 << bits).take_while(|groups| *groups <= most).filter(divides).last();
    power.filter(|_| is_norm).or_else(|| (2..=most.min(channels)).rev().find(divides))
}

/// How channels become a multiple of a block's pixels.
fn more_channels(count: usize, block: usize) -> String {
    let side = block.isqrt();
    let smaller = (2..side).rev().find(|side| count.is_multiple_of(side * side));
    let smaller = smaller.map_or(String::new(), |side| format!("; blocks of {side} fit {count} channels"));
    match count.checked_next_multiple_of(block) {
        Some(more) => format!("`conv 1x1, filters: {more}` before it makes as many channels{smaller}"),
        None => "choose another block size".to_owned(),
    }
}

/// Whether a value is a linear layer's, after functions of each element.
fn comes_of_linear(graph: &Graph, value: Value) -> bool {
    const MOST: usize = 16;
    let mut at = value;
    for _ in 0..MOST {
        match &graph.node(at.node).op {
            Op::Linear(_) => return true,
            Op::Elementwise(_) | Op::BatchNorm(_) | Op::Dropout(_) => {}
            _ => return false,
        }
        let Some(&operand) = graph.operands(at.node).first() else { return false };
        at = operand;
    }
    false
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
            let is_linear = |slot: usize| operands.get(slot).is_some_and(|value| comes_of_linear(graph, *value));
            if let Some(help) = joins::help(op, left, right, [is_linear(0), is_linear(*slot)]) {
                diag = diag.help(help);
            }
            diag.rule(match &**op {
                "concat" => "concatenated values have equal height and width",
                "mul" => "both factors have the same shape, or the second is `C x 1 x 1` and the first `C x H x W`",
                _ => "added values have equal dimensions",
            })
        }
        ShapeError::Broadcast { operand, needs, shapes, slot, .. } => {
            let mut diag = Diagnostic::error(codes::OPERANDS_DIFFER, error.to_string(), span, "computed here");
            let at = graph.operands(id).get(*slot).map(|value| graph.node(value.node).origin.span);
            if let Some(at) = at.filter(|at| *at != span) {
                diag = diag.label(at, format!("`{operand}` is {}", shapes[1]));
            }
            diag.rule(format!("the declaration of a function says how each operand is repeated; `{operand}` is {needs}"))
        }
        ShapeError::Window { window, map, .. } => {
            let mut diag = Diagnostic::error(codes::WINDOW, error.to_string(), span, reads);
            if map.fixed().is_some_and(|n| n < *window) {
                diag = diag.help("use a larger input, fewer strides before this, a smaller kernel, or more padding");
            }
            diag.rule("a window fits into the padded feature map at least once")
        }
        ShapeError::OutputPadding { .. } => Diagnostic::error(codes::BAD_VALUE, error.to_string(), span, reads)
            .rule(
                "`output_padding` chooses among the sizes that a convolution with this stride or dilation takes to the same one",
            )
            .help("more rows and columns than that come from `pad`, from a larger kernel, or from `upsample`"),
        ShapeError::NothingLeft { .. } => Diagnostic::error(codes::WINDOW, error.to_string(), span, reads)
            .rule("the padding of a transposed convolution is left out of its result, on both sides")
            .help("use less padding, a larger input, or a larger kernel"),
        ShapeError::Cropped { .. } => {
            Diagnostic::error(codes::WINDOW, error.to_string(), span, reads).rule("a crop leaves at least one row and column")
        }
        ShapeError::PoolPadding { .. } => {
            Diagnostic::error(codes::POOL_PADDING, error.to_string(), span, "a window over nothing but padding has no value")
                .rule("the padding of a pool is smaller than its window")
        }
        ShapeError::WindowInPadding { .. } => {
            Diagnostic::error(codes::POOL_PADDING, error.to_string(), span, "a window over nothing but padding has no value")
                .rule("every window of a pool overlaps the feature map")
        }
        ShapeError::ReflectPadding { .. } => Diagnostic::error(codes::PAD_MODE, error.to_string(), span, reads)
            .rule("reflection does not repeat the border, so the padding is smaller than the feature map")
            .help("use less padding, a larger feature map, or `mode: replicate`"),
        ShapeError::PadChannels { .. } => {
            Diagnostic::error(codes::PAD_MODE, error.to_string(), span, "pads channels in a mode other than zeros")
                .rule("`reflect` and `replicate` pad height and width; channels are padded with zeros")
                .help("use a second `pad` for the channels")
        }
        ShapeError::Groups { count, groups, .. } => {
            let filters = match &node.op {
                Op::Conv(Conv { filters, .. }) | Op::ConvTranspose(ConvTranspose { filters, .. }) => Some(*filters),
                _ => None,
            };
            let rule =
                if filters.is_some() { "`groups` divides the channels and the filters" } else { "`groups` divides the channels" };
            let mut diag = Diagnostic::error(codes::GROUPS, error.to_string(), span, reads).rule(rule);
            let channels = inputs.first().and_then(Shape::channels).unwrap_or(*count);
            if filters == Some(*groups) && *groups > 1 && matches!(node.op, Op::Conv(_)) {
                diag = diag.help(format!("`depthwise` has a group and a filter for each of the {channels} channels"));
            }
            let both = gcd(channels, filters.unwrap_or(channels));
            if let Some(near) = near_groups(both, *groups, filters.is_none()) {
                let filters = filters.map_or(String::new(), |filters| format!(" and the {filters} filters"));
                diag = diag.help(format!("`groups: {near}` divides the {channels} channels{filters}"));
            }
            diag
        }
        ShapeError::OneDimensional { .. } => Diagnostic::error(codes::NO_HEIGHT, error.to_string(), span, reads)
            .rule("a 1-D input has channels and a length: kernels, strides and paddings are single numbers")
            .help("write `conv 7` instead of `conv 7x7`, `maxpool 3, stride: 2`, `pad [left, right]`"),
        ShapeError::Rank { needs, .. } => {
            let mut diag = Diagnostic::error(codes::RANK, error.to_string(), span, reads);
            if needs.starts_with("feature map") {
                diag = diag.rule("a flattened value has no height and width");
            } else {
                diag = diag.help("`avgpool global` or `flatten` before it turns a feature map into a vector");
            }
            diag
        }
        ShapeError::Free { op, shape } if matches!(node.op, Op::Upsample(_)) => Diagnostic::error(
            codes::FREE_SIZE,
            format!("`{op}` by a factor needs a fixed size, and {shape} is free"),
            span,
            reads,
        )
        .rule("a free size may be divided, as strides do it; a multiple of one has no form that sizes are compared in")
        .help("`upsample …, like: LABEL` makes as many rows and columns as another value has; or fix the input's size"),
        ShapeError::Free { .. } if matches!(node.op, Op::ConvTranspose(_)) => {
            Diagnostic::error(codes::FREE_SIZE, error.to_string(), span, reads)
                .rule("a free size may be divided, as strides do it; a multiple of one has no form that sizes are compared in")
                .help("fix the input's size, or enlarge the feature map with `upsample …, like: LABEL`")
        }
        ShapeError::Free { .. } if matches!(node.op, Op::Rearrange(_)) => {
            Diagnostic::error(codes::FREE_SIZE, error.to_string(), span, reads)
                .rule("what rearranges rows and columns needs to know how many there are")
                .help("fix the input's size")
        }
        ShapeError::Free { op, shape } => {
            // `linear` flattens a feature map implicitly, so the message names `linear`
            let written = graph.users(id).first().map(|(user, _)| graph.node(*user)).filter(|user| user.origin.span == span);
            let op = written.map_or(&**op, |user| user.op.word());
            let message = format!("`{op}` needs a fixed size, and {shape} is free");
            Diagnostic::error(codes::FREE_SIZE, message, span, reads)
                .rule("a layer with a weight for each position needs a fixed size")
                .help("fix the size with `avgpool global` or `avgpool output_size: 7x7` before it")
        }
        ShapeError::FreeCeil { .. } => Diagnostic::error(codes::FREE_SIZE, error.to_string(), span, reads)
            .rule("a last window that would start in the trailing padding is dropped, which depends on the size")
            .help("omit `ceil_mode`, pad by at most the window minus the stride, or fix the input size"),
        ShapeError::FreeStride { .. } => Diagnostic::error(codes::FREE_SIZE, error.to_string(), span, reads)
            .rule("of an enlarged map, the factor divides the stride or is divided by it")
            .help("fix the input size"),
        ShapeError::Zero { .. } => Diagnostic::error(codes::ZERO, error.to_string(), span, "is 0 here"),
        ShapeError::TooLarge => Diagnostic::error(codes::VALUE_TOO_LARGE, error.to_string(), span, reads),
        ShapeError::Blocks { what, block, count } => Diagnostic::error(codes::SIZES, error.to_string(), span, reads)
            .rule(format!("the {what} are a multiple of {block}: no square of pixels is cut off"))
            .help(match what {
                &"channels" => more_channels(*count, *block),
                _ => "pad the feature map, or choose another block size".to_owned(),
            }),
        ShapeError::Reshape { values, .. } => Diagnostic::error(codes::SIZES, error.to_string(), span, reads)
            .rule("a reshape keeps every value and adds none: the product of the sizes stays the same")
            .help(format!("-1 stands for what the other sizes leave of the {values} values, if they divide them")),
        ShapeError::Slice { start, all, .. } => {
            let diag = Diagnostic::error(codes::BAD_VALUE, error.to_string(), span, reads);
            diag.rule(format!("channels are counted from 0: from {start} on there are {}", all.saturating_sub(*start)))
        }
        // values of other types occur only in graphs that no source declares
        ShapeError::Arity { .. } | ShapeError::DType { .. } | ShapeError::Rows { .. } => {
            Diagnostic::error(codes::OPERANDS_DIFFER, error.to_string(), span, "joined here")
        }
    }
}
