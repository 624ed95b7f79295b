//! The commands that look at sources: check, summary, compile --emit, new, explain.

use crate::command::{arg, resnetc};
use serde_json::Value;

#[test]
fn check_passes_on_all_models() {
    let mut args = vec!["check".to_string()];
    for entry in std::fs::read_dir("models").unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "resnet") {
            args.push(path.display().to_string());
        }
    }
    let ran = resnetc(&args.iter().map(String::as_str).collect::<Vec<_>>()).fine();
    assert!(ran.out.contains("resnet50: 50 layers, 25 557 032 parameters, 4 089 184 256 multiply-adds"), "{}", ran.out);
    assert!(ran.err.is_empty(), "{}", ran.err);
}

#[test]
fn check_reports_for_which_sizes_a_network_is_right() {
    let ran = resnetc(&["check", "tests/cases/ok/free-size.resnet"]).fine();
    assert!(ran.out.contains("any H, W >= "), "{}", ran.out);
}

#[test]
fn check_answers_in_json_as_rustc_does() {
    let ran = resnetc(&["check", "--format", "json", "tests/cases/err/many-errors-in-one-run.resnet"]);
    assert_eq!(ran.code, 1);
    let lines: Vec<Value> = ran.out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert!(lines.len() >= 3);
    for line in lines {
        assert_eq!(line["$message_type"], "diagnostic");
        assert_eq!(line["level"], "error");
        assert!(line["code"]["code"].as_str().unwrap().starts_with('E'));
        let span = &line["spans"][0];
        assert_eq!((&span["is_primary"], span["line_start"].as_u64().unwrap() > 0), (&Value::Bool(true), true));
        assert!(line["rendered"].as_str().unwrap().contains("error["));
    }
}

#[test]
fn set_gives_open_parameters_values() {
    let ran = resnetc(&["check", "models/cifar.resnet", "--network", "cifar", "--set", "n=7"]).fine();
    assert!(ran.out.contains("cifar: 44 layers, 658 586 parameters"), "{}", ran.out);
    resnetc(&["check", "models/cifar.resnet", "--network", "cifar"]).refused("needs `n`");
    resnetc(&["check", "models/cifar.resnet", "--network", "resnet20", "--set", "clases=3"]).refused("did you mean `classes`?");
    resnetc(&["check", "models/cifar.resnet", "--network", "resnet20", "--set", "n=3"]).refused("E0121");
    resnetc(&["check", "models/cifar.resnet", "--network", "resnet20", "--set", "classes=1)"]).refused("E0122");
    // the error shows the setting, and points into it
    for (set, at, caret) in
        [("classes", "--set:1:1", "^^^^^^^"), ("classes=ten", "--set:1:9", "^^^"), ("train.optimizer.lrr=1", "--set:1:17", "^^^")]
    {
        let ran = resnetc(&["check", "models/cifar.resnet", "--network", "resnet20", "--set", set]).refused(at);
        assert!(ran.err.contains(&format!("1 | {set}")) && ran.err.contains(&format!(" {caret} ")), "{}", ran.err);
    }
    resnetc(&["check", "models/resnet.resnet", "--network", "resnt50"]).refused("did you mean `resnet50`?");
}

#[test]
fn summary_counts_a_row_a_layer() {
    let ran = resnetc(&["summary", "models/fashion.resnet"]).fine();
    let row = ran.out.lines().find(|l| l.starts_with("layer2.0.conv1 ")).unwrap();
    assert!(row.contains("32 x 14 x 14") && row.contains("4 608") && row.contains("903 168"), "{row}");
    assert!(ran.out.lines().last().unwrap().contains("269 434"), "{}", ran.out);
    let json = resnetc(&["summary", "models/resnet.resnet", "--network", "resnet18", "--format", "json"]).fine();
    let json: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((&json["params"], &json["macs"], &json["layers"]), (&11_689_512.into(), &1_814_073_344u64.into(), &18.into()));
    let sum: u64 = json["rows"].as_array().unwrap().iter().map(|r| r["params"].as_u64().unwrap()).sum();
    assert_eq!(sum, 11_689_512);
    let both = resnetc(&["summary", "models/vgg.resnet", "models/plain.resnet"]).fine();
    assert!(both.out.contains("vgg19") && both.out.contains("plain34"), "{}", both.out);
}

