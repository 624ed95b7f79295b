//! What does not agree between a checkpoint and a network, said in terms of the network's structure: a report of a few lines, not
//! of forty names.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use super::structure::{self, Explained};
use super::tensors::Unread;
use crate::base::codes;
use crate::base::diagnostic::{Code, Diagnostic};
use crate::base::source::Span;
use crate::base::tensor::Tensor;
use crate::ir::{Checked, NodeId, ParamSource, Shape};

/// A checkpoint does not fit a network: one diagnostic for each kind of disagreement, with its place in the source.
#[derive(Clone, Debug)]
pub struct MismatchReport {
    /// At least one.
    pub diagnostics: Vec<Diagnostic>,
}

impl fmt::Display for MismatchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, diagnostic) in self.diagnostics.iter().enumerate() {
            write!(f, "{}{}: {}", if i > 0 { "\n" } else { "" }, diagnostic.code.0, diagnostic.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for MismatchReport {}

/// A parameter that the network needs.
pub(super) struct Wanted<'a> {
    pub shape: &'a [usize],
    pub node: NodeId,
}

/// All parameters of a network, by full name.
pub(super) fn wanted(checked: &Checked) -> BTreeMap<&str, Wanted<'_>> {
    let mut list = BTreeMap::new();
    for id in checked.graph().ids() {
        for param in &checked.graph().node(id).params {
            if let ParamSource::Named(name) = &param.source {
                list.insert(name.as_str(), Wanted { shape: &param.shape, node: id });
            }
        }
    }
    list
}

/// How many names a diagnostic gives as examples.
const EXAMPLES: usize = 3;

/// Everything that disagrees; no diagnostic where the tensors fit.
pub(super) fn report(
    checked: &Checked,
    wanted: &BTreeMap<&str, Wanted<'_>>,
    given: &BTreeMap<&str, &Tensor>,
    unread: &BTreeMap<&str, &Unread>,
    path: &Path,
) -> MismatchReport {
    let file = path.display();
    let place = checked.network.weights.as_ref().map_or(checked.network.span, |(_, span)| *span);
    let span = |name: &str| wanted.get(name).map_or(place, |w| checked.graph().node(w.node).origin.span);
    let Explained { mut diagnostics, names: explained } = structure::explain(checked, wanted, given);
    let rest = |name: &&str| !explained.contains(*name);
    let mut group = |code: Code, names: Vec<&str>, place: &dyn Fn(&str) -> Span, what: &str, label: &str| {
        let Some(first) = names.first() else { return };
        let more = if names.len() > EXAMPLES { format!(" and {} more", names.len() - EXAMPLES) } else { String::new() };
        let shown = |name: &&str| match (wanted.get(name), given.get(name)) {
            (Some(wanted), Some(given)) if code == codes::WEIGHTS_SHAPE => {
                let [holds, needs] = [given.shape(), wanted.shape].map(Shape::fixed);
                format!("`{}` is {holds} there and {needs} here", name.escape_debug())
            }
            _ => format!("`{}`", name.escape_debug()),
        };
        let shown = names.iter().take(EXAMPLES).map(shown).collect::<Vec<_>>().join(", ");
        diagnostics.push(Diagnostic::error(code, format!("`{file}` {what}: {shown}{more}"), place(first), label));
    };
    let lacks = |name: &&str| !given.contains_key(name) && !unread.contains_key(name);
    let missing = wanted.keys().copied().filter(lacks).filter(rest).collect();
    let others = unread.iter().filter(|(_, holds)| holds.is_tensor).map(|(name, _)| name);
    let unused = given.keys().chain(others).copied().filter(|name| !wanted.contains_key(name)).filter(rest).collect();
    let both = || wanted.iter().filter_map(|(name, w)| Some((*name, w, *given.get(name)?)));
    let reshaped = both().filter(|(_, w, t)| w.shape != t.shape()).map(|(name, ..)| name).filter(rest).collect();
    let integers = both().filter(|(_, _, t)| !t.dtype().is_float()).map(|(name, ..)| name).collect();
    group(codes::WEIGHTS_MISSING, missing, &span, "lacks tensors that the network needs", "needed here");
    group(codes::WEIGHTS_UNUSED, unused, &|_| place, "has tensors that the network does not", "in this network");
    group(codes::WEIGHTS_SHAPE, reshaped, &span, "has tensors of other sizes", "of another size here");
    group(codes::WEIGHTS_TYPE, integers, &span, "has integers for weights", "needed here");
    // by what they hold: one line for a file of which all is of a type that is not read
    let mut kinds: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, holds) in unread.iter().filter(|(name, _)| wanted.contains_key(**name)) {
        kinds.entry(&holds.holds).or_default().push(name);
    }
    for (holds, names) in kinds {
        group(codes::WEIGHTS_TYPE, names, &span, &format!("has {holds} for weights"), "needed here");
    }
    MismatchReport { diagnostics }
}
