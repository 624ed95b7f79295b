//! Explains layers that have other names in the checkpoint: a missing layer and an unused one with the same tensors are probably the same.

use std::collections::BTreeMap;

use super::by_order::ByOrder;
use super::differing::Differing;
use super::natural::natural;
use super::rename::Rename;
use super::structure::Explained;
use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::base::tensor::without_ones;

/// The number of ways in which names differ that a message shows. Names that differ in more ways are those of another implementation.
const MAX_WAYS: usize = 10;

/// The names of a layer's tensors, without the layer's, and their sizes.
type Signature = Vec<(String, Vec<usize>)>;

/// A layer in the checkpoint, and the same one in the network.
struct Pair<'n> {
    there: &'n str,
    here: &'n str,
    tensors: Vec<String>,
}

/// Explains the layers among the missing names that are among the unused ones under another name. `renames` are those that make the
/// tensors fit in order, by names without the prefix of a wrapper.
pub(super) fn explain(differing: &Differing<'_>, renames: Option<&ByOrder>) -> Explained {
    let Differing { expected, missing, unused, .. } = differing;
    let given = differing.given();
    let ours = layers(missing.iter().filter_map(|name| Some((*name, expected.get(name)?.shape))));
    let theirs = layers(unused.iter().filter_map(|name| Some((*name, given.get(name)?.shape()))));
    let pairs = match renames {
        Some(renames) => renamed(&ours, &theirs, &renames.here),
        None => pairs(&ours, &theirs),
    };
    let mut ways: BTreeMap<(String, String), Vec<&Pair<'_>>> = BTreeMap::new();
    for pair in &pairs {
        ways.entry(difference(pair.there, pair.here)).or_default().push(pair);
    }
    let first = pairs.iter().flat_map(|pair| pair.tensors.iter().map(|leaf| joined(pair.here, leaf)));
    let first = first.filter_map(|name| expected.get(name.as_str())).map(|needs| needs.node).min();
    let Some(node) = first.filter(|_| ways.len() <= MAX_WAYS || renames.is_some()) else { return Explained::default() };
    let count: usize = pairs.iter().map(|pair| pair.tensors.len()).sum();
    let message = match count {
        1 => "a tensor of the checkpoint has another name in the network".to_owned(),
        _ => format!("{count} tensors of the checkpoint have other names in the network"),
    };
    let mut diagnostic = Diagnostic::error(codes::WEIGHTS_NAMES, message, differing.span(node), "with another name here");
    let is_numbered = |(there, here): &(String, String)| [there, here].iter().all(|part| part.parse::<usize>().is_ok());
    let has_numbers = ways.keys().any(is_numbered);
    for ((there, here), pairs) in ways.iter().take(MAX_WAYS) {
        diagnostic = diagnostic.note(way(there, here, pairs));
    }
    if let Some(renames) = renames {
        diagnostic = diagnostic
            .help(format!("their order and sizes are the same; if the layers are too, rename them: `{}`", renames.options()));
    }
    diagnostic = diagnostic.help("to give layers the checkpoint's names, use `as NAME`, `scope NAME` and `sequential NAME`");
    if has_numbers {
        diagnostic = diagnostic.help(
            "layers without tensors count as well: a `dropout` or `relu` that the network lacks moves the numbers after it",
        );
    }
    let names =
        pairs.iter().flat_map(|pair| pair.tensors.iter().flat_map(|leaf| [joined(pair.there, leaf), joined(pair.here, leaf)]));
    Explained { diagnostics: vec![diagnostic], names: names.collect() }
}

/// The layers that are renamed.
fn renamed<'n>(ours: &BTreeMap<&'n str, Signature>, theirs: &BTreeMap<&'n str, Signature>, renames: &[Rename]) -> Vec<Pair<'n>> {
    let pair = |(there, signature): (&&'n str, &Signature)| {
        let new = renames.iter().filter_map(|rename| Some((rename.old.len(), rename.apply(there)?))).max()?.1;
        let (here, _) = ours.get_key_value(new.as_str())?;
        Some(Pair { there, here, tensors: signature.iter().map(|(leaf, _)| leaf.clone()).collect() })
    };
    theirs.iter().filter_map(pair).collect()
}

