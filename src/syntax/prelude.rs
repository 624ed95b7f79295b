//! The functions that every file has without `use`, as the embedded library declares them.
//!
//! They are read from its lines, not from its tree, since the parser itself asks for them: its errors name our word for an activation
//! of another framework.

use std::sync::LazyLock;

/// `std.activations`.
pub const TEXT: &str = include_str!("../../models/std/activations.resnet");

/// A declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activation {
    /// Its word.
    pub name: &'static str,
    /// The first line above it.
    pub doc: &'static str,
    /// The declaration.
    pub declaration: &'static str,
    /// Its parameters after the current value.
    pub params: Vec<Param>,
}

/// A parameter of an [`Activation`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    /// Its name.
    pub name: &'static str,
    /// Its kind, for an operand.
    pub kind: Option<&'static str>,
    /// Its default, or a learned operand's initial value.
    pub default: Option<&'static str>,
}

impl Activation {
    /// The keys of a statement with their defaults.
    pub fn keys(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.params.iter().filter(|param| param.kind.is_none()).filter_map(|param| Some((param.name, param.default?)))
    }
}

static ACTIVATIONS: LazyLock<Vec<Activation>> = LazyLock::new(|| {
    let mut doc = "";
    let mut list = Vec::new();
    for line in TEXT.lines() {
        let comment = line.strip_prefix("///").map(str::trim);
        list.extend(declaration(line, doc));
        doc = match comment {
            Some(comment) if doc.is_empty() => comment,
            Some(_) => doc,
            None => "",
        };
    }
    list
});

/// All of them, in order.
pub fn activations() -> &'static [Activation] {
    &ACTIVATIONS
}

/// The one with this word.
pub fn find(word: &str) -> Option<&'static Activation> {
    ACTIVATIONS.iter().find(|activation| activation.name == word)
}

/// `elementwise NAME(x, key = 1, operand: kind) = …`.
fn declaration(line: &'static str, doc: &'static str) -> Option<Activation> {
    let (name, rest) = line.strip_prefix("elementwise ")?.split_once('(')?;
    let params = rest.split_once(')')?.0.split(',').skip(1).map(|param| {
        let (param, default) = param.split_once('=').map_or((param, None), |(param, default)| (param, Some(default.trim())));
        let (name, kind) = param.split_once(':').map_or((param, None), |(name, kind)| (name, Some(kind.trim())));
        Param { name: name.trim(), kind, default }
    });
    Some(Activation { name, doc, declaration: line, params: params.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::source::SourceMap;
    use crate::syntax::ast::{Item, Param as Declared};
    use crate::syntax::parse;

    #[test]
    fn the_lines_say_what_the_tree_says() {
        let file = SourceMap::default().add_text("std.activations", TEXT);
        let (tree, diagnostics) = parse(file, TEXT);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        assert_eq!(tree.items.len(), activations().len());
        for (item, found) in tree.items.iter().zip(activations()) {
            let Item::Function(function) = item else { panic!("{item:?}") };
            let doc = function.doc.as_deref().and_then(|doc| doc.lines().next());
            let declared: Vec<_> = function.params.iter().skip(1).map(named).collect();
            let read: Vec<_> = found.params.iter().map(|p| (p.name, p.kind, p.default.map(str::len))).collect();
            assert_eq!((&*function.name.node, doc, declared), (found.name, Some(found.doc), read));
        }
    }

    fn named(param: &Declared) -> (&str, Option<&str>, Option<usize>) {
        let default = param.default.as_ref().map(|default| default.span.range().len());
        (&param.name.node, param.kind.as_ref().map(|kind| &*kind.node), default)
    }
}
