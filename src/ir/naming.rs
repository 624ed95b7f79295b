//! The names of layers, which follow torchvision: scopes are prefixes, and unlabeled layers are numbered.

use std::collections::{HashMap, HashSet};

/// Whether a full name is that of a scope or layer, or is in it: `layer1` contains `layer1.0.conv1`.
pub fn is_within(name: &str, scope: &str) -> bool {
    name.strip_prefix(scope).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Numbers the unlabeled layers of a scope.
#[derive(Clone, Debug, Default)]
pub struct LayerNumbers {
    /// In `sequential`: the number of the next statement.
    sequence: Option<usize>,
    /// The last number of each stem.
    counters: HashMap<String, usize>,
    /// The counted names.
    given: HashSet<String>,
}

impl LayerNumbers {
    /// Those of a `sequential`, where every statement has a number.
    pub fn sequential() -> LayerNumbers {
        LayerNumbers { sequence: Some(0), ..LayerNumbers::default() }
    }

    /// Whether they are those of a `sequential`.
    pub fn is_sequence(&self) -> bool {
        self.sequence.is_some()
    }

    /// The name of an unlabeled statement with this operator, without the scope's prefix.
    pub fn next(&mut self, word: &str) -> String {
        match &mut self.sequence {
            Some(next) => {
                *next += 1;
                (*next - 1).to_string()
            }
            None => self.count(word),
        }
    }

    /// What [`LayerNumbers::next`] returns, without using it up.
    pub fn peek(&self, word: &str) -> String {
        self.sequence.map_or_else(|| self.counted(word).1, |next| next.to_string())
    }

    /// A counted name even in a `sequential`, for a layer without its own statement, such as the flattening before a linear layer.
    pub fn count(&mut self, word: &str) -> String {
        let (number, name) = self.counted(word);
        self.counters.insert(stem(word).0.to_owned(), number);
        self.given.insert(name.clone());
        name
    }

    /// Labeled statements advance the numbering of a `sequential`, but do not use their numbers.
    pub fn skip(&mut self, statements: usize) {
        if let Some(next) = &mut self.sequence {
            *next += statements;
        }
    }

    /// The next number of a stem, and the name with it. The sixth `relu` and the first `relu6` do not share a name.
    fn counted(&self, word: &str) -> (usize, String) {
        let (stem, from_one) = stem(word);
        let dash = if stem.ends_with(|c: char| c.is_ascii_digit()) { "_" } else { "" };
        let name = |number| if number == 1 && !from_one { stem.to_owned() } else { format!("{stem}{dash}{number}") };
        let mut number = self.counters.get(stem).copied().unwrap_or(0) + 1;
        while self.given.contains(&name(number)) {
            number += 1;
        }
        (number, name(number))
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
    fn words_that_end_in_a_number_have_names_of_their_own() {
        let mut numbers = LayerNumbers::default();
        let relus: Vec<String> = (0..6).map(|_| numbers.next("relu")).collect();
        assert_eq!(relus.last().unwrap(), "relu6");
        assert_eq!(["relu6", "relu6", "relu"].map(|word| numbers.next(word)), ["relu6_2", "relu6_3", "relu7"]);
        let mut numbers = LayerNumbers::default();
        assert_eq!(numbers.next("relu6"), "relu6");
        assert_eq!((0..6).map(|_| numbers.next("relu")).last().unwrap(), "relu7");
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
