//! Explains biases that only the checkpoint or only the network has.

use std::collections::BTreeMap;
use std::path::Path;

use super::expected::Expected;
use super::name_list::first;
use super::structure::Explained;
use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::base::tensor::Tensor;
use crate::ir::{Checked, NodeId};

/// The number of names that a message gives as examples.
const EXAMPLES: usize = 3;

/// Explains the names of biases among those that are missing or unused, where the layer's weight is in both.
pub(super) fn explain(
    checked: &Checked,
    expected: &BTreeMap<&str, Expected<'_>>,
    given: &BTreeMap<&str, &Tensor>,
    missing: &[&str],
    unused: &[&str],
    path: &Path,
) -> Explained {
    let layer = |name: &str| {
        let weight = format!("{}.weight", name.strip_suffix(".bias")?);
        let node = expected.get(weight.as_str()).filter(|_| given.contains_key(weight.as_str()))?.node;
        (!checked.graph().node(node).op.is_norm()).then_some(node)
    };
    let mut out = Explained::default();
    for (names, code, what, label, help) in [
        (
            missing,
            codes::WEIGHTS_MISSING,
            "lacks biases that the network has",
            "with a bias here",
            "a layer without one is written with `bias: false`",
        ),
        (
            unused,
            codes::WEIGHTS_UNUSED,
            "has biases that the network does not",
            "no bias here",
            "a layer with one is written with `bias: true`",
        ),
    ] {
        let biases: Vec<(NodeId, &str)> = names.iter().filter_map(|name| Some((layer(name)?, *name))).collect();
        let Some((node, _)) = biases.iter().min() else { continue };
        let names: Vec<&str> = biases.iter().map(|(_, name)| *name).collect();
        let message = format!("`{}` {what}: {}", path.display(), first(&names, EXAMPLES));
        out.diagnostics.push(Diagnostic::error(code, message, checked.graph().node(*node).origin.span, label).help(help));
        out.names.extend(names.into_iter().map(str::to_owned));
    }
    out
}
