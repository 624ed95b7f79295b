//! Scopes: the prefix of the names in them, and the numbers of their unlabeled layers.

use crate::ir::LayerNumbers;

/// The maximum length of a node's name.
pub(super) const MAX_NAME: usize = 1000;

/// An open scope: `layer2.0`.
#[derive(Debug, Default)]
pub(super) struct Scope {
    /// Its full name; empty at the top level.
    pub prefix: String,
    numbers: LayerNumbers,
}

impl Scope {
    pub fn new(prefix: String, sequential: bool) -> Scope {
        Scope { prefix, numbers: if sequential { LayerNumbers::sequential() } else { LayerNumbers::default() } }
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
    use super::Scope;

    #[test]
    fn names_have_the_prefix_of_their_scope() {
        let mut scope = Scope::new("layer1.0".into(), false);
        assert_eq!((scope.next("conv"), scope.next("batchnorm")), ("layer1.0.conv1".into(), "layer1.0.bn1".into()));
        assert_eq!(Scope::default().next("linear"), "fc");
        let mut scope = Scope::new("features".into(), true);
        scope.skip();
        assert_eq!((scope.next("conv"), scope.count("flatten")), ("features.1".into(), "features.flatten".into()));
    }
}
