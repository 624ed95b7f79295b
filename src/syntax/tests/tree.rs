//! What trees are made of texts that are all right.

use pest::Parser;

use super::super::ast::*;
use super::super::grammar::{Grammar, Rule};
use super::super::{dump, scan};
use super::*;
use crate::base::source::FileId;

/// Every statement and every form of it.
const ALL: &str = r#"// The file's own comment.
resnet 1
use std.blocks: basic, bottleneck
use "other.resnet": one,
  two
use "all.resnet"

/// First line.
/// Second line.
network net(unit, depths = [3, 4, 6, 3], wide = false, classes = 1_000) {
  input image: 3 x H x (W - 1)
  stem {
    conv 7x7, filters: 64, stride: 2 as conv1 // behind a statement
    batchnorm; relu
  }
  shortcut: projection(when: always, unit: down(2))
  let width = if wide then 128 else if classes > 10 then 64 else 32
  stage layer1: depths[0] of unit { filters: width }
  stage layer2: depths[1] of unit(groups: 32) {
    filters: double
    map: halve, width
    allow doubling
  }
  repeat 3 of basic
  repeat block2.0: 2 of basic { filters: 8 }
  scope "s{i}" {
    sequential features { conv 1x1, width as "x{i + 1}.y{2 * i}" }
  }
  branch side from layer1 { relu }
  branch other { avgpool global }
  add side
  parallel concat {
    left { conv 1x1, filters: 8 }
    "right.{i}" { }
    { conv 1x1, filters: 8 as plain }
  } as joined
  if not wide and classes >= 10 { relu } else if wide { batchnorm }
  // between
  else { dropout 0.5 }
  concat [side, other], width
  upsample nearest, like: layer2.0
  avgpool output_size: 7x7
  apply 1 - x * width as carry
  apply if x > 0 then x else elu(x, alpha: -0.5)
  head { linear classes as fc }
  output c3 from layer2.1.conv1
  output main
}

network derived = net(basic, n: 2, depths: [1, 2]) {
  input 1 x 28x28
  expect layers: 20
  expect params ~= 25.6e6
  expect macs: 3_000
  expect layer2: 128 x 28 x 28
  expect output: classes
  preprocess { channels: gray, mean: [0.286], std: [0.353] }
  labels ["T-shirt/top", "a \"quoted\" \\ one",
    "third"]
  weights "weights/net.safetensors"
  train {
    init he
    optimizer sgd { lr: 0.1, momentum: 0.9, weight_decay: 1e-4 }
    schedule steps [15, 25] { gamma: 0.1 }
    batch 128
  }
}
/// A learned slope.
elementwise slope(x, weight: parameter = 0.25, gate: full, alpha = 1,) = gate * max(x, 0) + weight * -min(x, alpha) // !
network twin = derived
block empty() { }
"#;

#[test]
fn the_tree_of_every_statement() {
    insta::with_settings!({ omit_expression => true }, {
        insta::assert_snapshot!(format!("{ALL}{}\n{}", "-".repeat(100), dump(&fine(ALL), ALL)));
    });
}

