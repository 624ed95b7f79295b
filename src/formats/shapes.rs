//! Reports tensors of other shapes, by the stages of the network.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::expected::Expected;
use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::base::tensor::Tensor;
use crate::ir::{Checked, Shape};

/// The number of tensors whose shapes are shown.
const SHOWN: usize = 10;

/// A diagnostic if tensors have other shapes, except for those that are explained.
pub(super) fn diagnostic(
    checked: &Checked,
    expected: &BTreeMap<&str, Expected<'_>>,
    given: &BTreeMap<&str, &Tensor>,
    explained: &BTreeSet<String>,
    path: &Path,
) -> Option<Diagnostic> {
    let other = |(name, needs): (&&'_ str, &Expected<'_>)| {
        let tensor = given.get(*name)?;
        (!tensor.has_sizes(needs.shape) && !explained.contains(*name)).then(|| (needs.node, (*name).to_owned()))
    };
    let mut others: Vec<_> = expected.iter().filter_map(other).collect();
    others.sort(); // in the order of the network
    let (node, first) = others.first()?;
    let both = |name: &str| {
        let shapes = [given.get(name).map(|t| t.shape()), expected.get(name).map(|w| w.shape)];
        let [there, here] = shapes.map(|sizes| Shape::fixed(sizes.unwrap_or_default()));
        format!("{there} there and {here} here")
    };
    let message = match others.len() {
        1 => format!("`{}` has a tensor of another shape: `{}` is {}", path.display(), first.escape_debug(), both(first)),
        count => format!("`{}` has {count} tensors of other shapes", path.display()),
    };
    let span = checked.graph().node(*node).origin.span;
    let mut diagnostic = Diagnostic::error(codes::WEIGHTS_SHAPE, message, span, "of another shape here");
    if others.len() == 1 {
        return Some(diagnostic);
    }
    // the vectors of norms and biases follow the weights before them
    let is_vector = |name: &str| expected.get(name).is_some_and(|needs| needs.shape.len() < 2);
    let only_vectors = others.iter().all(|(_, name)| is_vector(name));
    let mut left = SHOWN;
    for (stage, names) in by_stage(checked, &others) {
        let inner = |name: &&str| format!("`{}` is {}", name.escape_debug(), both(name));
        let weights = names.iter().filter(|name| only_vectors || !is_vector(name));
        let mut parts: Vec<String> = weights.take(left).map(inner).collect();
        left -= parts.len();
        match names.len() - parts.len() {
            0 => {}
            more if parts.is_empty() => parts.push(format!("{more} tensors")),
            more => parts.push(format!("and {more} more")),
        }
        let place = if stage.is_empty() { String::new() } else { format!("in `{stage}`, ") };
        diagnostic = diagnostic.note(format!("{place}{}", parts.join("; ")));
    }
    Some(diagnostic)
}

/// The names in each stage, and in what lies between two, in the order of the network.
fn by_stage<'n, N>(checked: &'n Checked, names: &'n [(N, String)]) -> Vec<(&'n str, Vec<&'n str>)> {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for (_, name) in names {
        let stages = checked.network.stages.iter().map(|stage| stage.name.as_str());
        let stage = stages.filter(|stage| name.strip_prefix(stage).is_some_and(|rest| rest.starts_with('.'))).max().unwrap_or("");
        match groups.last_mut() {
            Some((last, list)) if *last == stage => list.push(name),
            _ => groups.push((stage, vec![name])),
        }
    }
    groups
}
