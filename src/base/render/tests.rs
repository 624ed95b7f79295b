use super::*;
use crate::base::codes;
use crate::base::source::{FileId, SourceMap, Span};

fn at(file: FileId, text: &str, what: &str) -> Span {
    let start = text.find(what).unwrap();
    Span::new(file, start..start + what.len())
}

/// The example of the language's design.
fn shortcut() -> (Vec<Diagnostic>, SourceMap) {
    let net = "resnet 1\n\nnetwork net {\n  stage layer2: 4 of basic { filters: double, map: halve, shortcut: identity }\n}\n";
    let library = "block basic(filters) {\n  add shortcut\n}\n";
    let mut sources = SourceMap::default();
    let (a, b) = (sources.add_text("net.resnet", net), sources.add_text("std.blocks", library));
    let diag =
        Diagnostic::error(codes::SYNTAX, "the shortcut adds 64 channels to 128", at(b, library, "add shortcut"), "added here")
            .label(at(a, net, "layer2"), "in block 0 of this stage")
            .label(at(a, net, "filters: double"), "makes F(x) 128 x 28 x 28")
            .label(at(a, net, "shortcut: identity"), "identity carries 64 x 56 x 56")
            .rule("x and F(x) must have equal dimensions")
            .help("`shortcut: pad` appends 64 zero channels")
            .fix("project", at(a, net, "identity"), "projection");
    (vec![diag], sources)
}

#[test]
fn labels_in_two_files() {
    let (diags, sources) = shortcut();
    insta::assert_snapshot!(terminal(&diags, &sources, false));
}

#[test]
fn colors_are_there_on_demand() {
    let (diags, sources) = shortcut();
    assert!(terminal(&diags, &sources, true).contains("\x1b["));
    assert!(!terminal(&diags, &sources, false).contains('\x1b'));
}

#[test]
fn json_is_one_line_with_the_fields_of_rustc() {
    let (diags, sources) = shortcut();
    let line = json(&diags[0], &sources);
    assert!(!line.contains('\n'));
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["$message_type"], "diagnostic");
    assert_eq!(value["level"], "error");
    assert_eq!(value["code"]["code"], "E0001");
    let span = &value["spans"][0];
    assert_eq!((span["file_name"].as_str(), span["is_primary"].as_bool()), (Some("std.blocks"), Some(true)));
    assert_eq!(
        (span["line_start"].as_u64(), span["column_start"].as_u64(), span["column_end"].as_u64()),
        (Some(2), Some(3), Some(15))
    );
    assert_eq!(span["text"][0]["text"], "  add shortcut");
    assert_eq!(span["text"][0]["highlight_start"], 3);
    let fix = &value["children"][2];
    assert_eq!((fix["level"].as_str(), fix["message"].as_str()), (Some("help"), Some("project")));
    assert_eq!(fix["spans"][0]["suggested_replacement"], "projection");
    assert!(value["rendered"].as_str().unwrap().contains("the shortcut adds 64 channels to 128"));
}

#[test]
fn diagnostics_come_by_file_and_position() {
    let mut sources = SourceMap::default();
    let (a, b) = (sources.add_text("a", "one two"), sources.add_text("b", "three"));
    let error = |span, text: &str| Diagnostic::error(codes::SYNTAX, text, span, "");
    let diags = [error(Span::new(b, 0..5), "last"), error(Span::new(a, 4..7), "second"), error(Span::new(a, 0..3), "first")];
    let text = terminal(&diags, &sources, false);
    let place = |word| text.find(word).unwrap();
    assert!(place("first") < place("second") && place("second") < place("last"), "{text}");
}

#[test]
fn a_long_line_is_shown_in_part_and_its_column_is_right() {
    let text = format!("resnet 1\n{}HERE{}\n", "ä ".repeat(100_000), "b ".repeat(100_000));
    let mut sources = SourceMap::default();
    let file = sources.add_text("long", text.as_str());
    let diag = Diagnostic::error(codes::SYNTAX, "wrong", at(file, &text, "HERE"), "this");
    let shown = terminal(std::slice::from_ref(&diag), &sources, false);
    assert!(shown.contains("long:2:200001"), "{shown}");
    assert!(shown.contains("HERE") && shown.contains("^^^^ this") && shown.len() < 2000, "{shown}");
    assert!(json(&diag, &sources).len() < 20_000);
}

/// Spans that fit no character, stand at or behind the end, or belong to an empty text.
#[test]
fn no_span_is_too_wild() {
    for text in ["", "\n", "äöü\nß", "a\r\nb\r\n"] {
        let mut sources = SourceMap::default();
        let file = sources.add_text("wild", text);
        for start in 0..10 {
            for end in 0..10 {
                let diag = Diagnostic::error(codes::SYNTAX, "wrong", Span { file, start, end }, "this");
                assert!(terminal(std::slice::from_ref(&diag), &sources, false).contains("wrong"));
                assert!(json(&diag, &sources).contains("wrong"));
            }
        }
    }
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let text = "weights \"\x1b]0;owned\x07\u{202e}\"";
    let mut sources = SourceMap::default();
    let file = sources.add_text("evil", text);
    let span = Span::new(file, 0..text.len());
    let diag = Diagnostic::error(codes::SYNTAX, text, span, text).note(text).help(text);
    let shown = terminal(&[diag], &sources, false);
    assert!(!shown.contains(['\x1b', '\x07', '\u{202e}']), "{shown:?}");
}

#[test]
fn too_many_are_counted_and_not_shown() {
    let mut sources = SourceMap::default();
    let file = sources.add_text("many", "text");
    let diags = vec![Diagnostic::error(codes::SYNTAX, "wrong", Span::new(file, 0..4), ""); MOST_SHOWN + 7];
    assert!(terminal(&diags, &sources, false).ends_with("… and 7 more\n\n"));
    let lines: Vec<String> = json_lines(&diags, &sources).collect();
    assert_eq!(lines.len(), MOST_SHOWN + 1);
    let last: serde_json::Value = serde_json::from_str(&lines[MOST_SHOWN]).unwrap();
    assert_eq!((last["level"].as_str(), last["message"].as_str()), (Some("failure-note"), Some("… and 7 more")));
    assert_eq!(json_lines(&diags[..MOST_SHOWN], &sources).count(), MOST_SHOWN);
}
