//! Reports the differences between a checkpoint and a network in terms of the network's structure: a few lines instead of dozens of names.

use std::collections::BTreeMap;
use std::fmt;

use super::differing::Differing;
use super::expected::Expected;
use super::structure::{self, Explained};
use super::tensors::Tensors;
use super::wrapper::Unwrapped;
use super::{biases, by_order, name_list, renamed, shapes, types};
use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::ir::Checked;

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

/// All differences; no diagnostics if the tensors fit.
pub(super) fn report(
    checked: &Checked,
    expected: &BTreeMap<&str, Expected<'_>>,
    found: &Unwrapped<'_>,
    tensors: &Tensors,
) -> MismatchReport {
    let (mut diagnostics, left_out) = differences(checked, expected, found, tensors);
    let note = if left_out.is_empty() { found.note() } else { found.note_without(&left_out) };
    if let (Some(first), Some(note)) = (diagnostics.first_mut(), note) {
        *first = first.clone().note(note);
    }
    MismatchReport { diagnostics }
}

/// The differences, and the tensors beside a dropped prefix that only the note about it names: they are another part of the model.
fn differences<'a>(
    checked: &Checked,
    expected: &BTreeMap<&str, Expected<'_>>,
    found: &Unwrapped<'a>,
    tensors: &Tensors,
) -> (Vec<Diagnostic>, Vec<&'a str>) {
    let Unwrapped { given, unread, several, .. } = found;
    let path = tensors.path();
    let file = path.display();
    let place = checked.network.weights.as_ref().map_or(checked.network.span, |(_, span)| *span);
    if let [first, ..] = several[..] {
        let message = format!("`{file}` has several sets of tensors that fit the network: under {}", name_list::listed(several));
        let help = format!("choose one of them: `{file}#{}`", first.trim_end_matches('.').escape_debug());
        return (vec![Diagnostic::error(codes::WEIGHTS_NAMES, message, place, "in this network").help(help)], Vec::new());
    }
    // other differences follow from these: a quantized network has scales beside its weights
    let kinds = types::diagnostics(checked, expected, found, path);
    if !kinds.is_empty() && (types::is_quantized(found) || expected.keys().any(|name| unread.contains_key(name))) {
        return (kinds, Vec::new());
    }
    let mut differing = Differing::new(checked, expected, found, tensors);
    if !differing.missing.is_empty() && types::is_quantized(found) {
        return (vec![types::quantized(path, place)], Vec::new());
    }
    differing.explain(biases::explain(&differing));
    // names that differ look like other blocks and another depth
    let renames = by_order::renames(&differing);
    let renamed = renamed::explain(&differing, renames.as_ref());
    if renames.is_some() || differing.is_explained_by(&renamed) {
        differing.explain(renamed);
    } else {
        differing.explain(structure::explain(checked, expected, given));
        differing.explain(renamed::explain(&differing, None));
    }
    let (missing, mut unused) = (&differing.missing, differing.unused.clone());
    let Explained { mut diagnostics, names: explained } = differing.explained.clone();
    if let Some(first) = missing.first() {
        let span = differing.node(first).map_or(place, |node| differing.span(node));
        let what = "lacks tensors that the network needs";
        diagnostics.push(differing.error(codes::WEIGHTS_MISSING, what, missing, span, "needed here"));
    }
    let mut left_out = Vec::new();
    if !diagnostics.is_empty() {
        left_out.extend(found.outside.iter().copied().filter(|name| unused.contains(name)));
        unused.retain(|name| !found.outside.contains(name));
    }
    if !unused.is_empty() {
        let what = "has tensors that the network does not";
        diagnostics.push(differing.error(codes::WEIGHTS_UNUSED, what, &unused, place, "in this network"));
    }
    diagnostics.extend(shapes::diagnostic(checked, expected, given, &explained, path));
    diagnostics.extend(kinds);
    (diagnostics, left_out)
}
