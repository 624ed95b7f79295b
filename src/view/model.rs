//! What the page shows, as plain data.

use std::collections::HashMap;

use serde::Serialize;

use super::groups;
use crate::base::source::{SourceMap, Span};
use crate::ir::dump::describe;
use crate::ir::summary::{Totals, learned, node_macs};
use crate::ir::{Checked, NodeId};

/// What a page is made of: a network, or what is wrong with it.
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
    /// What it is called: the file as it was named.
    pub name: String,
    /// The diagnostics, rendered.
    pub error: String,
    /// The files that were read.
    pub sources: Vec<SourceText>,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SourceText {
    /// As diagnostics call it.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// Lines of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Place {
    /// Index into [`ViewModel::sources`].
    pub file: usize,
    /// The first line, from 1.
    pub line: usize,
    /// The last line, from 1.
    pub end: usize,
}

/// What a group is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupKind {
    /// A `stage` or a `repeat`.
    Stage,
    /// One of its instances.
    Block,
    /// A block that is used by itself, or a shortcut's projection.
    Call,
    /// Names that begin alike.
    Scope,
    /// The layers before the first stage, or behind the last.
    Part,
}

/// Nodes that stand together; in the order of their first nodes, each behind the group around it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    /// Index of the group around it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<usize>,
    /// What it is.
    pub kind: GroupKind,
    /// Its own part of the name: `layer2`, `0`; may be empty.
    pub name: String,
    /// What was expanded: `bottleneck`; may be empty.
    pub unit: String,
    /// How many instances a stage has; else 0.
    pub count: usize,
    /// The statements that made it, the outer one first: indices into [`ViewModel::places`].
    pub places: Vec<usize>,
}

/// An operator.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ViewNode {
    /// Its unique name: `layer2.0.conv1`.
    pub name: String,
    /// The operator's word: `conv`.
    pub op: &'static str,
    /// The operator with its attributes, `conv 3x3, 64`: index into [`ViewModel::texts`].
    pub text: usize,
    /// The result's shape without the batch, `64 x 56 x 56`: index into [`ViewModel::texts`].
    pub shape: usize,
    /// Learned parameters.
    #[serde(skip_serializing_if = "is_zero")]
    pub params: u64,
    /// Multiply-adds for one image; `None` where the size is free.
    pub macs: Option<u64>,
    /// The nodes that it reads, by operand: indices into [`ViewModel::nodes`], each smaller than its own.
    pub reads: Vec<usize>,
    /// The innermost group that it stands in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<usize>,
    /// Its statement: index into [`ViewModel::places`]; `None` where the graph has no source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<usize>,
    /// The step that computes it, where a run was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<usize>,
}

/// A step of a measured run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// As the plan calls it: the name of a node, or of two that are computed at once.
    pub name: String,
    /// The kernel, in words.
    pub kernel: String,
    /// Median time, in microseconds.
    pub us: f64,
    /// The node whose time it is: index into [`ViewModel::nodes`]; `None` for what belongs to none, as changes of layout do.
    pub node: Option<usize>,
}

/// A measured run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Profile {
    /// How it was measured, in words.
    pub made: String,
    /// The median of whole runs, in milliseconds.
    pub median_ms: f64,
    /// Its steps, in order.
    pub steps: Vec<Step>,
}

/// A network, as the page shows it. Deterministic but for its profile.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ViewModel {
    /// The network's name.
    pub name: String,
    /// The file that was viewed, as it was named.
    pub file: String,
    /// Layers, parameters, multiply-adds.
    pub totals: Totals,
    /// Texts that many nodes share.
    pub texts: Vec<String>,
    /// Lines that many nodes share.
    pub places: Vec<Place>,
    /// The groups.
    pub groups: Vec<Group>,
    /// The nodes, operands before users.
    pub nodes: Vec<ViewNode>,
    /// The outputs: name, and index into `nodes`.
    pub outputs: Vec<(String, usize)>,
    /// The files, in the order in which they were read.
    pub sources: Vec<SourceText>,
    /// Where time goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// Values by their index, each once.
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

/// The files' texts, for [`ViewModel::sources`].
pub(super) fn texts(sources: &SourceMap) -> Vec<SourceText> {
    sources.files().map(|(_, file)| SourceText { name: file.name.clone(), text: file.text.to_string() }).collect()
}

impl Broken {
    /// What is wrong with a file, and the sources that were read of it.
    pub fn new(name: &str, error: String, sources: &SourceMap) -> Broken {
        Broken { name: name.to_owned(), error, sources: texts(sources) }
    }
}

impl ViewModel {
    /// Of a checked network, called `file`. Spans are looked up in `sources`, the network's own; those of an artifact or of another
    /// format have none, and are to be left out (`None`).
    pub fn new(checked: &Checked, file: &str, sources: Option<&SourceMap>) -> ViewModel {
        let graph = checked.graph();
        let order = graph.order();
        let mut index = vec![0; graph.bound()];
        for (i, id) in order.iter().enumerate() {
            index[id.index()] = i;
        }
        let (mut shared, mut lines) = (Table::new(), Table::new());
        // looking a line up takes as long as the file is, and thousands of nodes come from one statement
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
                op: node.op.word(),
                text: shared.of(describe(&node.op)),
                shape: shared.of(checked.shape(id).to_string()),
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

    /// With the times of a run, whose steps (name, kernel, microseconds) are those of a plan of this network. A node that another
    /// one's step computes, as a norm that was folded, is said to be of that step.
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
            // two convolutions that are computed at once are named by both
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
            let step = own.or_else(|| match node.op {
                // of a sum's operands the layer's, which took the sum in
                "add" => node.reads.iter().find(|&&r| self.nodes[r].op != "input").and_then(|&r| self.nodes[r].step),
                _ => node.reads.first().and_then(|&r| self.nodes[r].step),
            });
            self.nodes[i].step = step;
        }
        self.profile = Some(Profile { made, median_ms, steps: list });
        self
    }
}
