//! Reports the differences between a checkpoint and a network in terms of the network's structure: a few lines instead of dozens of names.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use super::expected::Expected;
use super::structure::{self, Explained};
use super::tensors::Unread;
use crate::base::codes;
use crate::base::diagnostic::{Code, Diagnostic};
use crate::base::source::Span;
use crate::base::tensor::Tensor;
use crate::ir::{Checked, Shape};

/// A checkpoint does not fit a network: one diagnostic for each kind of difference, with its location in the source.
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

/// The number of names that a diagnostic gives as examples.
const EXAMPLES: usize = 3;

/// All differences; no diagnostics if the tensors fit.
pub(super) fn report(
    checked: &Checked,
    expected: &BTreeMap<&str, Expected<'_>>,
    given: &BTreeMap<&str, &Tensor>,
    unread: &BTreeMap<&str, &Unread>,
    path: &Path,
) -> MismatchReport {
    let file = path.display();
    let place = checked.network.weights.as_ref().map_or(checked.network.span, |(_, span)| *span);
    let span = |name: &str| expected.get(name).map_or(place, |w| checked.graph().node(w.node).origin.span);
    let Explained { mut diagnostics, names: explained } = structure::explain(checked, expected, given);
    let rest = |name: &&str| !explained.contains(*name);
    let mut group = |code: Code, names: Vec<&str>, place: &dyn Fn(&str) -> Span, what: &str, label: &str| {
        let Some(first) = names.first() else { return };
        let more = if names.len() > EXAMPLES { format!(" and {} more", names.len() - EXAMPLES) } else { String::new() };
        let shown = |name: &&str| match (expected.get(name), given.get(name)) {
            (Some(expected), Some(given)) if code == codes::WEIGHTS_SHAPE => {
                let [holds, needs] = [given.shape(), expected.shape].map(Shape::fixed);
                format!("`{}` is {holds} there and {needs} here", name.escape_debug())
            }
            _ => format!("`{}`", name.escape_debug()),
        };
        let shown = names.iter().take(EXAMPLES).map(shown).collect::<Vec<_>>().join(", ");
        diagnostics.push(Diagnostic::error(code, format!("`{file}` {what}: {shown}{more}"), place(first), label));
    };
    let lacks = |name: &&str| !given.contains_key(name) && !unread.contains_key(name);
    let missing = expected.keys().copied().filter(lacks).filter(rest).collect();
    let others = unread.iter().filter(|(_, unread)| unread.is_tensor).map(|(name, _)| name);
    let unused = given.keys().chain(others).copied().filter(|name| !expected.contains_key(name)).filter(rest).collect();
    let both = || expected.iter().filter_map(|(name, w)| Some((*name, w, *given.get(name)?)));
    let reshaped = both().filter(|(_, w, t)| !t.has_sizes(w.shape)).map(|(name, ..)| name).filter(rest).collect();
    let integers = both().filter(|(_, _, t)| !t.dtype().is_float()).map(|(name, ..)| name).collect();
    group(codes::WEIGHTS_MISSING, missing, &span, "lacks tensors that the network needs", "needed here");
    group(codes::WEIGHTS_UNUSED, unused, &|_| place, "has tensors that the network does not", "in this network");
    group(codes::WEIGHTS_SHAPE, reshaped, &span, "has tensors of other shapes", "of another shape here");
    group(codes::WEIGHTS_TYPE, integers, &span, "has integers for weights", "needed here");
    // grouped by contents: a single line for a file in which all tensors have an unsupported type
    let mut kinds: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, tensor) in unread.iter().filter(|(name, _)| expected.contains_key(**name)) {
        kinds.entry(&tensor.contents).or_default().push(name);
    }
    for (contents, names) in kinds {
        group(codes::WEIGHTS_TYPE, names, &span, &format!("has {contents} for weights"), "needed here");
    }
    MismatchReport { diagnostics }
}
