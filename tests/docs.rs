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
    for path in ["README.md", "docs/language.md", "CONTRIBUTING.md"] {
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
