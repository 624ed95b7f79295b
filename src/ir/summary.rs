//! The summary of a network: one row per layer, and totals.

use serde::Serialize;

use super::{Checked, NodeId, Op, macs};

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
pub fn learned(checked: &Checked, id: NodeId) -> u64 {
    let params = &checked.graph().node(id).params;
    params.iter().filter(|p| p.role.is_learned()).map(|p| p.shape.iter().map(|&n| n as u64).product::<u64>()).sum()
}

/// Multiply-adds of a node for one image; `None` if the size is free.
pub fn node_macs(checked: &Checked, id: NodeId) -> Option<u64> {
    let graph = checked.graph();
    let inputs: Vec<_> = graph.operands(id).iter().map(|v| checked.shape(v.node).clone()).collect();
    macs(&graph.node(id).op, &inputs, checked.shape(id))
}

/// The rows, in topological order.
pub fn rows(checked: &Checked) -> Vec<Row> {
    let graph = checked.graph();
    let row = |id: NodeId| {
        let node = graph.node(id);
        Row {
            name: node.name.clone(),
            operator: super::describe::describe(&node.op),
            output: checked.shape(id).to_string(),
            params: learned(checked, id),
            macs: node_macs(checked, id),
        }
    };
    graph.order().into_iter().map(row).collect()
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
pub fn stages(checked: &Checked) -> Vec<StageRow> {
    let graph = checked.graph();
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
            row.output = checked.shape(id).to_string();
            row.params = row.params.saturating_add(learned(checked, id));
            row.macs = row.macs.zip(node_macs(checked, id)).map(|(a, b)| a.saturating_add(b));
        }
    }
    list
}

/// Convolutions and linear layers on the longest path: the number in a network's name.
pub fn layers(checked: &Checked) -> u64 {
    let graph = checked.graph();
    let mut depth = vec![0u64; graph.bound()];
    let mut longest = 0;
    for id in graph.order() {
        let before = graph.operands(id).iter().map(|v| depth[v.node.index()]).max().unwrap_or(0);
        let counts = matches!(graph.node(id).op, Op::Conv(_) | Op::Linear(_));
        depth[id.index()] = before + u64::from(counts);
        longest = longest.max(depth[id.index()]);
    }
    longest
}

impl Totals {
    /// The totals of a network.
    pub fn of(checked: &Checked) -> Totals {
        let mut totals = Totals { layers: layers(checked), params: 0, macs: Some(0) };
        for id in checked.graph().ids() {
            totals.params = totals.params.saturating_add(learned(checked, id));
            totals.macs = totals.macs.zip(node_macs(checked, id)).map(|(a, b)| a.saturating_add(b));
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
