//! The text dump: deterministic and human-readable. Snapshot tests compare it; `--emit graph` and `--emit optimized` print it.
//!
//! One line per node: its name, operator, operands (unless it reads the line above), shape and parameters.
//! The blocks of a stage are listed under a heading. With `fold`, identical blocks are printed once.

use std::collections::HashMap;
use std::fmt::Write;

use super::describe::{around, describe};
use super::summary::{Totals, learned, thousands};
use super::{FrameId, Graph, NodeId, ShapedNetwork};

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
    /// Empty if the whole network is f32.
    precision: &'static str,
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
                    let of = |line: &Line| (line.what.clone(), line.shape.clone(), line.params.clone(), line.precision);
                    (a.name == b.name || !opens) && of(a) == of(b)
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
                "{indent}{:name$}  {:what$}  {:shape$}  {:>params$}  {}",
                line.name,
                line.what,
                line.shape,
                line.params,
                line.precision,
                name = name + pad,
            );
            let _ = writeln!(out, "{}", text.trim_end());
        }
        i += alike;
    }
    out.push('\n');
    for (label, value) in graph.outputs() {
        let _ = writeln!(out, "output {label}: {}  {}", graph.node(value.node).name, network.types.get(*value));
    }
    out
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
        let precision = if network.network.precision.is_f32() { "" } else { node.precision.word() };
        let line = Line { name: relative.clone(), what, shape: network.results_text(id), params, precision };
        match groups.last_mut() {
            Some(group) if group.frame == frame => group.lines.push(line),
            _ => groups.push(Group { frame, lines: vec![line] }),
        }
        scopes.insert(id, (frame, relative));
        previous = Some(id);
    }
    groups
}
