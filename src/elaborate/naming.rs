//! Scopes: the prefix of the names in them, and the numbers of their unlabeled layers.

use crate::ir::LayerNumbers;

/// The maximum length of a node's name.
pub(super) const MAX_NAME: usize = 1000;

/// How a scope numbers its unlabeled statements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Numbering {
    /// Operators of a kind: `conv1`, `conv2`.
    #[default]
    Counted,
    /// Every statement, from 0; a block or a join with its body is one.
    Sequential,
    /// Every operator, from 0, those of blocks included.
    Flat,
}

/// An open scope: `layer2.0`.
#[derive(Debug, Default)]
pub(super) struct Scope {
    /// Its full name; empty at the top level.
    pub prefix: String,
    numbering: Numbering,
    numbers: LayerNumbers,
}

impl Scope {
    pub fn new(prefix: String, numbering: Numbering) -> Scope {
        let numbers = if numbering == Numbering::Counted { LayerNumbers::default() } else { LayerNumbers::sequential() };
        Scope { prefix, numbering, numbers }
    }

    /// The number of the next statement, as the name of its scope; `None` where only operators have one.
    pub fn number(&self) -> Option<String> {
        (self.numbering == Numbering::Sequential).then(|| self.numbers.peek(""))
    }

    /// Whether the statements of what is in it are numbered like its own.
    pub fn is_flat(&self) -> bool {
        self.numbering == Numbering::Flat
    }

    /// `name` with this scope's prefix.
    pub fn full(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_string() } else { format!("{}.{name}", self.prefix) }
    }

    /// The name of an unlabeled statement with this operator.
    pub fn next(&mut self, word: &str) -> String {
        let name = self.numbers.next(word);
        self.full(&name)
    }

    /// A labeled statement advances the numbering of a `sequential`, but does not use its number.
    pub fn skip(&mut self) {
        self.numbers.skip(1);
    }

    /// A counted name for a node without its own statement, such as the implicit flattening before a linear layer.
    pub fn count(&mut self, word: &str) -> String {
        let name = self.numbers.count(word);
        self.full(&name)
    }
}

#[cfg(test)]
mod tests {
    use super::{Numbering, Scope};

    #[test]
    fn names_have_the_prefix_of_their_scope() {
        let mut scope = Scope::new("layer1.0".into(), Numbering::Counted);
        assert_eq!((scope.next("conv"), scope.next("batchnorm")), ("layer1.0.conv1".into(), "layer1.0.bn1".into()));
        assert_eq!(Scope::default().next("linear"), "fc");
        let mut scope = Scope::new("features".into(), Numbering::Flat);
        scope.skip();
        assert_eq!((scope.next("conv"), scope.count("flatten")), ("features.1".into(), "features.flatten".into()));
    }
}
