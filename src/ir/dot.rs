//! Graphviz: `resnetc compile --emit dot FILE | dot -Tsvg > net.svg`.

use std::fmt::Write;

use super::describe::describe;
use super::{Graph, NodeId, ShapedNetwork};

/// Renders a network as a DOT digraph; each stage instance is a cluster, and shortcuts are drawn bold.
pub fn dot(network: &ShapedNetwork) -> String {
    let graph = network.graph();
    let mut out = String::new();
    let _ = writeln!(out, "digraph {} {{", quote(network.name()));
    out.push_str("  rankdir = TB\n  node [shape = box, fontname = \"Helvetica\", fontsize = 10]\n  edge [fontname = \"Helvetica\", fontsize = 9]\n");
    let mut cluster = None;
    for id in graph.order() {
        let frame = graph.frames(graph.node(id).origin.frame).filter(|(_, f)| f.instance.is_some()).last();
        let key = frame.map(|(id, _)| id);
        if key != cluster {
            if cluster.is_some() {
                out.push_str("  }\n");
            }
            if let Some((_, frame)) = frame {
                let _ = writeln!(out, "  subgraph {} {{", quote(&format!("cluster_{}", frame.scope)));
                let _ = writeln!(out, "    label = {}; color = gray", quote(&format!("{} ({})", frame.scope, frame.unit)));
            }
            cluster = key;
        }
        let node = graph.node(id);
        let label = format!("{}\n{}\n{}", node.name, describe(&node.op), network.results_text(id));
        let color = match &node.op {
            op if op.is_weighted() => ", style = filled, fillcolor = \"#dbe9f6\"",
            op if op.is_join() => ", shape = ellipse",
            _ => "",
        };
        let indent = if cluster.is_some() { "    " } else { "  " };
        let _ = writeln!(out, "{indent}{} [label = {}{color}]", key_of(graph, id), quote(&label));
    }
    if cluster.is_some() {
        out.push_str("  }\n");
    }
    for id in graph.order() {
        for (slot, value) in graph.operands(id).iter().enumerate() {
            let style = if slot == 1 && graph.node(id).op.is_add() { " [style = bold]" } else { "" };
            let _ = writeln!(out, "  {} -> {}{style}", key_of(graph, value.node), key_of(graph, id));
        }
    }
    out.push_str("}\n");
    out
}

fn key_of(graph: &Graph, id: NodeId) -> String {
    quote(&graph.node(id).name)
}

fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
