//! The tree of groups around a network's nodes: stages, their blocks, calls, named scopes.
//!
//! With a source, groups come from expansion frames, and then from dotted names (`layer1.0.conv1`); without a source, only from
//! names. A group is a run of consecutive nodes in execution order, so that no path leaves a group and enters it again.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use crate::base::source::Span;
use crate::ir::describe::around;
use crate::ir::{Frame, FrameId, Graph, NodeId, Op};

/// The kind of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupKind {
    /// A `stage` or a `repeat`.
    Stage,
    /// One instance of a stage.
    Block,
    /// A block that is used on its own, or the projection of a shortcut.
    Call,
    /// Names with a common prefix.
    Scope,
    /// The layers before the first stage, or after the last.
    Part,
}

/// A group of consecutive nodes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Run {
    /// The parent group, which has a smaller index.
    pub parent: Option<usize>,
    pub kind: GroupKind,
    /// The last component of its name: `layer2`, `0`; may be empty.
    pub name: String,
    /// The block that was expanded, such as `bottleneck`; may be empty.
    pub unit: String,
    /// Number of instances of a stage; 0 for other groups.
    pub count: usize,
    /// The statements that created it, outermost first; empty if the graph has no source.
    pub spans: Vec<Span>,
}

/// Distinguishes a group from its neighbors.
#[derive(Clone, Debug, PartialEq)]
enum Key {
    Part(&'static str),
    Stage(Option<FrameId>, Span),
    Frame(FrameId),
    Scope(String),
}

/// A group that contains a node.
struct Level {
    key: Key,
    run: Run,
}

/// The groups, each after its parent; and for each node in `order` the innermost group that contains it.
pub(super) fn runs(graph: &Graph, order: &[NodeId]) -> (Vec<Run>, Vec<Option<usize>>) {
    let shared = shared(graph, order);
    let mut levels: Vec<Vec<Level>> = order.iter().map(|&id| path(graph, id, &shared)).collect();
    name_parts(graph, order, &mut levels);
    let (mut runs, mut of_node): (Vec<Run>, Vec<Option<usize>>) = (Vec::new(), Vec::with_capacity(order.len()));
    let mut open: Vec<(Key, usize)> = Vec::new();
    for path in levels {
        let common = open.iter().zip(&path).take_while(|((key, _), level)| *key == level.key).count();
        open.truncate(common);
        for Level { key, run } in path.into_iter().skip(common) {
            runs.push(Run { parent: open.last().map(|&(_, index)| index), ..run });
            open.push((key, runs.len() - 1));
        }
        of_node.push(open.last().map(|&(_, index)| index));
    }
    name_stages(&mut runs, &of_node);
    join_single(&mut runs, &mut of_node);
    (runs, of_node)
}

/// The scopes that contain several calls or layers. A branch with two calls has a scope of its own, whereas a labeled call has a
/// scope that contains nothing else.
fn shared(graph: &Graph, order: &[NodeId]) -> HashSet<String> {
    let mut owners: HashMap<String, Option<FrameId>> = HashMap::new();
    let mut found = HashSet::new();
    let mut own = |scope: &str, owner: Option<FrameId>| {
        if *owners.entry(scope.to_owned()).or_insert(owner) != owner {
            found.insert(scope.to_owned());
        }
    };
    let mut seen = HashSet::new();
    for &id in order {
        let node = graph.node(id);
        let scope = node.name.rsplit_once('.').map_or("", |(scope, _)| scope);
        if !seen.insert((node.origin.frame, scope)) {
            continue;
        }
        let frames: Vec<FrameId> = graph.frames(node.origin.frame).map(|(id, _)| id).collect();
        let mut prefix = "";
        for &id in frames.iter().rev() {
            let frame = graph.frame(id);
            if frame.scope != prefix && frame.scope.starts_with(prefix) {
                own(&frame.scope, frame.instance.is_none().then_some(id));
                prefix = &frame.scope;
            }
        }
        if scope != prefix && scope.starts_with(prefix) {
            own(scope, None);
        }
    }
    found
}

/// The groups around a node, outermost first.
fn path(graph: &Graph, id: NodeId, shared: &HashSet<String>) -> Vec<Level> {
    let node = graph.node(id);
    let mut frames: Vec<FrameId> = graph.frames(node.origin.frame).map(|(id, _)| id).collect();
    frames.reverse();
    let group = |kind, name: String, frame: &Frame, count, spans| Run {
        parent: None,
        kind,
        name,
        unit: frame.unit.clone(),
        count,
        spans,
    };
    let mut levels = Vec::new();
    let mut prefix = String::new();
    for id in frames {
        let frame = graph.frame(id);
        if let Some((index, count)) = frame.instance {
            let (scope, opens) = around(graph, id);
            // the last component of the scope is the stage's own label, if it has one
            let label = scopes(&mut levels, &mut prefix, scope, opens);
            let stage = group(GroupKind::Stage, label, frame, count, vec![frame.span]);
            levels.push(Level { key: Key::Stage(frame.parent, frame.span), run: stage });
            let block = group(GroupKind::Block, index.to_string(), frame, 0, Vec::new());
            levels.push(Level { key: Key::Frame(id), run: block });
            prefix.clone_from(&frame.scope);
        } else {
            let label = scopes(&mut levels, &mut prefix, &frame.scope, !shared.contains(&frame.scope));
            levels.push(Level { key: Key::Frame(id), run: group(GroupKind::Call, label, frame, 0, vec![frame.span]) });
        }
    }
    if let Some((scope, _)) = node.name.rsplit_once('.') {
        scopes(&mut levels, &mut prefix, scope, false);
    }
    levels
}

/// Opens the scopes in `to` that are not in `prefix`, and sets `prefix` to `to`. With `keep_last` the last one is not opened but
/// returned.
fn scopes(levels: &mut Vec<Level>, prefix: &mut String, to: &str, keep_last: bool) -> String {
    let inside =
        if prefix.is_empty() { Some(to) } else { to.strip_prefix(prefix.as_str()).and_then(|rest| rest.strip_prefix('.')) };
    let mut parts: Vec<&str> = inside.map_or(Vec::new(), |inside| inside.split('.').filter(|part| !part.is_empty()).collect());
    let last = if keep_last { parts.pop().unwrap_or("") } else { "" };
    for part in parts {
        let run =
            Run { parent: None, kind: GroupKind::Scope, name: part.to_owned(), unit: String::new(), count: 0, spans: Vec::new() };
        levels.push(Level { key: Key::Scope(part.to_owned()), run });
    }
    if inside.is_some() {
        to.clone_into(prefix);
    }
    last.to_owned()
}

/// If there are stages, ungrouped nodes before them become the stem and those after them the head, as in `freeze`.
fn name_parts(graph: &Graph, order: &[NodeId], levels: &mut [Vec<Level>]) {
    if !levels.iter().any(|path| path.first().is_some_and(|level| level.run.kind == GroupKind::Stage)) {
        return;
    }
    let grouped = |path: &Vec<Level>| !path.is_empty();
    let (first, last) = (levels.iter().position(grouped).unwrap_or(0), levels.iter().rposition(grouped).unwrap_or(0));
    for (i, (id, path)) in order.iter().zip(levels).enumerate() {
        let part = if i < first { "stem" } else { "head" };
        if (i < first || i > last) && !matches!(graph.node(*id).op, Op::Input(_)) {
            let (kind, name) = (GroupKind::Part, part.to_owned());
            let run = Run { parent: None, kind, name, unit: String::new(), count: 0, spans: Vec::new() };
            path.push(Level { key: Key::Part(part), run });
        }
    }
}

/// Without a source, scopes numbered from 0 are the blocks of a stage: `layer1.0`, `layer1.1`.
fn name_stages(runs: &mut [Run], of_node: &[Option<usize>]) {
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); runs.len()];
    for (i, run) in runs.iter().enumerate() {
        if let Some(parent) = run.parent {
            children[parent].push(i);
        }
    }
    let mut own = vec![false; runs.len()];
    for &group in of_node.iter().flatten() {
        own[group] = true;
    }
    for (i, children) in children.iter().enumerate() {
        let is_block = |(n, &child): (usize, &usize)| runs[child].kind == GroupKind::Scope && runs[child].name == n.to_string();
        if runs[i].kind == GroupKind::Scope && !own[i] && children.len() > 1 && children.iter().enumerate().all(is_block) {
            (runs[i].kind, runs[i].count) = (GroupKind::Stage, children.len());
            for &child in children {
                runs[child].kind = GroupKind::Block;
            }
        }
    }
}

