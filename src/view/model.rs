//! The data shown by the page.

use std::collections::HashMap;

use serde::Serialize;

use super::groups::{self, GroupKind};
use crate::base::source::{SourceMap, Span};
use crate::ir::describe::describe;
use crate::ir::summary::{Totals, learned, node_macs};
use crate::ir::{Checked, NodeId};

/// The contents of a page: a network, or compile errors.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Content {
    /// A network.
    Network(Box<ViewModel>),
    /// A source that does not compile.
    Broken(Broken),
}

/// A source that does not compile.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Broken {
    /// The name of the file as given.
    pub name: String,
    /// The rendered diagnostics.
    pub error: String,
    /// The loaded files.
    pub sources: Vec<SourceText>,
}

/// A source file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SourceText {
    /// The name used in diagnostics.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// A range of lines in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Place {
    /// Index into [`ViewModel::sources`].
    pub file: usize,
    /// The first line, 1-based.
    pub line: usize,
    /// The last line, 1-based.
    pub end: usize,
}

/// A group of nodes. Groups are in the order of their first nodes, each after its parent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    /// Index of the parent group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<usize>,
    /// The kind of group.
    pub kind: GroupKind,
    /// The last component of its name: `layer2`, `0`; may be empty.
    pub name: String,
    /// The block that was expanded, such as `bottleneck`; may be empty.
    pub unit: String,
    /// Number of instances of a stage; 0 for other groups.
    pub count: usize,
    /// The statements that created it, outermost first: indices into [`ViewModel::places`].
    pub places: Vec<usize>,
}

/// An operator.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ViewNode {
    /// Its unique name: `layer2.0.conv1`.
    pub name: String,
    /// The operator's keyword, such as `conv`.
    pub op: String,
    /// The operator with its attributes, `conv 3x3, 64`: index into [`ViewModel::texts`].
    pub text: usize,
    /// The output shape without the batch, `64 x 56 x 56`: index into [`ViewModel::texts`].
    pub shape: usize,
    /// Number of learned parameters.
    #[serde(skip_serializing_if = "is_zero")]
    pub params: u64,
    /// Multiply-adds for one image; `None` if the size is free.
    pub macs: Option<u64>,
    /// The nodes that it reads, by operand: indices into [`ViewModel::nodes`], all smaller than its own.
    pub reads: Vec<usize>,
    /// The innermost group that contains it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<usize>,
    /// Its statement: index into [`ViewModel::places`]; `None` if the graph has no source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<usize>,
    /// The step that computes it, if a run was profiled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<usize>,
}

/// A step of a profiled run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// The name in the plan: that of a node, or of two nodes that are computed together.
    pub name: String,
    /// A description of the kernel.
    pub kernel: String,
    /// Median time, in microseconds.
    pub us: f64,
    /// The node to which the time is attributed: index into [`ViewModel::nodes`]; `None` for steps without a node, such as layout
    /// conversions.
    pub node: Option<usize>,
}

/// A profiled run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Profile {
    /// A description of how it was measured.
    pub made: String,
    /// Median time of whole runs, in milliseconds.
    pub median_ms: f64,
    /// Its steps, in order.
    pub steps: Vec<Step>,
}

/// A network as shown by the page. Deterministic except for its profile.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ViewModel {
    /// The network's name.
    pub name: String,
    /// The name of the viewed file, as given.
    pub file: String,
    /// Layers, parameters, multiply-adds.
    pub totals: Totals,
    /// Texts shared by many nodes.
    pub texts: Vec<String>,
    /// Line ranges shared by many nodes.
    pub places: Vec<Place>,
    /// The groups.
    pub groups: Vec<Group>,
    /// The nodes, operands before users.
    pub nodes: Vec<ViewNode>,
    /// The outputs: name, and index into `nodes`.
    pub outputs: Vec<(String, usize)>,
    /// The files, in loading order.
    pub sources: Vec<SourceText>,
    /// The profile, if a run was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// Unique values by index.
struct Table<T> {
    list: Vec<T>,
    index: HashMap<T, usize>,
}

impl<T: Clone + Eq + std::hash::Hash> Table<T> {
    fn new() -> Table<T> {
        Table { list: Vec::new(), index: HashMap::new() }
    }

    fn of(&mut self, value: T) -> usize {
        *self.index.entry(value).or_insert_with_key(|value| {
            self.list.push(value.clone());
            self.list.len() - 1
        })
    }
}

