//! The names of layers, which follow torchvision: scopes are prefixes, and unlabeled layers are numbered.

use std::collections::HashMap;

/// Whether a full name is that of a scope or layer, or is in it: `layer1` contains `layer1.0.conv1`.
pub fn is_within(name: &str, scope: &str) -> bool {
    name.strip_prefix(scope).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Numbers the unlabeled layers of a scope.
#[derive(Clone, Debug, Default)]
pub struct LayerNumbers {
    /// In `sequential`: the number of the next statement.
    sequence: Option<usize>,
    /// How many names of each stem there are.
    counters: HashMap<String, usize>,
}

impl LayerNumbers {
    /// Those of a `sequential`, where every statement has a number.
    pub fn sequential() -> LayerNumbers {
        LayerNumbers { sequence: Some(0), counters: HashMap::new() }
    }

    /// The name of an unlabeled statement with this operator, without the scope's prefix.
    pub fn next(&mut self, word: &str) -> String {
        let name = self.peek(word);
        match &mut self.sequence {
            Some(next) => *next += 1,
            None => *self.counters.entry(stem(word).0.to_owned()).or_insert(0) += 1,
        }
        name
    }

    /// What [`LayerNumbers::next`] returns, without using it up.
    pub fn peek(&self, word: &str) -> String {
        self.sequence.map_or_else(|| self.counted(word), |next| next.to_string())
    }

    /// A counted name even in a `sequential`, for a layer without its own statement, such as the flattening before a linear layer.
    pub fn count(&mut self, word: &str) -> String {
        let name = self.counted(word);
        *self.counters.entry(stem(word).0.to_owned()).or_insert(0) += 1;
        name
    }

    /// Labeled statements advance the numbering of a `sequential`, but do not use their numbers.
    pub fn skip(&mut self, statements: usize) {
        if let Some(next) = &mut self.sequence {
            *next += statements;
        }
    }

    fn counted(&self, word: &str) -> String {
        let (stem, from_one) = stem(word);
        match self.counters.get(stem).copied().unwrap_or(0) {
            0 if !from_one => stem.to_string(),
            count => format!("{stem}{}", count + 1),
        }
    }
}

/// What an operator's layers are called, and whether the first has a number too.
fn stem(word: &str) -> (&str, bool) {
    match word {
        "conv" | "depthwise" | "conv_transpose" => ("conv", true),
        "batchnorm" => ("bn", true),
        "layernorm" | "groupnorm" | "instancenorm" => ("norm", true),
        "linear" => ("fc", false),
        "relu" => ("relu", true),
        other => (other, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_numbered_as_in_torchvision() {
        let mut numbers = LayerNumbers::default();
        assert_eq!(["conv", "batchnorm", "conv"].map(|word| numbers.next(word)), ["conv1", "bn1", "conv2"]);
        assert_eq!(["linear", "linear"].map(|word| numbers.next(word)), ["fc", "fc2"]);
        assert_eq!(
            (numbers.peek("relu"), numbers.next("relu"), numbers.peek("relu")),
            ("relu1".into(), "relu1".into(), "relu2".into())
        );
        // only in a `sequential`
        numbers.skip(3);
        assert_eq!(numbers.next("conv"), "conv3");
    }

    #[test]
    fn a_sequence_numbers_every_statement_and_a_label_takes_a_place() {
        let mut numbers = LayerNumbers::sequential();
        assert_eq!(numbers.next("conv"), "0");
        numbers.skip(1);
        assert_eq!(numbers.next("relu"), "2");
        assert_eq!(numbers.count("flatten"), "flatten");
        assert_eq!(numbers.next("relu"), "3");
    }

    #[test]
    fn a_scope_ends_at_a_dot() {
        assert!(is_within("layer1.0.conv1", "layer1") && is_within("layer1", "layer1") && is_within("layer1.0", "layer1.0"));
        assert!(!is_within("layer10.conv1", "layer1") && !is_within("layer1", "layer1.0"));
    }
}