/// He et al. 2016, section 4.1: "although the depth is significantly increased, the 152-layer ResNet (11.3 billion FLOPs) still has lower
/// complexity than VGG-16/19 nets (15.3/19.6 billion FLOPs)".
#[test]
fn summary_sets_networks_side_by_side() {
    let files = ["models/resnet.resnet:resnet152", "models/vgg.resnet:vgg16", "models/vgg.resnet:vgg19"];
    let ran = resnetc(&[&["summary"], &files[..]].concat()).fine();
    let rows: Vec<Vec<&str>> = ran.out.lines().skip(2).map(|line| line.split("  ").filter(|c| !c.is_empty()).collect()).collect();
    assert_eq!(rows.iter().map(|row| row[0]).collect::<Vec<_>>(), ["resnet152", "vgg16", "vgg19"]);
    assert!(rows.iter().all(|row| row[2].trim() == "1000"), "{}", ran.out);
    let macs: Vec<u64> = rows.iter().map(|row| row.last().unwrap().replace(' ', "").parse().unwrap()).collect();
    assert!(macs[0] < macs[1] && macs[1] < macs[2], "{macs:?}");

    // the same by --network, which may be repeated; each must stand somewhere
    let more = ["--network", "vgg16", "--network", "resnet152"];
    let ran = resnetc(&[&["summary", "models/resnet.resnet", "models/vgg.resnet"], &more[..]].concat()).fine();
    assert_eq!(ran.out.lines().count(), 4, "{}", ran.out);
    resnetc(&["summary", "models/resnet.resnet", "models/vgg.resnet", "--network", "vgg17"])
        .refused("none of the files has a network `vgg17`");
    resnetc(&["summary", "models/resnet.resnet:resnt50"]).refused("did you mean `resnet50`?");
    let json = resnetc(&["summary", "models/fashion.resnet", "--format", "json"]).fine();
    let json: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["outputs"], serde_json::json!([["output", "10"]]));
}

#[test]
fn compile_shows_every_stage_of_the_way() {
    let emit = |stage: &str| resnetc(&["compile", "models/fashion.resnet", "--emit", stage]).fine().out;
    assert!(emit("ast").contains("network fashion = cifar(n: 3, classes: 10)"));
    let graph = emit("graph");
    assert!(graph.contains("batchnorm") && graph.contains("layer1"), "{graph}");
    let optimized = emit("optimized");
    assert!(optimized.contains("+ add + relu") && !optimized.contains(" batchnorm "), "{optimized}");
    assert!(emit("plan").contains("arena"));
    assert!(emit("dot").starts_with("digraph"));
    assert_eq!(emit("plan"), emit("plan"), "a dump is deterministic");
}

#[test]
fn new_writes_a_file_that_checks_and_never_overwrites() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mynet");
    resnetc(&["new", arg(&path)]).fine();
    let file = dir.path().join("mynet.resnet");
    let ran = resnetc(&["check", arg(&file)]).fine();
    assert!(ran.out.contains("mynet: 20 layers"), "{}", ran.out);
    let before = std::fs::read(&file).unwrap();
    resnetc(&["new", arg(&path)]).refused("already exists");
    assert_eq!(std::fs::read(&file).unwrap(), before);
    resnetc(&["new", "/nowhere/net"]).refused("cannot create");
    resnetc(&["new", "1net"]).refused("is not a valid network name");
}

#[test]
fn new_takes_no_word_of_the_language_for_a_name() {
    let dir = tempfile::tempdir().unwrap();
    let words = resnetc::internal::syntax::words::RESERVED.iter().chain(resnetc::internal::syntax::words::STATEMENTS);
    for word in words.chain(&["conv", "upsample", "2x", "a-b"]) {
        let path = dir.path().join(word);
        resnetc(&["new", arg(&path)]).refused("is not a valid network name");
        assert!(!path.with_extension("resnet").exists(), "{word}");
    }
}

