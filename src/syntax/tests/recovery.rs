//! Texts with errors: every error is reported once, and the rest is parsed.

use super::super::ast::{Item, StmtKind};
use super::*;

/// The pages of this folder's codes hold one file that breaks the rule and one that follows it.
#[test]
fn the_pages_show_their_codes() {
    for code in ["E0001", "E0002", "E0003", "E0004", "E0005", "E0006", "E0007", "E0008", "E0009"] {
        let page = codes::find(code).unwrap().page;
        let files: Vec<&str> = page.split("```resnet\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
        assert_eq!(files.len(), 2, "{code}");
        let found: Vec<_> = errors(files[0]).into_iter().map(|(code, _)| code).collect();
        assert!(found.iter().all(|found| *found == code) && !found.is_empty(), "{code}: {found:?}");
        fine(files[1]);
    }
}

const MANY: &str = r#"resnet 1
use std.blocks basic

block unit(filters stride) {
  conv 3x3 filters: filters
  conv 3x3, filters, 64
  norm = 3
  stage layer1 3 of basic { filters: 64, map = halve }
  relu 12abc
  Conv2d(3, 64)
  branch of {
    relu then
  }
  @relu
  dropout .5
}

network net {
  input 3 x
  shortcut projection
  stem {
    conv 7x7, filters: 64, stride: (2
    norm relu
  }
  head {
    avgpool global,
  }
  if 3 > {
    linear 3 4
  }
  else {
    relu )
  }
  parallel concat {
    left {
      conv 1x1 8
    }
    right
  }
}

network broken(a, b {
  expect params 3
  weights "abc
  labels ["a", "b]
  train {
    init he
    optimizer sgd { lr: , momentum: 0.9 }
    batch !
  }
  conv 3x3 as "x{i"
  conv 3x3 as "x{i +}"
  conv 3x3 as "x}"
}

conv 3x3
relu

block
"#;

#[test]
fn every_error_of_a_file() {
    let (_, _, said) = read(MANY);
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(said) });
}

#[test]
fn what_is_all_right_around_an_error_is_read() {
    let (file, diagnostics, _) = read(
        "resnet 1\nblock a {\n  relu\n  norm norm norm\n  scope s {\n    relu 1 2\n    relu\n  }\n}\nblock b {\n  relu\n}\n",
    );
    assert_eq!(diagnostics.len(), 2);
    let [Item::Block(a), Item::Block(b)] = file.items.as_slice() else { panic!() };
    assert!(a.damaged && !b.damaged);
    assert_eq!(a.body.len(), 2);
    let StmtKind::Scope { body, .. } = &a.body[1].kind else { panic!() };
    assert_eq!(body.len(), 1);
}

#[test]
fn an_item_whose_head_does_not_parse_keeps_its_name() {
    let (file, ..) = read("resnet 1\nnetwork net(a b) {\n  relu\n}\n");
    let [Item::Network(net)] = file.items.as_slice() else { panic!() };
    assert_eq!((net.name.node.as_str(), net.damaged, net.body.len()), ("net", true, 1));
}

#[test]
fn a_missing_brace_is_found_by_the_indentation() {
    let text = "resnet 1\nblock a {\n  scope inner {\n    relu\n  batchnorm\n}\n\nblock b {\n  relu relu\n}\n";
    let (file, diagnostics, said) = read(text);
    assert_eq!(diagnostics.iter().map(|d| d.code).collect::<Vec<_>>(), [codes::BRACKETS], "{said}");
    assert!(said.contains("3 |   scope inner {"), "{said}");
    assert_eq!(file.items.len(), 2);
}

#[test]
fn a_statement_without_its_closing_brace_ends_with_the_text() {
    for text in [
        "resnet 1\nnetwork net {\n  preprocess {",
        "resnet 1\nnetwork net {\n  input H",
        "resnet 1\nnetwork net {\n  scope s {\n    relu // é",
    ] {
        let (file, ..) = read(text);
        let [Item::Network(net)] = file.items.as_slice() else { panic!() };
        let statement = net.body[0].span.range();
        assert_eq!((net.span.range().end, statement.end > statement.start), (text.len(), true));
        assert!(text.get(statement).is_some(), "{:?} of {text:?}", net.body[0]);
    }
}

#[test]
fn a_brace_too_many_is_found_by_the_indentation() {
    let text = "resnet 1\nblock a {\n  scope inner {\n    relu\n  }\n  }\n  batchnorm\n}\nblock b { }\n";
    let (file, diagnostics, said) = read(text);
    assert_eq!(diagnostics.len(), 1, "{said}");
    assert!(said.contains("net.resnet:6:3"), "{said}");
    let [Item::Block(a), Item::Block(_)] = file.items.as_slice() else { panic!() };
    assert_eq!(a.body.len(), 2);
}

#[test]
fn an_item_without_its_brace_does_not_swallow_the_next() {
    let (file, diagnostics, said) = read("resnet 1\nnetwork a {\n  relu\n\nnetwork b {\n  relu\n}\n");
    assert_eq!(diagnostics.len(), 1, "{said}");
    assert_eq!(file.items.len(), 2);
}

#[test]
fn a_parenthesis_that_is_not_closed_costs_its_line_only() {
    assert_eq!(
        errors("resnet 1\nblock a {\n  conv (3\n  relu x y\n  scope s {\n    batchnorm\n  }\n}\n"),
        [("E0002", "(".to_owned()), ("E0001", "y".to_owned())]
    );
}

#[test]
fn the_version_is_asked_for_and_looked_at() {
    assert_eq!(errors("block a { }"), [("E0007", "block".to_owned())]);
    assert_eq!(errors(""), [("E0007", String::new())]);
    assert_eq!(errors("resnet\nblock a { }"), [("E0001", "t".to_owned())]);
    // The text of another version is not checked.
    assert_eq!(errors("resnet 2\nwhatever { it says"), [("E0008", "2".to_owned()), ("E0002", "{".to_owned())]);
    assert_eq!(errors("resnet 1\nresnet 1\n"), [("E0001", "resnet".to_owned())]);
}

#[test]
fn single_tokens() {
    for (written, code, at) in [
        ("relu §", "E0003", "§"),
        ("relu a && b", "E0003", "&&"),
        ("relu 1__0", "E0004", "1__0"),
        ("relu 1_", "E0004", "1_"),
        ("relu 9223372036854775808", "E0004", "9223372036854775808"),
        ("relu 1e999", "E0004", "1e999"),
        ("relu 1e", "E0004", "1e"),
        ("relu 3.", "E0004", "3."),
        ("relu 3x", "E0004", "3x"),
        ("relu 3x99999999999999999999", "E0004", "3x99999999999999999999"),
        ("relu \"a", "E0005", "\"a"),
        ("relu \"a\\q\"", "E0005", "\\q"),
        ("relu [1)", "E0002", ")"),
        ("relu 1]", "E0002", "]"),
        ("relu 1, 2", "E0006", "2"),
        ("relu f(a: 1, 2)", "E0006", "2"),
        ("relu as \"{9223372036854775808}\"", "E0004", "9223372036854775808"),
    ] {
        assert_eq!(
            errors(&format!("resnet 1\nblock a {{\n  {written}\n  batchnorm\n}}\n")),
            [(code, at.to_owned())],
            "{written}"
        );
    }
}

#[test]
fn one_cause_is_told_once() {
    let (_, diagnostics, said) = read("resnet 1\nconv 3x3\nbatchnorm\nrelu\nblock a { }\nrelu\n");
    assert_eq!(diagnostics.len(), 2, "{said}");
}

#[test]
fn fixes_mend_the_text() {
    for text in [
        "block a { }\n",
        "resnet 1\nblock a {\n  conv 3x3 filters: 8\n}\n",
        "resnet 1\nblock a(x y) {\n  conv 3x3, filters = 8\n}\n",
        "resnet 1\nblock a {\n  let x = (1 + 2]\n  let y = a && b\n}\n",
    ] {
        let (_, diagnostics, said) = read(text);
        let mut edits: Vec<_> = diagnostics.iter().flat_map(|d| &d.helps).filter_map(|help| help.edit.clone()).collect();
        assert_eq!(edits.len(), diagnostics.len(), "{said}");
        edits.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
        let mut mended = text.to_owned();
        for (span, new) in edits {
            mended.replace_range(span.range(), &new);
        }
        fine(&mended);
    }
}

#[test]
fn errors_in_a_join_with_a_body_are_found_one_by_one() {
    let (file, diagnostics, _) = read("resnet 1\nblock a {\n  mul {\n    relu 1 2\n    relu\n    relu 1 2\n  }\n  relu\n}\n");
    assert_eq!(diagnostics.len(), 2);
    let [Item::Block(a)] = file.items.as_slice() else { panic!() };
    let StmtKind::Joined { body, .. } = &a.body[0].kind else { panic!() };
    assert_eq!((a.body.len(), body.len()), (2, 1));
}
