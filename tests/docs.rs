//! The documentation is held to the code.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fmt::Write;

use resnetc::base::render;
use resnetc::driver::Frontend;
use resnetc::elaborate::operators::OPERATORS;

fn operators() -> String {
    let mut out = String::from("| operator | arguments (default) | |\n| --- | --- | --- |\n");
    for op in OPERATORS {
        let keys: Vec<String> = op
            .keys
            .iter()
            .map(|key| {
                let first = if op.positional == Some(key.name) { ", first" } else { "" };
                match key.default {
                    Some(default) => format!("`{}`: {}{first} ({default})", key.name, key.takes),
                    None => format!("`{}`: {}{first}", key.name, key.takes),
                }
            })
            .collect();
        let _ = writeln!(out, "| `{}` | {} | {} |", op.word, keys.join("; "), op.doc);
    }
    out
}

/// `RESNETC_WRITE_DOCS=1 cargo test --test docs` writes the table.
#[test]
fn the_language_reference_has_the_compilers_own_table() {
    let text = std::fs::read_to_string("docs/language.md").unwrap();
    let (before, rest) = text.split_once("compiler's own -->\n").unwrap();
    let (table, after) = rest.split_once("<!-- end of operators -->").unwrap();
    if std::env::var_os("RESNETC_WRITE_DOCS").is_some() {
        std::fs::write(
            "docs/language.md",
            format!("{before}compiler's own -->\n{}<!-- end of operators -->{after}", operators()),
        )
        .unwrap();
        return;
    }
    assert_eq!(table, operators(), "RESNETC_WRITE_DOCS=1 cargo test --test docs writes it");
}

/// Whole files in the documentation check without a word.
#[test]
fn examples_in_the_documentation_check() {
    for path in ["README.md", "docs/introduction.md", "docs/language.md", "CONTRIBUTING.md"] {
        let text = std::fs::read_to_string(path).unwrap();
        for example in text.split("```resnet\n").skip(1).map(|rest| rest.split("```").next().unwrap()) {
            let mut front = Frontend::text(path, example);
            for network in front.networks().into_iter().filter(|n| n.open.is_empty()) {
                front.check(&network.name, &[]);
            }
            let said = render::terminal(&front.diagnostics, &front.sources, false);
            assert!(front.diagnostics.is_empty() && !front.networks().is_empty(), "{path}:\n{example}\n{said}");
        }
    }
}

/// Words that language keys, help texts and messages do not use: former words, and British spelling.
const NOT_OURS: &[&str] = &[
    "colour",
    "picture",
    "oracle",
    "normalisation",
    "initialis",
    "count_pad",
    "decay_norms",
    "decay_biases",
    "max-pack ",
    "centre",
];

#[test]
fn keys_messages_and_pages_use_the_fields_words() {
    let mut found = Vec::new();
    let mut scan = |place: &str, text: &str| {
        let text = text.to_lowercase();
        found.extend(NOT_OURS.iter().filter(|word| text.contains(**word)).map(|word| format!("{place}: {word}")));
    };
    for op in OPERATORS {
        scan(op.word, op.doc);
        for key in op.keys {
            scan(op.word, &format!("{} {} {}", key.name, key.takes, key.default.unwrap_or("")));
            let foreign = resnetc::elaborate::foreign::find(op.word, key.name);
            assert_eq!(foreign, None, "`{}` is a key of `{}`, and among the foreign words", key.name, op.word);
        }
    }
    for entry in std::fs::read_dir("docs/errors").unwrap() {
        let path = entry.unwrap().path();
        scan(&path.display().to_string(), &std::fs::read_to_string(&path).unwrap());
    }
    let commands = [
        "check",
        "summary",
        "compile",
        "verify",
        "run",
        "eval",
        "dataset-stats",
        "train",
        "compare",
        "calibrate-bn",
        "bench",
        "profile",
        "view",
        "convert",
        "export",
        "import",
        "new",
        "explain",
    ];
    for command in commands {
        let help = std::process::Command::new(env!("CARGO_BIN_EXE_resnetc")).args([command, "--help"]).output().unwrap();
        scan(command, &String::from_utf8(help.stdout).unwrap());
    }
    assert!(found.is_empty(), "{found:#?}");
}
