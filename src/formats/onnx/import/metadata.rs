//! What the metadata of a file says about images and classes: resnetc's own, and class names as other tools write them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::literal;
use crate::ir::{Channels, Preprocess, Shape};

/// Keys under which tools write class names, in any case: `names` of ultralytics, `id2label` of Hugging Face, and others.
const KEYS: [&str; 11] = [
    "names",
    "id2label",
    "label2id",
    "labels",
    "classes",
    "class_names",
    "class_labels",
    "label_names",
    "class_to_idx",
    "idx_to_class",
    "categories",
];

/// The preprocessing in the metadata, if it fits the input.
pub(super) fn preprocess(metadata: &BTreeMap<String, String>, input: &Shape) -> Option<Preprocess> {
    let how: Preprocess = serde_json::from_str(metadata.get("resnetc.preprocess")?).ok()?;
    let channels = if how.channels == Channels::Gray { 1 } else { 3 };
    let values = input.sizes().and_then(|sizes| sizes.iter().try_fold(1usize, |n, size| n.checked_mul(*size)));
    let fits = input.channels() == Some(channels) && how.std.len() == channels;
    (fits && (how.mean.len() == channels || Some(how.mean.len()) == values)).then_some(how)
}

/// The class names in the metadata, of an output with so many scores. A note if there are others.
pub(super) fn labels(metadata: &BTreeMap<String, String>, classes: Option<usize>) -> (Vec<String>, Option<String>) {
    if let Some(own) = metadata.get("resnetc.labels").and_then(|text| serde_json::from_str(text).ok()) {
        return (own, None);
    }
    let found = KEYS.iter().find_map(|key| {
        let (own, text) = metadata.iter().find(|(own, _)| own.eq_ignore_ascii_case(key))?;
        Some((own, names(text)?))
    });
    match (found, classes) {
        (Some((_, names)), Some(classes)) if names.len() == classes => (names, None),
        (Some((key, names)), Some(classes)) => {
            let count = names.len();
            let note = format!("the {count} class names of the file (`{key}`) are left out: its output has {classes} channels");
            (Vec::new(), Some(note))
        }
        (Some(_) | None, _) => (Vec::new(), None),
    }
}

/// The names in a value of the metadata: a list or a mapping in JSON or Python's notation, a line for each, or separated by commas.
fn names(text: &str) -> Option<Vec<String>> {
    let text = text.trim();
    if text.starts_with(['[', '{', '(']) {
        let value = serde_json::from_str(text).ok().or_else(|| literal::python(text))?;
        return of_value(value);
    }
    let separator = if text.contains('\n') { '\n' } else { ',' };
    let list: Vec<String> = text.split(separator).map(|name| name.trim().to_owned()).collect();
    (list.len() > 1 && list.iter().all(|name| !name.is_empty())).then_some(list)
}

fn of_value(value: Value) -> Option<Vec<String>> {
    match value {
        Value::Array(list) => list.into_iter().map(text).collect(),
        Value::Object(map) => of_map(map),
        _ => None,
    }
}

/// `{"0": "cat", "1": "dog"}`, or `{"cat": 0, "dog": 1}`; every index once.
fn of_map(map: Map<String, Value>) -> Option<Vec<String>> {
    let pairs = map.into_iter().map(|(key, value)| match (key.parse::<usize>(), value) {
        (Ok(index), value @ Value::String(_)) => Some((index, text(value)?)),
        (_, Value::Number(index)) => Some((usize::try_from(index.as_u64()?).ok()?, key)),
        _ => None,
    });
    let mut pairs = pairs.collect::<Option<Vec<(usize, String)>>>()?;
    pairs.sort_unstable();
    let is_whole = pairs.iter().enumerate().all(|(at, (index, _))| *index == at);
    (is_whole && !pairs.is_empty()).then(|| pairs.into_iter().map(|(_, name)| name).collect())
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(key: &str, text: &str) -> Vec<String> {
        labels(&BTreeMap::from([(key.to_owned(), text.to_owned())]), Some(3)).0
    }

    #[test]
    fn names_are_read_as_tools_write_them() {
        for (key, text) in [
            ("names", "{0: 'cat', 1: \"dog's\", 2: 'cow'}"),
            ("id2label", r#"{"2": "cow", "0": "cat", "1": "dog's"}"#),
            ("label2id", r#"{"cat": 0, "cow": 2, "dog's": 1}"#),
            ("class_to_idx", "{'cat': 0, 'cow': 2, 'dog\\'s': 1}"),
            ("Labels", r#"["cat", "dog's", "cow"]"#),
            ("classes", "('cat', 'dog\\x27s', 'cow',)"),
            ("classes", "cat\ndog's\ncow\n"),
            ("class_names", "cat, dog's,cow"),
        ] {
            assert_eq!(of(key, text), ["cat", "dog's", "cow"], "{key}: {text}");
        }
    }

    #[test]
    fn what_is_no_list_of_the_classes_is_left_out() {
        for text in ["", "cat", "{0: 'a', 2: 'b', 3: 'c'}", "{0: 'a', 0: 'b', 1: 'c'}", "['a', 1, 'c']", "{", "[[]]", "a,,b"] {
            assert!(of("names", text).is_empty(), "{text}");
        }
        assert!(of("author", "a,b,c").is_empty());
        let (none, note) = labels(&BTreeMap::from([("names".to_owned(), "{0: 'a', 1: 'b'}".to_owned())]), Some(84));
        assert!(none.is_empty());
        assert_eq!(note.unwrap(), "the 2 class names of the file (`names`) are left out: its output has 84 channels");
    }
}