#[test]
fn the_models_parse_and_match_the_grammar_as_a_whole() {
    for (name, text) in models() {
        assert!(!fine(&text).items.is_empty(), "{name}");
        let mut sources = SourceMap::default();
        let clean = scan::scan(sources.add_text("net.resnet", ""), &text).clean;
        assert_eq!(clean.len(), text.len());
        Grammar::parse(Rule::file, &clean).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

/// The tree does not depend on whether an item matched as a whole or was cut up: a stray character in front has all of it cut up.
#[test]
fn what_recovery_reads_is_what_is_read_otherwise() {
    for (name, text) in models() {
        let cut = text.lines().map(|line| if line.ends_with('{') { format!("{line} @\n") } else { format!("{line}\n") });
        let bodies = |file: &File| -> Vec<usize> {
            let count = |item: &Item| match item {
                Item::Network(network) => Some(network.body.len()),
                Item::Block(block) => Some(block.body.len()),
                Item::Use(_) | Item::Function(_) => None,
            };
            file.items.iter().filter_map(count).collect()
        };
        let (recovered, diagnostics, said) = read(&cut.collect::<String>());
        assert_eq!(bodies(&fine(&text)), bodies(&recovered), "{name}\n{said}");
        assert!(diagnostics.iter().all(|diagnostic| diagnostic.code == codes::STRAY), "{name}\n{said}");
    }
}

/// The text under the span of everything named is the name.
#[test]
fn spans_are_where_things_are() {
    let file = fine(ALL);
    let text = |span: Span| &ALL[span.range()];
    assert_eq!(file.comments.iter().map(|comment| text(comment.span)).collect::<Vec<_>>()[0], "// The file's own comment.");
    let Some(Item::Network(net)) = file.items.iter().find(|item| matches!(item, Item::Network(_))) else { panic!() };
    assert_eq!(net.doc.as_deref(), Some("First line.\nSecond line."));
    assert_eq!(text(net.name.span), "net");
    assert_eq!(text(net.params[1].name.span), "depths");
    assert!(text(net.span).starts_with("network net(") && text(net.span).ends_with("output main\n}"));
    let texts: Vec<&str> = net.body.iter().map(|stmt| text(stmt.span)).collect();
    assert_eq!(texts[0], "input image: 3 x H x (W - 1)");
    assert!(texts.contains(&"repeat 3 of basic"));
    assert!(texts.contains(&"concat [side, other], width"));
    let StmtKind::Call(concat) = &net.body.iter().find(|stmt| text(stmt.span).starts_with("concat")).unwrap().kind else {
        panic!()
    };
    assert_eq!(concat.args[1].key.as_ref().unwrap().span, concat.args[1].value.span, "a bare name is its own key");
}

fn value(expression: &str) -> String {
    let text = format!("resnet 1\nblock b {{\n  let x = {expression}\n}}\n");
    let dumped = dump(&fine(&text), &text);
    dumped.split_once("let x = ").unwrap().1.trim_end().to_owned()
}

#[test]
fn operators_bind_as_they_should() {
    for (written, read) in [
        ("1 + 2 * 3", "(1 + (2 * 3))"),
        ("8 / 4 / 2", "((8 / 4) / 2)"),
        ("8 - 4 - 2", "((8 - 4) - 2)"),
        ("-a * b", "((-a) * b)"),
        ("a - -1", "(a - (-1))"),
        ("not a == b and c or d", "(((not (a == b)) and c) or d)"),
        ("a or b and not c", "(a or (b and (not c)))"),
        ("1 + 2 < 3 * 4", "((1 + 2) < (3 * 4))"),
        ("(1 + 2) * 3", "((1 + 2) * 3)"),
        ("if a then b + 1 else if c then d else e", "(if a then (b + 1) else (if c then d else e))"),
        ("depths[i - 1][0] % 2", "(depths[(i - 1)][0] % 2)"),
        ("basic(a, b: [1, 2,],)", "basic(a, b: [1, 2])"),
        ("1_000 + 2.5e-3", "(1000 + 0.0025)"),
        ("7x5", "7x5"),
        (r#""a \"b\" \\ \n""#, r#""a \"b\" \\ \n""#),
        ("true", "true"),
        ("trueish.0", "trueish.0"),
    ] {
        assert_eq!(value(written), read);
    }
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_no_matter() {
    let text = "resnet 1\nblock b {\n  batchnorm // here\n  relu\n}\n";
    let foreign = format!("\u{feff}{}", text.replace('\n', "\r\n"));
    let Some(Item::Block(block)) = fine(&foreign).items.pop() else { panic!() };
    assert_eq!(block.body.len(), 2);
}

#[test]
fn words_of_statements_are_names_elsewhere() {
    fine(
        "resnet 1\nblock b(stage, input) {\n  add shortcut, train: stage\n  scope head { relu as output }\n  branch labels { batchnorm }\n  add labels\n}",
    );
}

#[test]
fn doc_comments_stand_right_above_their_item() {
    let file = fine("resnet 1\n/// not this\n\n/// this\nblock a { }\n/// nor this\n// since\nblock b { }\n");
    let docs: Vec<_> =
        file.items.iter().map(|item| if let Item::Block(block) = item { block.doc.as_deref() } else { None }).collect();
    assert_eq!(docs, [Some("this"), None]);
    assert_eq!(file.comments.len(), 4);
}

#[test]
fn the_end_of_the_file_needs_no_line_end() {
    let ids: FileId = SourceMap::default().add_text("", "");
    for text in ["resnet 1", "resnet 1 // comment", "resnet 1\nblock b { }"] {
        assert_eq!(parse(ids, text).1, []);
    }
}
