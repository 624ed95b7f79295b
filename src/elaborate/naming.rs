//! Naming, which follows torchvision: scopes are prefixes, and unlabeled layers are numbered.

use std::collections::HashMap;

/// The maximum length of a node's name.
pub(super) const MAX_NAME: usize = 1000;

/// An open scope: `layer2.0`.
#[derive(Debug, Default)]
pub(super) struct Scope {
    /// Its full name; empty at the top level.
    pub prefix: String,
    /// In `sequential`: the number of the next statement.
    sequence: Option<usize>,
    /// How many names of each stem this scope has.
    counters: HashMap<&'static str, usize>,
}

impl Scope {
    pub fn new(prefix: String, sequential: bool) -> Scope {
        Scope { prefix, sequence: sequential.then_some(0), counters: HashMap::new() }
    }

    /// `name` with this scope's prefix.
    pub fn full(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_string() } else { format!("{}.{name}", self.prefix) }
    }

    /// The name of an unlabeled statement with this operator.
    pub fn next(&mut self, word: &'static str) -> String {
        if let Some(next) = &mut self.sequence {
            let name = next.to_string();
            *next += 1;
            return self.full(&name);
        }
        self.count(word)
    }

    /// A labeled statement advances the numbering of a `sequential`, but does not use its number.
    pub fn skip(&mut self) {
        if let Some(next) = &mut self.sequence {
            *next += 1;
        }
    }

    /// A counted name for a node without its own statement, such as the implicit flattening before a linear layer.
    pub fn count(&mut self, word: &'static str) -> String {
        let (stem, from_one) = match word {
            "conv" => ("conv", true),
            "batchnorm" => ("bn", true),
            "linear" => ("fc", false),
            "relu" => ("relu", true),
            other => (other, false),
        };
        let count = self.counters.entry(stem).or_insert(0);
        *count += 1;
        let name = if *count == 1 && !from_one { stem.to_string() } else { format!("{stem}{count}") };
        self.full(&name)
    }
}

#[cfg(test)]
mod tests {
    use super::Scope;

    #[test]
    fn layers_are_numbered_as_torchvision_does() {
        let mut scope = Scope::new("layer1.0".into(), false);
        assert_eq!(scope.next("conv"), "layer1.0.conv1");
        assert_eq!(scope.next("batchnorm"), "layer1.0.bn1");
        assert_eq!(scope.next("conv"), "layer1.0.conv2");
        let mut top = Scope::default();
        assert_eq!((top.next("linear"), top.next("linear")), ("fc".to_string(), "fc2".to_string()));
    }

    #[test]
    fn a_sequence_numbers_every_statement_and_a_label_takes_a_place() {
        let mut scope = Scope::new("features".into(), true);
        assert_eq!(scope.next("conv"), "features.0");
        scope.skip();
        assert_eq!(scope.next("relu"), "features.2");
        assert_eq!(scope.count("flatten"), "features.flatten");
    }
}
