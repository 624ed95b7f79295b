//! Writes indented lines, and predicts the names that the language gives to layers.

use std::collections::{HashMap, HashSet};

use super::names;

/// The names of unlabeled layers in a scope, according to the language's rules.
#[derive(Default)]
pub(super) struct Naming {
    sequence: Option<usize>,
    counters: HashMap<&'static str, usize>,
}

impl Naming {
    pub fn sequential() -> Naming {
        Naming { sequence: Some(0), counters: HashMap::new() }
    }

    /// The name of an unlabeled statement.
    pub fn next(&mut self, word: &'static str) -> String {
        if let Some(n) = &mut self.sequence {
            *n += 1;
            return (*n - 1).to_string();
        }
        let (stem, from_one) = match word {
            "conv" => ("conv", true),
            "batchnorm" => ("bn", true),
            "linear" => ("fc", false),
            "relu" => ("relu", true),
            other => (other, false),
        };
        let count = self.counters.entry(stem).or_insert(0);
        *count += 1;
        if *count == 1 && !from_one { stem.to_string() } else { format!("{stem}{count}") }
    }

    /// The label that a statement needs to get this name; `None` if it gets it anyway.
    pub fn label(&mut self, word: &'static str, leaf: Option<&str>) -> Option<String> {
        let before = (self.sequence, self.counters.get(stem(word)).copied());
        let usual = self.next(word);
        let leaf = leaf.filter(|leaf| *leaf != usual)?;
        // a labeled statement takes a number in a sequence, but otherwise is not counted
        if before.0.is_none() {
            match before.1 {
                Some(count) => self.counters.insert(stem(word), count),
                None => self.counters.remove(stem(word)),
            };
        }
        Some(leaf.to_string())
    }

    pub fn skip(&mut self, count: usize) {
        if let Some(n) = &mut self.sequence {
            *n += count;
        }
    }
}

fn stem(word: &'static str) -> &'static str {
    match word {
        "batchnorm" => "bn",
        "linear" => "fc",
        other => other,
    }
}

/// A text with indentation.
#[derive(Default)]
pub(super) struct Writer {
    pub out: String,
    pub indent: usize,
}

impl Writer {
    pub fn line(&mut self, line: &str) {
        self.out.extend(std::iter::repeat_n("  ", self.indent));
        self.out.push_str(line);
        self.out.push('\n');
    }

    /// An empty line, but not two in a row, nor after `{`.
    pub fn gap(&mut self) {
        if !self.out.ends_with("\n\n") && !self.out.ends_with("{\n") {
            self.out.push('\n');
        }
    }

    pub fn open(&mut self, line: &str) {
        self.line(&format!("{line} {{"));
        self.indent += 1;
    }

    pub fn close(&mut self) {
        self.indent = self.indent.saturating_sub(1);
        if self.out.ends_with("\n\n") {
            self.out.pop();
        }
        self.line("}");
    }
}

/// A statement with its label.
pub(super) fn with_label(line: String, label: Option<&str>) -> String {
    match label {
        Some(label) => format!("{line} as {}", names::label(label)),
        None => line,
    }
}

/// A label that is not in use yet.
pub(super) fn fresh(wanted: &str, used: &mut HashSet<String>) -> String {
    let plain = if names::is_path(wanted) { wanted.to_string() } else { "side".to_string() };
    let mut label = plain.clone();
    let mut n = 2;
    while used.contains(&label) {
        label = format!("{plain}{n}");
        n += 1;
    }
    used.insert(label.clone());
    label
}
