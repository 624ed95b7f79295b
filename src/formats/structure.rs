//! Explains differences between a checkpoint and a network in terms of their structure: other shortcuts, other blocks, another depth, another
//! number of classes. Names that are explained here need not be listed.

use std::collections::{BTreeMap, BTreeSet};

use super::expected::Expected;
use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::base::source::Span;
use crate::base::tensor::Tensor;
use crate::ir::{Checked, Op, Shortcut, Stage};

/// Common names of a projection shortcut in a block.
const PROJECTIONS: [&str; 4] = ["downsample", "shortcut", "projection", "skip"];
/// The number of names that a message gives as examples.
const EXAMPLES: usize = 3;

/// Diagnostics, and the names that they explain.
#[derive(Clone, Default)]
pub(super) struct Explained {
    pub diagnostics: Vec<Diagnostic>,
    pub names: BTreeSet<String>,
}

impl Explained {
    /// Adds what others explain.
    pub fn extend(&mut self, other: Explained) {
        self.diagnostics.extend(other.diagnostics);
        self.names.extend(other.names);
    }
}

/// For a name in a stage: the index of the block, and the name in the block.
fn inside<'n>(name: &'n str, stage: &str) -> Option<(usize, &'n str)> {
    let (index, rest) = name.strip_prefix(stage)?.strip_prefix('.')?.split_once('.')?;
    Some((index.parse().ok()?, rest))
}

/// The layer in a name: `conv1` in `conv1.weight`.
fn layer(rest: &str) -> &str {
    rest.split('.').next().unwrap_or(rest)
}

