//! Explains biases that only the checkpoint or only the network has.

use super::differing::Differing;
use super::structure::Explained;
use crate::base::codes;
use crate::ir::NodeId;

/// Explains the names of biases among those that are missing or unused, where the layer's weight is in both.
pub(super) fn explain(differing: &Differing<'_>) -> Explained {
    let layer = |name: &str| {
        let weight = format!("{}.weight", name.strip_suffix(".bias")?);
        let node = differing.node(&weight).filter(|_| differing.given().contains_key(weight.as_str()))?;
        (!differing.checked.graph().node(node).op.is_norm()).then_some(node)
    };
    let mut out = Explained::default();
    for (names, code, what, label, help) in [
        (
            &differing.missing,
            codes::WEIGHTS_MISSING,
            "lacks biases that the network has",
            "with a bias here",
            "a layer without one is written with `bias: false`",
        ),
        (
            &differing.unused,
            codes::WEIGHTS_UNUSED,
            "has biases that the network does not",
            "no bias here",
            "a layer with one is written with `bias: true`",
        ),
    ] {
        let biases: Vec<(NodeId, &str)> = names.iter().filter_map(|name| Some((layer(name)?, *name))).collect();
        let Some((node, _)) = biases.iter().min() else { continue };
        let names: Vec<&str> = biases.iter().map(|(_, name)| *name).collect();
        out.diagnostics.push(differing.error(code, what, &names, differing.span(*node), label).help(help));
        out.names.extend(names.into_iter().map(str::to_owned));
    }
    out
}
