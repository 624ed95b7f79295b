//! The promises of `docs/stability.md` that no other test holds: error codes, exit codes, fields of JSON, repeatable training.

use std::collections::BTreeSet;
use std::path::Path;

use crate::command::{arg, resnetc};
use serde_json::Value;

/// Every code that was ever given, with its title. A code is added here together with the compiler's table, and never leaves: one
/// that is no longer reported keeps its line, and its number is not given again.
const EVERY_CODE: &[&str] = &[
    "E0001: syntax error",
    "E0002: brackets do not match",
    "E0003: unexpected character",
    "E0004: malformed number",
    "E0005: unterminated string or unknown escape",
    "E0006: a value needs its key",
    "E0007: the file does not declare its language version",
    "E0008: unsupported language version",
    "E0009: the source is too large or nested too deeply",
    "E0101: cannot read a file or library",
    "E0102: the file does not define that name",
    "E0103: files use each other in a cycle",
    "E0104: a name is defined twice",
    "E0105: the name is a reserved word",
    "E0106: unknown name",
    "E0107: unknown operator or block",
    "E0108: unknown label",
    "E0109: invalid value",
    "E0110: index out of range",
    "E0111: the arithmetic has no valid result",
    "E0112: the network is too large",
    "E0113: blocks or networks are nested too deeply",
    "E0114: misplaced statement",
    "E0115: missing input",
    "E0116: `double` has no previous stage",
    "E0117: a branch is never joined",
    "E0118: a label is not a valid name",
    "E0119: two layers have the same name",
    "E0120: `--set` names an unknown parameter",
    "E0121: `--set` names a parameter that is already fixed",
    "E0122: malformed `--set`",
    "E0123: an input is never used",
    "E0124: invalid value in the recipe",
    "E0125: parts of the recipe conflict",
    "E0126: invalid declaration of a function",
    "E0127: a function calls itself",
    "E0128: a function is too long",
    "E0129: an operand is never used",
    "E0201: unknown key",
    "E0202: an argument is given twice",
    "E0203: an argument is missing",
    "E0204: unexpected argument",
    "E0301: the shortcut does not match what it is added to",
    "E0302: operands differ in shape",
    "E0303: a kernel does not fit its input",
    "E0304: channels cannot be divided into groups",
    "E0305: wrong rank: a feature map or a vector is needed",
    "E0306: a pool has too much padding",
    "E0307: an attribute is 0",
    "E0308: a layer needs a fixed input size",
    "E0309: a tensor is too large",
    "E0310: no input size fits the whole network",
    "E0311: the blocks of a stage differ",
    "E0312: the feature map is halved but the filters are not doubled",
    "E0313: the filters change but the feature map is not halved",
    "E0314: the number of labels is not the number of classes",
    "E0315: preprocessing does not produce the network's input",
    "E0316: a 1-D input has no height",
    "E0317: the padding mode does not fit the input",
    "E0318: the sizes do not fit the value",
    "E0401: the number of layers is not as expected",
    "E0402: the number of parameters is not as expected",
    "E0403: the number of multiply-adds is not as expected",
    "E0404: a shape is not as expected",
    "E0405: `expect` names an unknown value",
    "E0501: the checkpoint has different shortcuts",
    "E0502: the checkpoint has different blocks",
    "E0503: the checkpoint has a different number of blocks",
    "E0504: the checkpoint has a different number of classes",
    "E0505: tensors of the checkpoint have different shapes",
    "E0506: the checkpoint lacks tensors that the network needs",
    "E0507: the checkpoint has tensors that the network does not use",
    "E0508: the checkpoint names its tensors differently",
    "E0509: the checkpoint has weights of an unsupported type",
    "W0101: a parameter is never used",
    "W0102: an import is never used",
    "W0103: two classes have the same label",
    "W0104: a `let` is never used",
    "W0105: a comment looks like a division",
    "W0106: a mean or standard deviation is larger than any pixel",
    "W0107: a pool changes nothing",
];

#[test]
fn no_code_is_removed_or_given_again() {
    let known: Vec<String> =
        resnetc::internal::base::codes::ALL.iter().map(|info| format!("{}: {}", info.code.0, info.title)).collect();
    let numbers: BTreeSet<&str> = known.iter().map(|line| &line[..5]).collect();
    assert_eq!(numbers.len(), known.len(), "a code is given twice");
    assert_eq!(known, EVERY_CODE, "left: the compiler's table; right: every code that was ever given");
}

/// A small network, its recipe, and the dataset of a fixture.
fn place() -> tempfile::TempDir {
    const SOURCE: &str = "resnet 1
use std.blocks: basic

network tiny(classes = 4) {
  input 1 x 8 x 8
  preprocess { channels: gray }
  conv 3x3, filters: 4
  batchnorm
  relu
  stage layer1: 1 of basic { filters: 4 }
  avgpool global
  dropout 0.1
  linear classes

  train {
    batch 16
    epochs 2
    augment { pad: 1, crop: 8 }
  }
}
";
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("tiny.resnet"), SOURCE).unwrap();
    dir
}

const DATA: &str = "tests/fixtures/run-0.1/data";