/// The texts of the files, for [`ViewModel::sources`].
pub(super) fn texts(sources: &SourceMap) -> Vec<SourceText> {
    sources.files().map(|(_, file)| SourceText { name: file.name.clone(), text: file.text.to_string() }).collect()
}

impl Broken {
    /// The errors in a file, with the sources that were loaded.
    pub fn new(name: &str, error: String, sources: &SourceMap) -> Broken {
        Broken { name: name.to_owned(), error, sources: texts(sources) }
    }
}

impl ViewModel {
    /// Creates the view of a checked network, shown as `file`. `sources` must be the network's own, since spans are looked up in
    /// it; pass `None` for artifacts and other formats, which have no spans.
    pub fn new(checked: &Checked, file: &str, sources: Option<&SourceMap>) -> ViewModel {
        let graph = checked.graph();
        let order = graph.order();
        let mut index = vec![0; graph.bound()];
        for (i, id) in order.iter().enumerate() {
            index[id.index()] = i;
        }
        let (mut shared, mut lines) = (Table::new(), Table::new());
        // finding a line takes time proportional to the file's size, and thousands of nodes come from the same statement
        let mut known: HashMap<Span, Option<usize>> = HashMap::new();
        let mut place = |span: Span| -> Option<usize> {
            let mut find = || {
                let sources = sources?;
                let file = sources.files().position(|(id, _)| id == span.file)?;
                let line = |byte| sources.line_column(span.file, byte).0;
                Some(lines.of(Place { file, line: line(span.start), end: line(span.end.saturating_sub(1).max(span.start)) }))
            };
            *known.entry(span).or_insert_with(&mut find)
        };
        let (runs, of_node) = groups::runs(graph, &order);
        let groups = runs
            .into_iter()
            .map(|run| Group {
                parent: run.parent,
                kind: run.kind,
                name: run.name,
                unit: run.unit,
                count: run.count,
                places: run.spans.into_iter().filter_map(&mut place).collect(),
            })
            .collect();
        let mut node = |id: NodeId, group: Option<usize>| {
            let node = graph.node(id);
            ViewNode {
                name: node.name.clone(),
                op: node.op.word().to_owned(),
                text: shared.of(describe(&node.op)),
                shape: shared.of(checked.results_text(id)),
                params: learned(checked, id),
                macs: node_macs(checked, id),
                reads: graph.operands(id).iter().map(|value| index[value.node.index()]).collect(),
                group,
                place: place(node.origin.span),
                step: None,
            }
        };
        let nodes = order.iter().zip(of_node).map(|(&id, group)| node(id, group)).collect();
        ViewModel {
            name: checked.network.name.clone(),
            file: file.to_owned(),
            totals: Totals::of(checked),
            texts: shared.list,
            places: lines.list,
            groups,
            nodes,
            outputs: graph.outputs().iter().map(|(name, value)| (name.clone(), index[value.node.index()])).collect(),
            sources: sources.map_or_else(Vec::new, texts),
            profile: None,
        }
    }

    /// Adds the times of a run, given as steps (name, kernel, microseconds) of a plan of this network. A node that is computed in
    /// another node's step, such as a folded batch norm, is assigned to that step.
    pub fn with_profile(
        mut self,
        made: String,
        median_ms: f64,
        steps: impl IntoIterator<Item = (String, String, f64)>,
    ) -> ViewModel {
        let by_name: HashMap<&str, usize> = self.nodes.iter().enumerate().map(|(i, node)| (node.name.as_str(), i)).collect();
        let mut list = Vec::new();
        let mut of_node: Vec<Option<usize>> = vec![None; self.nodes.len()];
        for (name, kernel, us) in steps {
            // a step for two convolutions has the names of both
            let parts: Vec<usize> = match by_name.get(name.as_str()) {
                Some(&node) => vec![node],
                None => name.split(" + ").filter_map(|part| by_name.get(part).copied()).collect(),
            };
            for &node in &parts {
                of_node[node] = Some(list.len());
            }
            list.push(Step { node: parts.first().copied(), name, kernel, us });
        }
        for (i, own) in of_node.into_iter().enumerate() {
            let node = &self.nodes[i];
            let step = own.or_else(|| match node.op.as_str() {
                // an addition belongs to the operand that is a layer, which has absorbed it
                "add" => node.reads.iter().find(|&&r| self.nodes[r].op != "input").and_then(|&r| self.nodes[r].step),
                _ => node.reads.first().and_then(|&r| self.nodes[r].step),
            });
            self.nodes[i].step = step;
        }
        self.profile = Some(Profile { made, median_ms, steps: list });
        self
    }
}
