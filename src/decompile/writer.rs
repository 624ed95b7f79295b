//! Writes indented lines, and predicts the names that the language gives to layers.

use std::collections::HashSet;

use super::names;
use crate::ir::LayerNumbers;

/// The label that a statement needs to have this name: `None` if it is named so without one.
pub(super) fn label(numbers: &mut LayerNumbers, word: &str, leaf: Option<&str>) -> Option<String> {
    match leaf.filter(|leaf| *leaf != numbers.peek(word)) {
        // a labeled one takes its place in a sequence, and is not counted
        Some(leaf) => {
            numbers.skip(1);
            Some(leaf.to_string())
        }
        None => {
            numbers.next(word);
            None
        }
    }
}

/// Text with its indentation.
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
        let blank = if line.is_empty() { "" } else { " " };
        self.line(&format!("{line}{blank}{{"));
        self.indent += 1;
    }

    pub fn close(&mut self) {
        self.close_with("");
    }

    /// A `}` with what follows it.
    pub fn close_with(&mut self, rest: &str) {
        self.indent = self.indent.saturating_sub(1);
        if self.out.ends_with("\n\n") {
            self.out.pop();
        }
        self.line(&format!("}}{rest}"));
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