#[test]
fn one_cause_of_names_that_come_again_is_said_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("net.resnet");
    let said = |text: &str| {
        std::fs::write(&file, format!("resnet 1\n{text}")).unwrap();
        let ran = resnetc(&["check", arg(&file)]);
        assert_eq!(ran.code, 1, "{}", ran.out);
        ran.err.matches("error[E0119]").count()
    };
    let block =
        "block b(filters) {\n  conv 3x3, filters: filters as one\n  batchnorm as two\n  conv 3x3, filters: filters as three\n}\n";
    let net = |body: &str| format!("network net {{\n  input 3 x 8 x 8\n{body}}}\n");
    assert_eq!(said(&net(&"  conv 3x3, filters: 8 as conv\n".repeat(32))), 1);
    assert_eq!(said(&format!("{block}{}", net("  repeat 32 of b { filters: 8 }\n"))), 1);
    assert_eq!(said(&format!("{block}{}", net(&"  b filters: 8\n".repeat(2)))), 1);
    let outer = "block outer(filters) {\n  b filters: filters\n  conv 1x1, filters: filters as four\n}\n";
    assert_eq!(said(&format!("{block}{outer}{}", net("  repeat 9 of outer { filters: 8 }\n"))), 1);
    // causes of their own are said each
    let two = "  conv 3x3, filters: 8 as a\n  batchnorm as b\n";
    assert_eq!(said(&net(&two.repeat(3))), 2);
}

#[test]
fn a_closed_pipe_ends_a_listing_quietly() {
    use std::io::Read;
    use std::process::{Command, Stdio};
    for args in [
        &["summary", "models/resnet.resnet", "--network", "resnet152"][..],
        &["explain", "E0313"],
        &["compile", "models/cifar.resnet", "--network", "resnet110", "--emit", "graph"],
    ] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_resnetc"))
            .args(args)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let mut err = String::new();
        child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        assert_eq!((child.wait().unwrap().code(), err.as_str()), (Some(0), ""), "{args:?}");
    }
}

#[test]
fn explain_prints_the_page_of_a_code() {
    let ran = resnetc(&["explain", "e0301"]).fine();
    assert!(ran.out.starts_with("# E0301") && ran.out.contains("```resnet"), "{}", ran.out);
    assert!(resnetc(&["explain"]).fine().out.lines().count() > 50);
    resnetc(&["explain", "E9999"]).refused("is no error code");
}

#[test]
fn explain_prints_the_reference_of_an_operator() {
    insta::assert_snapshot!(resnetc(&["explain", "avgpool"]).fine().out);
    let activation = resnetc(&["explain", "elu"]).fine().out;
    assert!(activation.contains("\n    elementwise elu(x, alpha = 1) = if x <= 0 then alpha"), "{activation}");
    resnetc(&["explain", "convv"]).refused("did you mean `conv`?");
}

#[test]
fn usage_errors_have_their_own_code() {
    for args in
        [&["frobnicate"][..], &["check"], &["run", "models/fashion.resnet"], &["bench", "models/fashion.resnet", "--batch", "0"]]
    {
        assert_eq!(resnetc(args).code, 2, "{args:?}");
    }
    assert_eq!(resnetc(&["--help"]).code, 0);
    assert!(resnetc(&["run", "--help"]).fine().out.contains("Examples:"));
}

#[test]
fn color_is_asked_for_or_absent() {
    let bad = "tests/cases/err/unknown-key.resnet";
    assert!(!resnetc(&["check", bad]).err.contains('\x1b'));
    assert!(resnetc(&["check", bad, "--color", "always"]).err.contains('\x1b'));
}

/// A file of another kind where a source is expected is named, with what to do.
#[test]
fn files_of_other_kinds_are_no_sources() {
    let dir = tempfile::tempdir().unwrap();
    let onnx = dir.path().join("net.onnx");
    resnetc(&["export", "onnx", "models/fashion.resnet", "-o", arg(&onnx)]).fine();
    for command in ["check", "summary", "bench"] {
        resnetc(&[command, arg(&onnx)]).refused("is an ONNX file: `resnetc import");
        resnetc(&[command, "models/weights/fashion.safetensors"]).refused("is a weight file or an archive, not a source");
        resnetc(&[command, "tests/data/bag.png"]).refused("is an image");
    }
    resnetc(&["train", arg(&onnx), "--data", "/nowhere"]).refused("is an ONNX file");
}
