//! What is said of the numbers that a dataset's classes have.

use super::output::Out;
use crate::data::Dataset;

/// Says where the data's own numbers may not be what is meant: none of its classes is called as a label of the network, or there are fewer
/// than it has outputs.
pub(super) fn note_classes(data: &dyn Dataset, labels: &[String], outputs: usize, out: &Out) {
    let classes = data.classes();
    if classes.is_empty() || classes.iter().any(|class| labels.contains(class)) {
        return;
    }
    let list = |names: &[String]| {
        let first: Vec<&str> = names.iter().take(3).map(String::as_str).collect();
        format!("{}{}", first.join(", "), if names.len() > 3 { ", …" } else { "" })
    };
    if !labels.is_empty() {
        out.note(format_args!(
            "note: no class of the data ({}) is called as one of the network's labels ({}): the first counts as the first, and so on",
            list(classes),
            list(labels)
        ));
    } else if classes.len() < outputs {
        out.note(format_args!(
            "note: the data have {} classes ({}) and the network {outputs} outputs: the first counts as the first, and so on",
            classes.len(),
            list(classes)
        ));
    }
}