#[test]
fn exit_codes_say_what_was_wrong() {
    let place = place();
    let net = place.path().join("tiny.resnet");
    let broken = place.path().join("broken.resnet");
    std::fs::write(&broken, "resnet 1\nnetwork n {\n  input 3 x 8 x 8\n  conv 3x3\n}\n").unwrap();
    let (net, broken) = (arg(&net), arg(&broken));
    let not_there = &place.path().join("not-there");
    let expected: &[(i32, &[&str])] = &[
        (0, &["check", net]),
        (0, &["--version"]),
        (0, &["train", "--help"]),
        (1, &["check", broken]),
        (1, &["summary", broken]),
        (1, &["compile", broken, "--emit", "graph"]),
        (1, &["check", arg(not_there)]),
        (1, &["check", net, "--network", "other"]),
        (1, &["verify", net]),
        (1, &["run", net, "--weights", arg(not_there), "tests/data/bag.png"]),
        (1, &["eval", net, "--weights", "init:1", "--data", arg(not_there)]),
        (1, &["train", net, "--data", arg(not_there)]),
        (1, &["import", net]),
        (1, &["explain", "E9999"]),
        (2, &["check"]),
        (2, &["chekc", net]),
        (2, &["check", net, "--nothing"]),
        (2, &["bench", net, "--batch", "0"]),
    ];
    for (code, args) in expected {
        let ran = resnetc(args);
        assert_eq!(ran.code, *code, "{args:?}\n{}{}", ran.out, ran.err);
    }
}

/// The fields of an object, and those of the first object in each of its lists, as `list.field`.
fn fields(object: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (name, value) in object.as_object().unwrap_or_else(|| panic!("no object: {object}")) {
        found.insert(name.clone());
        let inner = value.as_array().map_or(Some(value), |list| list.first()).filter(|inner| inner.is_object());
        found.extend(inner.iter().flat_map(|inner| fields(inner)).map(|field| format!("{name}.{field}")));
    }
    found
}

/// Each field is there; there may be others.
fn has(what: &str, line: &str, promised: &str) {
    let found = fields(&serde_json::from_str(line).unwrap_or_else(|error| panic!("{what}: {error}: {line}")));
    let missing: Vec<&str> = promised.split_whitespace().filter(|field| !found.contains(*field)).collect();
    assert!(missing.is_empty(), "{what} lacks {missing:?} of {found:?}");
}

#[test]
fn json_keeps_its_fields() {
    let place = place();
    let net = place.path().join("tiny.resnet");
    let net = arg(&net);
    let answers = |args: &[&str]| resnetc(&[args, &["--format", "json"]].concat());

    let said = resnetc(&["check", "tests/cases/err/brace-not-closed.resnet", "--format", "json"]);
    let diagnostic = said.out.lines().next().unwrap();
    has("check", diagnostic, "$message_type message level code code.code code.explanation spans children rendered");
    has(
        "check",
        diagnostic,
        "spans.file_name spans.byte_start spans.byte_end spans.line_start spans.line_end spans.column_start spans.column_end \
         spans.is_primary spans.label spans.text",
    );

    let summary = answers(&["summary", net]).fine().out;
    has(
        "summary",
        &summary,
        "file network layers params macs outputs stages stages.name stages.blocks stages.unit stages.output stages.params \
         stages.macs rows rows.name rows.operator rows.output rows.params rows.macs",
    );

    let ran = answers(&["run", net, "--weights", "init:1", "tests/data/bag.png"]).fine().out;
    has("run", &ran, "image top top.class top.label top.probability");

    let measured = answers(&["eval", net, "--weights", "init:1", "--data", DATA, "--worst", "1"]).fine().out;
    has(
        "eval",
        &measured,
        "network images of skipped top1 top5 top1_error top5_error loss not_finite confusion images_per_s views views.count \
         views.crops views.scales views.flipped views.average worst worst.image worst.class worst.label worst.probability \
         worst.answer worst.answer_label worst.answer_probability",
    );

    let bench = answers(&["bench", net, "--runs", "2"]).fine().out;
    has("bench", &bench, "network mode batch threads isa runs median_ms min_ms mean_ms deviation_ms images_per_s peak_rss_mb");

    let profile = answers(&["profile", net, "--runs", "2"]).fine().out;
    has(
        "profile",
        &profile,
        "network batch threads isa runs median_ms min_ms steps_ms images_per_s gflop gflops percent_of_peak peaks peaks.threads \
         peaks.gflops non_winograd families families.name families.steps families.ms families.share arena_bytes packed_bytes \
         peak_rss_mb steps steps.name steps.kernel steps.family steps.shape steps.us steps.best_us steps.share steps.macs \
         steps.gflops steps.percent_of_peak steps.bytes steps.gb_per_s",
    );
}

/// The log has its fields, and the same seed, data, thread count and instruction set give the same bits.
#[test]
fn a_run_keeps_its_fields_and_can_be_repeated() {
    let place = place();
    let net = place.path().join("tiny.resnet");
    let train = |name: &str| {
        let run = place.path().join(name);
        resnetc(&["train", arg(&net), "--data", DATA, "--threads", "2", "--seed", "5", "--quiet", "-o", arg(&run)]).fine();
        run
    };
    let weights = |run: &Path| std::fs::read(run.join("weights.safetensors")).unwrap();
    let (first, second) = (train("first"), train("second"));
    assert!(weights(&first) == weights(&second), "two runs with one seed differ");

    let log = std::fs::read_to_string(first.join("train.jsonl")).unwrap();
    let line = |event: &str| log.lines().find(|line| line.contains(&format!("\"event\":\"{event}\""))).unwrap();
    has("start", line("start"), "event network samples valid_samples epoch_steps total_steps");
    has("step", line("step"), "event step epoch loss error lr images_per_s");
    has("epoch", line("epoch"), "event epoch step loss error seconds");
    has("valid", line("valid"), "event epoch step loss error");
    has(
        "run.json",
        &std::fs::read_to_string(first.join("run.json")).unwrap(),
        "file copy network set data valid threads version",
    );
}
