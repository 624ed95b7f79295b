//! A node of the file, with access to its attributes and operands.

use super::super::proto::{AttributeProto, NodeProto};

/// The node that is being imported.
pub(super) struct Call<'a> {
    pub node: &'a NodeProto,
    index: usize,
}

impl<'a> Call<'a> {
    pub fn new(node: &'a NodeProto, index: usize) -> Call<'a> {
        Call { node, index }
    }

    /// The name of the node in messages.
    pub fn name(&self) -> String {
        match (self.node.name(), self.node.output.first()) {
            ("", Some(output)) => output.clone(),
            ("", None) => format!("node {}", self.index),
            (name, _) => name.to_owned(),
        }
    }

    /// Whether an operand is present.
    pub fn has(&self, slot: usize) -> bool {
        self.node.input.get(slot).is_some_and(|name| !name.is_empty())
    }

    pub fn attribute(&self, name: &str) -> Option<&'a AttributeProto> {
        self.node.attribute.iter().find(|a| a.name() == name)
    }

    pub fn int(&self, name: &str) -> Option<i64> {
        self.attribute(name).and_then(|a| a.i)
    }

    pub fn flag(&self, name: &str) -> bool {
        self.int(name).is_some_and(|i| i != 0)
    }

    pub fn float(&self, name: &str) -> Option<f32> {
        self.attribute(name).and_then(|a| a.f)
    }

    pub fn ints(&self, name: &str) -> Option<&'a [i64]> {
        self.attribute(name).map(|a| &a.ints[..])
    }

    /// A string attribute, or `default` if it is missing.
    pub fn text(&self, name: &str, default: &'a str) -> &'a str {
        let text = self.attribute(name).and_then(|a| a.s.as_ref()).map(|s| std::str::from_utf8(s).unwrap_or("?"));
        text.filter(|text| !text.is_empty()).unwrap_or(default)
    }
}
