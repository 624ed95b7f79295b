//! Whatever the text, the front end answers: no panic, no endless work, and never an error-free answer to what is damaged.

use proptest::prelude::*;
use resnetc::internal::driver::Frontend;

use crate::source::check;

const TOKENS: &[&str] = &[
    "resnet 1\n",
    "\n",
    "\n",
    "network net",
    "block b",
    "use std.blocks: basic\n",
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "=",
    "~=",
    ".",
    "\"",
    "//",
    "///",
    "input",
    "3 x 8 x 8\n",
    "x",
    "H",
    "conv",
    "3x3",
    "filters",
    "64",
    "1e9999",
    "9999999999999999999",
    "0x",
    "-",
    "+",
    "*",
    "/",
    "%",
    "if",
    "else",
    "then",
    "stage",
    "layer1",
    "of",
    "basic",
    "double",
    "repeat",
    "branch",
    "from",
    "parallel",
    "concat",
    "add",
    "shortcut",
    "projection",
    "as",
    "expect",
    "params",
    "let",
    "output",
    "train",
    "labels",
    "weights",
    "preprocess",
    "precision",
    "sequential",
    "scope",
    "and",
    "not",
    "true",
    "i",
    "\t",
    " ",
    "é",
    "\u{0}",
    ";",
];

fn models() -> Vec<String> {
    [
        "models/resnet.resnet",
        "models/vgg.resnet",
        "models/cifar.resnet",
        "models/std/blocks.resnet",
        "tests/cases/ok/inception.resnet",
    ]
    .iter()
    .map(|path| std::fs::read_to_string(path).unwrap())
    .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        check(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn random_words(words in proptest::collection::vec(proptest::sample::select(TOKENS), 0..300), headed in any::<bool>()) {
        let text: String = words.join(" ");
        check(&if headed { format!("resnet 1\nnetwork net {{\ninput 3 x 8 x 8\n{text}\n}}\n") } else { text });
    }

    #[test]
    fn altered_models(which in 0usize..5, edits in proptest::collection::vec((any::<proptest::sample::Index>(), proptest::sample::select(TOKENS), 0usize..8), 1..6)) {
        let mut text: Vec<char> = models()[which].chars().collect();
        for (at, token, cut) in edits {
            let at = at.index(text.len());
            let end = (at + cut).min(text.len());
            text.splice(at..end, token.chars());
        }
        check(&text.into_iter().collect::<String>());
    }
}

/// Long runs of one thing: matching and recovery stay linear.
#[test]
fn long_runs() {
    let head = "resnet 1\nnetwork net {\n  input 3 x 8 x 8\n";
    for piece in [
        "(",
        "[",
        "{",
        "\"",
        "if ",
        "conv ",
        "conv 3x3,\n",
        "- ",
        "not ",
        "a + ",
        "a[",
        "1",
        "/",
        "x ",
        "}\n",
        "relu\n",
        "else ",
        "\u{e9}",
        "\"{",
        ". ",
    ] {
        check(&format!("{head}{}", piece.repeat(20_000)));
        check(&piece.repeat(20_000));
    }
}

#[test]
fn every_prefix_of_a_model() {
    let text = std::fs::read_to_string("models/fashion.resnet").unwrap();
    for end in (0..text.len()).filter(|&i| text.is_char_boundary(i)) {
        let front = Frontend::text("cut.resnet", &text[..end]);
        // a file that stops inside its network is never taken for a whole one
        let inside = text[..end].contains("= cifar(n: 3, classes: 10) {") && !text[..end].trim_end().ends_with('}');
        assert!(!inside || front.has_errors(), "cut at {end}");
    }
}
