//! Activations as layers and functions of PyTorch and Keras: those of `std.activations`, under their names there.

use super::layer::{Arguments, statement};
use super::tree::Argument as Given;
use super::value::signed;
use crate::syntax::prelude;
use crate::syntax::table::{self, Answer};

/// An activation's statement, and whether its values are written out. `is_torch` is whether its module says that it is PyTorch's.
pub fn statement_of(class: &str, given: &[Given], is_torch: bool) -> Option<(String, bool)> {
    let mut word = table::activation(class)?;
    let keys: Vec<&str> = match word.name {
        "prelu" => vec!["num_parameters", "init"],
        "relu" => vec!["inplace"],
        "gelu" => vec!["approximate"],
        _ => word.keys().map(|(key, _)| key).collect(),
    };
    let mut args = Arguments::read(given, &keys)?;
    match word.name {
        // the default slope is 0.01 in PyTorch, and 0.2 or 0.3 in Keras
        "leaky_relu" if !is_torch && given.is_empty() => return None,
        // one slope in PyTorch unless it says how many, and one per element in Keras
        "prelu" if !is_torch => return None,
        "prelu" if args.take(&["num_parameters"]).is_none_or(|count| count.text == "1") => word = prelude::find("prelu_shared")?,
        "gelu" => match args.take(&["approximate"]).map(|given| given.word()) {
            None | Some(Some("none" | "False")) => {}
            Some(Some("tanh" | "True")) => word = prelude::find("gelu_tanh")?,
            Some(_) => return None,
        },
        _ => {}
    }
    let mut list = Vec::new();
    for (key, _) in word.keys() {
        // `alpha=0.1` of Keras's `LeakyReLU`
        let others: Vec<&str> =
            args.names().filter(|given| table::among(word.name, &table::plain(given)) == Some(Answer::Ours(key))).collect();
        for theirs in [key].into_iter().chain(others) {
            if let Some(given) = args.take(&[theirs]) {
                let value = args.value(given, signed)?;
                list.push(format!("{key}: {value}"));
            }
        }
    }
    if word.name.starts_with("prelu") && args.take(&["init"]).is_some_and(|init| init.text != "0.25") {
        return None;
    }
    args.done()?;
    Some((statement(word.name, list), args.is_literal))
}

/// Keras's `activation='relu'`.
pub fn of_keras(word: &str) -> Option<&'static str> {
    match word {
        "softmax" => Some("softmax"),
        // the slope is another one in Keras
        "leaky_relu" => None,
        _ => match table::statement(word)? {
            Answer::Ours(own) => prelude::find(own).map(|activation| activation.name),
            Answer::Nothing(_) => None,
        },
    }
}
