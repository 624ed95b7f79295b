//! A checkpoint and a network that it does not fit, and what is said about it so far.

use std::collections::BTreeMap;

use super::expected::Expected;
use super::name_list;
use super::structure::Explained;
use super::tensors::Tensors;
use super::wrapper::Unwrapped;
use crate::base::diagnostic::{Code, Diagnostic};
use crate::base::source::Span;
use crate::base::tensor::Tensor;
use crate::ir::{Checked, NodeId};

/// The number of names that a message gives as examples.
const EXAMPLES: usize = 3;

/// A checkpoint and a network that it does not fit.
pub(super) struct Differing<'a> {
    pub checked: &'a Checked,
    pub expected: &'a BTreeMap<&'a str, Expected<'a>>,
    pub found: &'a Unwrapped<'a>,
    pub tensors: &'a Tensors,
    /// The names that only the network has, and those that only the checkpoint has, without those that are explained.
    pub missing: Vec<&'a str>,
    pub unused: Vec<&'a str>,
    pub explained: Explained,
}

impl<'a> Differing<'a> {
    /// Nothing is explained.
    pub fn new(
        checked: &'a Checked,
        expected: &'a BTreeMap<&'a str, Expected<'a>>,
        found: &'a Unwrapped<'a>,
        tensors: &'a Tensors,
    ) -> Differing<'a> {
        let Unwrapped { given, unread, .. } = found;
        let lacks = |name: &&str| !given.contains_key(name) && !unread.contains_key(name);
        let others = unread.iter().filter(|(_, unread)| unread.is_tensor).map(|(name, _)| name);
        let missing = expected.keys().copied().filter(lacks).collect();
        let unused = given.keys().chain(others).copied().filter(|name| !expected.contains_key(name)).collect();
        Differing { checked, expected, found, tensors, missing, unused, explained: Explained::default() }
    }

    /// The tensors of the checkpoint.
    pub fn given(&self) -> &'a BTreeMap<&'a str, &'a Tensor> {
        &self.found.given
    }

    /// The layer that needs a tensor.
    pub fn node(&self, name: &str) -> Option<NodeId> {
        self.expected.get(name).map(|needs| needs.node)
    }

    /// An error at a layer, about a few of many names.
    pub fn error(&self, code: Code, what: &str, names: &[&str], span: Span, label: &str) -> Diagnostic {
        let message = format!("`{}` {what}: {}", self.tensors.path().display(), name_list::first(names, EXAMPLES));
        Diagnostic::error(code, message, span, label)
    }

    /// Where a layer is in the source.
    pub fn span(&self, node: NodeId) -> Span {
        self.checked.graph().node(node).origin.span
    }

    /// Adds an explanation; its names are not missing or unused any more.
    pub fn explain(&mut self, explained: Explained) {
        self.explained.extend(explained);
        let names = &self.explained.names;
        for list in [&mut self.missing, &mut self.unused] {
            list.retain(|name| !names.contains(*name));
        }
    }

    /// Whether everything is explained by this.
    pub fn is_explained_by(&self, explained: &Explained) -> bool {
        !explained.names.is_empty() && self.missing.iter().chain(&self.unused).all(|name| explained.names.contains(*name))
    }
}