fn examples(names: impl Iterator<Item = String>) -> String {
    let all: BTreeSet<String> = names.collect();
    let shown: Vec<String> = all.iter().take(EXAMPLES).map(|n| format!("`{}`", n.escape_debug())).collect();
    let more = if all.len() > EXAMPLES { format!(" and {} more", all.len() - EXAMPLES) } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

/// Looks for structural differences.
pub(super) fn explain(checked: &Checked, expected: &BTreeMap<&str, Expected<'_>>, given: &BTreeMap<&str, &Tensor>) -> Explained {
    let mut out = Explained::default();
    if names_differ(checked, expected, given, &mut out) {
        return out;
    }
    for stage in &checked.network.stages {
        depth(stage, expected, given, &mut out);
    }
    for stage in &checked.network.stages {
        blocks(stage, expected, given, &mut out);
    }
    shortcuts(checked, expected, given, &mut out);
    classes(checked, expected, given, &mut out);
    out
}

/// No names in common: the checkpoint uses other names, or belongs to another network.
fn names_differ(
    checked: &Checked,
    expected: &BTreeMap<&str, Expected<'_>>,
    given: &BTreeMap<&str, &Tensor>,
    out: &mut Explained,
) -> bool {
    if given.is_empty() || expected.is_empty() || given.keys().any(|name| expected.contains_key(name)) {
        return false;
    }
    let theirs = examples(given.keys().map(ToString::to_string));
    let ours = examples(expected.keys().map(ToString::to_string));
    out.diagnostics.push(
        Diagnostic::error(
            codes::WEIGHTS_NAMES,
            "no tensor of the checkpoint has the name of one in the network",
            checked.network.span,
            "in this network",
        )
        .note(format!("the checkpoint has {theirs}"))
        .note(format!("the network needs {ours}"))
        .help("to give layers the checkpoint's names, use `as NAME`, `scope NAME` and `sequential NAME`"),
    );
    out.names.extend(given.keys().chain(expected.keys()).map(ToString::to_string));
    true
}

/// A stage with more or fewer blocks.
fn depth(stage: &Stage, expected: &BTreeMap<&str, Expected<'_>>, given: &BTreeMap<&str, &Tensor>, out: &mut Explained) {
    let count = |names: &mut dyn Iterator<Item = &&str>| names.filter_map(|n| inside(n, &stage.name)).map(|(i, _)| i + 1).max();
    let (Some(here), Some(there)) = (count(&mut expected.keys()), count(&mut given.keys())) else { return };
    if here == there {
        return;
    }
    out.diagnostics.push(Diagnostic::error(
        codes::WEIGHTS_DEPTH,
        format!("the checkpoint has {there} blocks in `{}`, but the network has {here}", stage.name),
        stage.span,
        format!("{here} blocks here"),
    ));
    let common = here.min(there);
    let beyond = |name: &&&str| inside(name, &stage.name).is_some_and(|(i, _)| i >= common);
    out.names.extend(expected.keys().chain(given.keys()).filter(beyond).map(ToString::to_string));
}

/// A stage whose blocks have different layers.
fn blocks(stage: &Stage, expected: &BTreeMap<&str, Expected<'_>>, given: &BTreeMap<&str, &Tensor>, out: &mut Explained) {
    let layers = |names: &mut dyn Iterator<Item = &&str>| -> BTreeSet<String> {
        names
            .filter_map(|n| inside(n, &stage.name))
            .filter(|(i, rest)| *i == 0 && !PROJECTIONS.contains(&layer(rest)))
            .map(|(_, rest)| layer(rest).to_string())
            .collect()
    };
    let (here, there) = (layers(&mut expected.keys()), layers(&mut given.keys()));
    if here == there || here.is_empty() || there.is_empty() {
        return;
    }
    // reported once: the stages of a network usually have the same kind of block
    let is_reported = out.diagnostics.iter().any(|d| d.code == codes::WEIGHTS_BLOCK);
    if !is_reported {
        let convolutions = |layers: &BTreeSet<String>| layers.iter().filter(|l| l.starts_with("conv")).count();
        let mut diag = Diagnostic::error(
            codes::WEIGHTS_BLOCK,
            format!("the checkpoint has different blocks in `{}`", stage.name),
            stage.span,
            format!("blocks of {}", examples(here.iter().cloned())),
        );
        for (which, only) in [
            ("the checkpoint's blocks also have", there.difference(&here)),
            ("the network's blocks also have", here.difference(&there)),
        ] {
            let list = examples(only.cloned());
            if !list.is_empty() {
                diag = diag.note(format!("{which} {list}"));
            }
        }
        diag = match (convolutions(&here), convolutions(&there)) {
            (2, 3) => diag.help("blocks with three convolutions are `bottleneck`"),
            (3, 2) => diag.help("blocks with two convolutions are `basic`"),
            _ => diag,
        };
        out.diagnostics.push(diag);
    }
    // all names in such a stage are explained by the different block
    let all = expected.keys().chain(given.keys()).filter(|n| inside(n, &stage.name).is_some());
    out.names.extend(all.map(ToString::to_string));
}

/// Projections that only one of the two has.
fn shortcuts(checked: &Checked, expected: &BTreeMap<&str, Expected<'_>>, given: &BTreeMap<&str, &Tensor>, out: &mut Explained) {
    let scopes = |names: &mut dyn Iterator<Item = &&str>, other: &dyn Fn(&str) -> bool, explained: &BTreeSet<String>| {
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for name in names.filter(|n| !other(n) && !explained.contains(**n)) {
            let mut at = 0;
            for part in name.split('.') {
                at += part.len() + 1;
                if PROJECTIONS.contains(&part) {
                    found.entry(name[..at - 1].to_string()).or_default().push((*name).to_string());
                    break;
                }
            }
        }
        found
    };
    let theirs = scopes(&mut given.keys(), &|n| expected.contains_key(n), &out.names);
    let ours = scopes(&mut expected.keys(), &|n| given.contains_key(n), &out.names);
    let policy = checked.network.shortcuts.iter().find(|s| s.policy_span.is_some()).or(checked.network.shortcuts.first());
    let word = match policy.map(|s| s.policy) {
        Some(Shortcut::Identity) => "identity",
        Some(Shortcut::Pad { .. }) => "pad",
        Some(Shortcut::Projection | Shortcut::ProjectionAlways) => "projection",
        Some(Shortcut::None) | None => "none",
    };
    let span: Span = policy.and_then(|s| s.policy_span).unwrap_or(checked.network.span);
    if !theirs.is_empty() {
        let list = examples(theirs.keys().cloned());
        out.diagnostics.push(
            Diagnostic::error(
                codes::WEIGHTS_SHORTCUT,
                format!("the checkpoint has projections, but the network has `shortcut: {word}`"),
                span,
                format!("`{word}` here"),
            )
            .note(format!("the checkpoint has {list}"))
            .help("`shortcut: projection` is option B of the paper; `projection(when: always)` is option C"),
        );
        out.names.extend(theirs.into_values().flatten());
    }
    if !ours.is_empty() {
        let list = examples(ours.keys().cloned());
        out.diagnostics.push(
            Diagnostic::error(
                codes::WEIGHTS_SHORTCUT,
                format!("the checkpoint has no projections, but the network has `shortcut: {word}`"),
                span,
                format!("`{word}` here"),
            )
            .note(format!("the network needs {list}"))
            .help("`shortcut: pad` is option A of the paper, without parameters; `none` is a plain network"),
        );
        out.names.extend(ours.into_values().flatten());
    }
}

/// A head with a different number of classes.
fn classes(checked: &Checked, expected: &BTreeMap<&str, Expected<'_>>, given: &BTreeMap<&str, &Tensor>, out: &mut Explained) {
    let graph = checked.graph();
    let Some((_, head)) = graph.outputs().first() else { return };
    // the head is the output layer, or the layer before a softmax
    let mut id = head.node;
    while !matches!(graph.node(id).op, Op::Linear(_)) {
        match graph.operands(id)[..] {
            [only] => id = only.node,
            _ => return,
        }
    }
    let node = graph.node(id);
    let name = format!("{}.weight", node.name);
    let (Some(w), Some(t)) = (expected.get(name.as_str()), given.get(name.as_str())) else { return };
    let ([here, inputs], [there, their_inputs]) = (w.shape, t.shape()) else { return };
    if here == there || inputs != their_inputs {
        return;
    }
    out.diagnostics.push(
        Diagnostic::error(
            codes::WEIGHTS_CLASSES,
            format!("the checkpoint has {there} classes, but the network has {here}"),
            node.origin.span,
            format!("{here} classes"),
        )
        .help(format!("give the network {there} classes (`--set classes={there}`, if it has this parameter), or train its last layer from scratch (in the recipe: from: \"…\" except [head])")),
    );
    out.names.extend([name, format!("{}.bias", node.name)]);
}
