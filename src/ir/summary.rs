//! The summary of a network: one row per layer, and totals.

use serde::Serialize;

use super::{NodeId, Precision, ShapedNetwork};

/// A layer in a summary.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The node's name.
    pub name: String,
    /// The operator with its attributes: `conv 3x3, 64`.
    pub operator: String,
    /// The output shape without the batch: `64 x 56 x 56`.
    pub output: String,
    /// Learned parameters.
    pub params: u64,
    /// Multiply-adds for one image; `None` if the size is free.
    pub macs: Option<u64>,
    /// What it reads and stores.
    pub precision: Precision,
}

/// Totals of a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Convolutions and linear layers on the longest path.
    pub layers: u64,
    /// Learned parameters.
    pub params: u64,
    /// Multiply-adds for one image, of convolutions and linear layers; `None` if the size is free.
    pub macs: Option<u64>,
}

/// Learned parameters of a node.
pub fn learned(network: &ShapedNetwork, id: NodeId) -> u64 {
    let params = &network.graph().node(id).params;
    params.iter().filter(|p| p.role.is_learned()).map(|p| p.shape.iter().map(|&n| n as u64).product::<u64>()).sum()
}

/// Multiply-adds of a node for one image; `None` if the size is free.
pub fn node_macs(network: &ShapedNetwork, id: NodeId) -> Option<u64> {
    let graph = network.graph();
    graph.node(id).op.macs(&network.types.operand_shapes(graph, id), network.shape(id))
}

/// The rows, in topological order.
pub fn rows(network: &ShapedNetwork) -> Vec<Row> {
    let graph = network.graph();
    let row = |id: NodeId| {
        let node = graph.node(id);
        Row {
            name: node.name.clone(),
            operator: super::describe::describe(&node.op),
            output: network.results_text(id),
            params: learned(network, id),
            macs: node_macs(network, id),
            precision: node.precision,
        }
    };
    graph.order().into_iter().map(row).collect()
}

/// The number of convolutions and linear layers of each precision: `20 bf16, 1 f32`.
pub fn precisions(network: &ShapedNetwork) -> String {
    let graph = network.graph();
    let of = |precision| graph.ids().map(|id| graph.node(id)).filter(|n| n.op.is_weighted() && n.precision == precision).count();
    let counts = Precision::ALL.into_iter().rev().map(|precision| (of(precision), precision)).filter(|(count, _)| *count > 0);
    counts.map(|(count, precision)| format!("{count} {}", precision.word())).collect::<Vec<_>>().join(", ")
}

/// A stage in a summary, as in the paper's Table 1: the instances of one `stage` or `repeat`, or a run of layers outside them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StageRow {
    /// `layer1`; empty for layers outside stages.
    pub name: String,
    /// The number of instances; 0 for layers outside stages.
    pub blocks: usize,
    /// The unit: `bottleneck`; empty for layers outside stages.
    pub unit: String,
    /// Its output shape.
    pub output: String,
    /// Learned parameters.
    pub params: u64,
    /// Multiply-adds for one image; `None` if the size is free.
    pub macs: Option<u64>,
}

/// The stages, in the order of their first layers.
pub fn stages(network: &ShapedNetwork) -> Vec<StageRow> {
    let graph = network.graph();
    let mut list: Vec<StageRow> = Vec::new();
    let mut before = None;
    for id in graph.order() {
        let instance = graph.frames(graph.node(id).origin.frame).filter(|(_, f)| f.instance.is_some()).last();
        let stage = instance.map(|(_, f)| (f.parent, f.span));
        if list.is_empty() || before != Some(stage) {
            let (name, unit, blocks) = match instance {
                Some((id, f)) => (super::describe::around(graph, id).0, f.unit.as_str(), f.instance.map_or(1, |(_, of)| of)),
                None => ("", "", 0),
            };
            let (name, unit, output) = (name.to_string(), unit.to_string(), String::new());
            list.push(StageRow { name, blocks, unit, output, params: 0, macs: Some(0) });
            before = Some(stage);
        }
        if let Some(row) = list.last_mut() {
            row.output = network.results_text(id);
            row.params = row.params.saturating_add(learned(network, id));
            row.macs = row.macs.zip(node_macs(network, id)).map(|(a, b)| a.saturating_add(b));
        }
    }
    list
}

/// Convolutions and linear layers on the longest path: the number in a network's name.
pub fn layers(network: &ShapedNetwork) -> u64 {
    let graph = network.graph();
    let mut depth = vec![0u64; graph.bound()];
    let mut longest = 0;
    for id in graph.order() {
        let before = graph.operands(id).iter().map(|v| depth[v.node.index()]).max().unwrap_or(0);
        depth[id.index()] = before + u64::from(graph.node(id).op.is_weighted());
        longest = longest.max(depth[id.index()]);
    }
    longest
}

impl Totals {
    /// The totals of a network.
    pub fn of(network: &ShapedNetwork) -> Totals {
        let mut totals = Totals { layers: layers(network), params: 0, macs: Some(0) };
        for id in network.graph().ids() {
            totals.params = totals.params.saturating_add(learned(network, id));
            totals.macs = totals.macs.zip(node_macs(network, id)).map(|(a, b)| a.saturating_add(b));
        }
        totals
    }
}

/// `25557032` as `25 557 032`, as the paper's tables group digits.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(c);
    }
    out
}