/// Merges a group that only contains one other group with it; blocks of a stage remain separate.
fn join_single(runs: &mut Vec<Run>, of_node: &mut [Option<usize>]) {
    let mut children = vec![0usize; runs.len()];
    for run in runs.iter() {
        if let Some(parent) = run.parent {
            children[parent] += 1;
        }
    }
    for &group in of_node.iter().flatten() {
        // with nodes of its own, it does not only contain one group
        children[group] += 2;
    }
    let mut into: Vec<usize> = (0..runs.len()).collect();
    for i in 0..runs.len() {
        let Some(parent) = runs[i].parent else { continue };
        let outer = into[parent];
        let joins = children[parent] == 1 && runs[i].kind != GroupKind::Block && runs[outer].kind != GroupKind::Stage;
        runs[i].parent = Some(outer);
        if !joins {
            continue;
        }
        into[i] = outer;
        let inner = runs[i].clone();
        let outer = &mut runs[outer];
        let join =
            |a: &str, b: &str, between: &str| [a, b].iter().filter(|s| !s.is_empty()).copied().collect::<Vec<_>>().join(between);
        outer.name = join(&outer.name, &inner.name, ".");
        outer.unit = join(&outer.unit, &inner.unit, ", ");
        outer.count = outer.count.max(inner.count);
        outer.spans.extend(inner.spans);
        if outer.kind == GroupKind::Scope || inner.kind == GroupKind::Stage {
            outer.kind = inner.kind;
        }
    }
    // compact the indices
    let mut new_index = vec![0; runs.len()];
    let mut merged = Vec::with_capacity(runs.len());
    for (i, run) in runs.drain(..).enumerate() {
        if into[i] == i {
            new_index[i] = merged.len();
            merged.push(Run { parent: run.parent.map(|parent| new_index[parent]), ..run });
        }
    }
    for group in of_node.iter_mut().flatten() {
        *group = new_index[into[*group]];
    }
    *runs = merged;
}
