//! Reports tensors whose elements are no weights: integers, and what is not read (quantized, sparse, float8, complex numbers), with what to
//! do.

use std::collections::BTreeMap;
use std::path::Path;

use super::expected::Expected;
use super::name_list::first;
use super::wrapper::Unwrapped;
use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::base::source::Span;
use crate::base::tensor::DType;
use crate::ir::Checked;

/// The number of names that a message gives as examples.
const EXAMPLES: usize = 3;

/// A diagnostic for each kind of contents: a single line for a file in which all tensors have an unsupported type.
pub(super) fn diagnostics(
    checked: &Checked,
    expected: &BTreeMap<&str, Expected<'_>>,
    found: &Unwrapped<'_>,
    path: &Path,
) -> Vec<Diagnostic> {
    let mut kinds: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for name in expected.keys().copied() {
        match (found.given.get(name), found.unread.get(name)) {
            (Some(tensor), _) if !tensor.dtype().is_float() => kinds.entry("integers").or_default().push(name),
            (None, Some(unread)) => kinds.entry(&unread.contents).or_default().push(name),
            _ => {}
        }
    }
    let of_kind = |(contents, names): (&str, Vec<&str>)| {
        let node = expected.get(names.first()?)?.node;
        let message = format!("`{}` has {contents} for weights: {}", path.display(), first(&names, EXAMPLES));
        let span = checked.graph().node(node).origin.span;
        let diagnostic = Diagnostic::error(codes::WEIGHTS_TYPE, message, span, "needed here");
        Some(match advice(contents, found) {
            Some(advice) => diagnostic.help(advice),
            None => diagnostic,
        })
    };
    kinds.into_iter().filter_map(of_kind).collect()
}

/// Whether the file is that of a quantized network, which has scales and zero points beside its weights.
pub(super) fn is_quantized(found: &Unwrapped<'_>) -> bool {
    let of_quantization = |name: &str| {
        const LAST: [&str; 9] = [
            "zero_point",
            "SCB",
            "weight_format",
            "qweight",
            "qzeros",
            "scales",
            "weight_scale",
            "weight_scale_inv",
            "quant_state",
        ];
        LAST.contains(&name.rsplit('.').next().unwrap_or(name))
    };
    found.unread.values().any(|unread| unread.contents.contains("quantized"))
        || found.given.iter().any(|(name, tensor)| of_quantization(name) || tensor.dtype() == DType::I8)
}

/// What to report about a quantized network whose layers have other tensors.
pub(super) fn quantized(path: &Path, place: Span) -> Diagnostic {
    let message = format!("`{}` has the weights of a quantized network", path.display());
    Diagnostic::error(codes::WEIGHTS_TYPE, message, place, "in this network").help(QUANTIZED)
}

/// What to do about a quantized network.
const QUANTIZED: &str = "the integers of a quantized network mean nothing without their scales: use the weights from before it was \
                         quantized, or save dequantized ones under the network's names (`tensor.dequantize()` in PyTorch)";

/// What to do about weights of this kind.
fn advice(contents: &str, found: &Unwrapped<'_>) -> Option<&'static str> {
    let has = |word: &str| contents.contains(word);
    Some(match contents {
        "integers" if !is_quantized(found) => "weights are floating-point numbers: save them with `tensor.float()`",
        _ if has("quantized") || has("integers") => QUANTIZED,
        _ if has("sparse") => "save it dense: `tensor.to_dense()`",
        _ if has("float8") || has("F8") => {
            "save it as `tensor.float()`, multiplied by its scale if the file has one (`weight_scale`), or use the weights from before"
        }
        _ if has("complex") => "a network here computes with real numbers",
        _ if has("numpy") => "save it as a tensor: `torch.from_numpy(array)`",
        _ => return None,
    })
}
