//! Reports the differences between a checkpoint and a network in terms of the network's structure: a few lines instead of dozens of names.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use super::expected::Expected;
use super::structure::{self, Explained};
use super::wrapper::Unwrapped;
use super::{biases, name_list, renamed, shapes, types};
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

/// The number of names that a diagnostic gives as examples.
const EXAMPLES: usize = 3;

/// All differences; no diagnostics if the tensors fit.
pub(super) fn report(
    checked: &Checked,
    expected: &BTreeMap<&str, Expected<'_>>,
    found: &Unwrapped<'_>,
    path: &Path,
) -> MismatchReport {
    let (mut diagnostics, left_out) = differences(checked, expected, found, path);
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
    path: &Path,
) -> (Vec<Diagnostic>, Vec<&'a str>) {
    let Unwrapped { given, unread, several, .. } = found;
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
    let lacks = |name: &&str| !given.contains_key(name) && !unread.contains_key(name);
    let others = unread.iter().filter(|(_, unread)| unread.is_tensor).map(|(name, _)| name);
    let mut missing: Vec<&str> = expected.keys().copied().filter(lacks).collect();
    let mut unused: Vec<&str> = given.keys().chain(others).copied().filter(|name| !expected.contains_key(name)).collect();
    if !missing.is_empty() && types::is_quantized(found) {
        return (vec![types::quantized(path, place)], Vec::new());
    }
    let mut explained = biases::explain(checked, expected, given, &missing, &unused, path);
    let only_rest = |names: &mut Vec<&str>, explained: &Explained| names.retain(|name| !explained.names.contains(*name));
    only_rest(&mut missing, &explained);
    only_rest(&mut unused, &explained);
    // names that differ look like other blocks and another depth
    let renamed = renamed::explain(checked, expected, given, &missing, &unused);
    let are_all = missing.iter().chain(&unused).all(|name| renamed.names.contains(*name));
    if are_all && !renamed.names.is_empty() {
        explained.extend(renamed);
    } else {
        explained.extend(structure::explain(checked, expected, given));
        only_rest(&mut missing, &explained);
        only_rest(&mut unused, &explained);
        explained.extend(renamed::explain(checked, expected, given, &missing, &unused));
    }
    only_rest(&mut missing, &explained);
    only_rest(&mut unused, &explained);
    let Explained { mut diagnostics, names: explained } = explained;
    let span = |name: &str| expected.get(name).map_or(place, |w| checked.graph().node(w.node).origin.span);
    let list = |names: &[&str]| name_list::first(names, EXAMPLES);
    if let Some(first) = missing.first() {
        let message = format!("`{file}` lacks tensors that the network needs: {}", list(&missing));
        diagnostics.push(Diagnostic::error(codes::WEIGHTS_MISSING, message, span(first), "needed here"));
    }
    let mut left_out = Vec::new();
    if !diagnostics.is_empty() {
        left_out.extend(found.outside.iter().copied().filter(|name| unused.contains(name)));
        unused.retain(|name| !found.outside.contains(name));
    }
    if !unused.is_empty() {
        let message = format!("`{file}` has tensors that the network does not: {}", list(&unused));
        diagnostics.push(Diagnostic::error(codes::WEIGHTS_UNUSED, message, place, "in this network"));
    }
    diagnostics.extend(shapes::diagnostic(checked, expected, given, &explained, path));
    diagnostics.extend(kinds);
    (diagnostics, left_out)
}
