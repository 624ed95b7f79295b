//! Texts made to hurt: each is answered in seconds, within bounds, by an error or a tree.

use std::time::{Duration, Instant};

use super::*;

/// Tests run unoptimized and side by side; a reader that is not linear would take minutes.
const PATIENCE: Duration = Duration::from_secs(20);

fn answer(name: &str, text: &str) -> Vec<Diagnostic> {
    let start = Instant::now();
    let (_, diagnostics, _) = read(text);
    assert!(start.elapsed() < PATIENCE, "{name}: {:?}", start.elapsed());
    assert!(diagnostics.len() <= MAX_ERRORS, "{name}");
    diagnostics
}

/// `head`, then `unit` up to `length` bytes, then `tail`.
fn filled(head: &str, unit: &str, tail: &str, length: usize) -> String {
    format!("{head}{}{tail}", unit.repeat((length - head.len() - tail.len()) / unit.len()))
}

#[test]
fn a_source_too_long_is_refused() {
    let text = "a".repeat(MAX_SOURCE + 1);
    assert_eq!(answer("long", &text)[0].code, codes::LIMIT);
}

#[test]
fn one_thing_over_and_over() {
    for unit in [
        "(",
        "[",
        "{",
        "}",
        ")",
        "if ",
        "if a then ",
        "not ",
        "-",
        "1+",
        "a[0]",
        ",",
        ":",
        "\"",
        "\\",
        "//",
        "/// a\n",
        "@ ",
        "x",
        "1",
        "1x",
        "0.",
        "é",
        "\0",
        "a\n",
        "network a {\n",
        "}\n",
        "else ",
        "use a\n",
    ] {
        assert!(
            !answer(unit, &filled("resnet 1\n", unit, "", MAX_SOURCE)).is_empty() || unit == "//" || unit == "/// a\n",
            "{unit:?}"
        );
        answer(unit, &filled("resnet 1\nblock b {\nrelu ", unit, "\n}\n", MAX_SOURCE));
        answer(unit, &filled("resnet 1\nblock b {\nrelu as \"", unit, "\"\n}\n", MAX_SOURCE));
    }
}

/// As much as the limits let through.
#[test]
fn as_much_as_is_read() {
    let most = MAX_TOKENS;
    for (name, head, unit, tail, length) in [
        ("statements", "resnet 1\nblock b {\n", "a;", "}", most - 100),
        ("bad statements", "resnet 1\nblock b {\n", "a b c\n", "}", most * 2 - 100),
        ("bad statements in one line", "resnet 1\nblock b {", "a b c ; ", "}", most * 2 - 100),
        ("a long list", "resnet 1\nblock b {\nlabels [", "1,", "]\n}", most - 100),
        ("arguments", "resnet 1\nblock b {\nrelu ", "a,", "a\n}", most - 100),
        ("keys", "resnet 1\nblock b {\nstage a: 1 of b {", "a,", "}\n}", most - 100),
        ("parameters", "resnet 1\nblock b(", "a,", ") { }", most - 100),
        ("empty blocks", "resnet 1\n", "block b { }\n", "", most * 3 - 100),
        ("blocks unclosed", "resnet 1\n", "block b {\n", "", most * 3),
        ("blocks closed twice", "resnet 1\n", "block b {\n}\n}\n", "", most * 3),
        ("lines unclosed", "resnet 1\n", "block b {\nrelu ((([\nrelu\n}\n", "", most * 2),
        ("else if", "resnet 1\nblock b {\nif a {}", " else if a {}", "\n}", most * 2),
        ("names", "resnet 1\nuse a: ", "b,", "c\n", most - 100),
        ("templates", "resnet 1\nblock b {\nrelu as \"", "{a}", "\"\n}", most * 2),
    ] {
        answer(name, &filled(head, unit, tail, length));
    }
}

#[test]
fn as_deep_as_is_read() {
    let depth = MAX_NESTING - 1;
    let (open, close) = ("(".repeat(depth), ")".repeat(depth));
    fine(&format!("resnet 1\nblock b {{\n  let x = {open}1{close}\n}}\n"));
    let (open, close) = ("if a {\n".repeat(depth), "}\n".repeat(depth));
    fine(&format!("resnet 1\nblock b {{\n{open}relu\n{close}}}\n"));
    let one_more = format!("resnet 1\nblock b {{\n{open}if a {{\nrelu\n}}\n{close}}}\n");
    assert_eq!(answer("deep", &one_more)[0].code, codes::LIMIT);
    // The innermost error is found without matching the text around it over and over.
    let bad = format!("resnet 1\nblock b {{\n{open}{}{close}}}\n", "relu x y\n".repeat(50_000));
    assert!(answer("deep and bad", &bad).iter().all(|diagnostic| diagnostic.code == codes::SYNTAX));
}

#[test]
fn an_expression_has_so_many_operators() {
    let with = |operators: usize| format!("resnet 1\nblock b {{\n  let x = 1{}\n}}\n", " + 1".repeat(operators));
    fine(&with(MAX_OPERATORS));
    assert_eq!(errors(&with(MAX_OPERATORS + 1))[0].0, "E0009");
    for unit in ["[0]", " == 1", " and 1"] {
        let text = format!("resnet 1\nblock b {{\n  let x = a{}\n}}\n", unit.repeat(MAX_OPERATORS + 1));
        assert_eq!(errors(&text)[0].0, "E0009", "{unit}");
    }
    for unit in ["-", "not "] {
        let text = format!("resnet 1\nblock b {{\n  let x = {}a\n}}\n", unit.repeat(MAX_OPERATORS + 1));
        assert_eq!(errors(&text)[0].0, "E0009", "{unit}");
    }
}