/// Describes names that differ in the same way.
fn way(there: &str, here: &str, pairs: &[&Pair<'_>]) -> String {
    let count: usize = pairs.iter().map(|pair| pair.tensors.len()).sum();
    let tensors = if count == 1 { "one tensor".to_owned() } else { format!("{count} tensors") };
    let example =
        pairs.first().map(|pair| format!("`{}` there is `{}` here", pair.there.escape_debug(), pair.here.escape_debug()));
    let example = example.unwrap_or_default();
    match (there.escape_debug(), here.escape_debug()) {
        _ if pairs.len() == 1 => format!("{example} ({tensors})"),
        (there, _) if here.is_empty() => format!("{tensors} differ only by `{there}.` in the checkpoint's names: {example}"),
        (_, here) if there.is_empty() => format!("{tensors} differ only by `{here}.` in the network's names: {example}"),
        (there, here) => format!("`{there}` there is `{here}` here ({tensors}): {example}"),
    }
}

/// Layers by name, with their tensors.
fn layers<'n>(names: impl Iterator<Item = (&'n str, &'n [usize])>) -> BTreeMap<&'n str, Signature> {
    let mut layers: BTreeMap<&str, Signature> = BTreeMap::new();
    for (name, shape) in names {
        let (layer, leaf) = name.rsplit_once('.').unwrap_or(("", name));
        layers.entry(layer).or_default().push((leaf.to_owned(), without_ones(shape).to_vec()));
    }
    layers
}

/// Layers with the same tensors, if there are as many in both. Of several, those with the most similar names are a pair.
fn pairs<'n>(ours: &BTreeMap<&'n str, Signature>, theirs: &BTreeMap<&'n str, Signature>) -> Vec<Pair<'n>> {
    let mut groups: BTreeMap<&Signature, [Vec<&'n str>; 2]> = BTreeMap::new();
    for (side, layers) in [ours, theirs].into_iter().enumerate() {
        for (name, signature) in layers {
            groups.entry(signature).or_default()[side].push(name);
        }
    }
    let mut pairs = Vec::new();
    for (signature, [mut ours, mut theirs]) in groups {
        if ours.len() != theirs.len() {
            continue;
        }
        ours.sort_by_key(|name| natural(name));
        theirs.sort_by_key(|name| natural(name));
        for here in ours {
            let most = theirs.iter().map(|there| similarity(there, here)).max();
            let Some(at) = theirs.iter().position(|there| Some(similarity(there, here)) == most) else { continue };
            let tensors = signature.iter().map(|(leaf, _)| leaf.clone()).collect();
            pairs.push(Pair { there: theirs.remove(at), here, tensors });
        }
    }
    pairs
}

/// The number of parts that two names have in common at their beginning and end.
fn similarity(a: &str, b: &str) -> usize {
    let (first, last) = common(a, b);
    first + last
}

/// How many parts of two names are the same at the beginning, and at the end of the rest.
fn common(a: &str, b: &str) -> (usize, usize) {
    let (a, b): (Vec<&str>, Vec<&str>) = (a.split('.').collect(), b.split('.').collect());
    let shorter = a.len().min(b.len());
    let first = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let last = a.iter().rev().zip(b.iter().rev()).take(shorter - first).take_while(|(a, b)| a == b).count();
    (first, last)
}

/// The parts in which two names differ.
fn difference(there: &str, here: &str) -> (String, String) {
    let (first, last) = common(there, here);
    let middle = |name: &str| {
        let parts: Vec<&str> = name.split('.').collect();
        parts[first..parts.len() - last].join(".")
    };
    (middle(there), middle(here))
}

fn joined(layer: &str, leaf: &str) -> String {
    if layer.is_empty() { leaf.to_owned() } else { format!("{layer}.{leaf}") }
}
