//! Warns where a dataset's classes may not be the network's.

use std::collections::HashMap;

use super::output::Out;
use crate::data::Dataset;

/// Notes that classes are matched by their order, if none of the data's classes is a label of the network, or there are fewer than the
/// network has outputs.
pub(super) fn note_classes(data: &dyn Dataset, labels: &[String], outputs: usize, out: &Out) {
    let classes = data.classes();
    let mut by_lower = HashMap::new();
    let pair = classes.iter().find_map(|class| by_lower.insert(class.to_lowercase(), class).map(|first| (first, class)));
    if let Some((first, second)) =
        pair.filter(|(first, second)| first != second && !(labels.contains(first) && labels.contains(second)))
    {
        out.note(format_args!("note: `{first}` and `{second}` are two classes of the data, although they differ only in case"));
    }
    if classes.is_empty() || classes.iter().any(|class| labels.contains(class)) {
        return;
    }
    let list = |names: &[String]| {
        let first: Vec<&str> = names.iter().take(3).map(String::as_str).collect();
        format!("{}{}", first.join(", "), if names.len() > 3 { ", …" } else { "" })
    };
    if !labels.is_empty() {
        out.note(format_args!(
            "note: no class of the data ({}) is a label of the network ({}): classes are matched by their order",
            list(classes),
            list(labels)
        ));
    } else if classes.len() < outputs {
        out.note(format_args!(
            "note: the data have {} classes ({}) and the network {outputs} outputs: classes are matched by their order",
            classes.len(),
            list(classes)
        ));
    }
}
