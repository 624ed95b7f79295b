//! What commands say, and in which form: errors as JSON, sources from standard input, what a file does not state.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::command::{Ran, resnetc};
use crate::tiny::Place;

/// Runs `resnetc` with a text on its standard input.
fn piped(args: &[&str], text: &str) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_resnetc"))
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // a command that refuses its arguments reads nothing
    let _ = child.stdin.take().unwrap().write_all(text.as_bytes());
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Lines of JSON.
fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

const TWO: &str =
    "resnet 1\nnetwork a {\n  input 3 x 8 x 8\n  conv 3x3, filters: 4\n}\nnetwork b {\n  input 1 x 8 x 8\n  relu\n}\n";

#[test]
fn a_source_may_come_from_standard_input() {
    let ran = piped(&["check", "-"], TWO).fine();
    assert!(ran.out.contains("-: ok") && ran.out.contains("  a: ") && ran.out.contains("  b: "), "{}", ran.out);
    let ran = piped(&["check", "-", "--network", "b"], TWO).fine();
    assert!(!ran.out.contains("  a: ") && ran.out.contains("  b: "), "{}", ran.out);
    let ran = piped(&["summary", "-", "--network", "a"], TWO).fine();
    assert!(ran.out.contains("conv1") && ran.out.contains("4 x 8 x 8"), "{}", ran.out);
    let ran = piped(&["bench", "-", "--network", "a", "--weights", "init", "--runs", "1"], TWO).fine();
    assert!(ran.out.contains("ms"), "{}", ran.out);
    let ran = piped(&["check", "-"], "resnet 1\nnetwork a {\n  input 3 x 8 x 8\n  rellu\n}\n");
    assert!(ran.code == 1 && ran.err.contains("<stdin>:4:3") && ran.err.contains("did you mean `relu`?"), "{}", ran.err);
    let ran = piped(&["train", "-", "--data", "x"], TWO);
    assert!(ran.code == 2 && ran.err.contains("training needs a file"), "{}", ran.err);
    let ran = piped(&["check", "-:b"], TWO).fine();
    assert!(ran.out.contains('b') && !ran.out.contains("network `a`"), "{}", ran.out);
    piped(&["check", "-:c"], TWO).refused("no network `c`");
    resnetc(&["check", "models/cifar.resnet:resnet20"]).fine();
    resnetc(&["check", "models/cifar.resnet:resnet2"]).refused("did you mean `resnet20`?");
}

#[test]
fn errors_are_json_where_results_are() {
    let ran = resnetc(&["summary", "nowhere.resnet", "--format", "json"]);
    let said = lines(&ran.err);
    assert!(ran.code == 1 && ran.out.is_empty(), "{}", ran.out);
    assert_eq!(
        (said.len(), &said[0]["level"], &said[0]["spans"]),
        (1, &"error".into(), &Value::Array(Vec::new())),
        "{}",
        ran.err
    );
    assert!(said[0]["message"].as_str().unwrap().contains("nowhere.resnet") && said[0]["code"].is_null(), "{}", ran.err);
    // and what is wrong with the arguments themselves
    for wrong in [&["run", "--nope"][..], &["eval"], &["frobnicate"]] {
        let ran = resnetc(&[wrong, &["--format", "json"]].concat());
        let said = lines(&ran.err);
        assert!(ran.code == 2 && ran.out.is_empty() && said.len() == 1, "{}", ran.err);
        assert_eq!(said[0]["level"], "error", "{}", ran.err);
        assert!(!said[0]["message"].as_str().unwrap().contains("error:"), "{}", ran.err);
    }
    // diagnostics of a source have their codes and places
    let place = Place::new();
    let net = place.path("wrong.resnet");
    std::fs::write(&net, "resnet 1\nnetwork a {\n  input 3 x 8 x 8\n  linear 4\n  rellu\n}\n").unwrap();
    let net = place.arg("wrong.resnet");
    for command in ["summary", "bench", "profile"] {
        let ran = resnetc(&[command, &net, "--format", "json"]);
        let said = lines(&ran.err);
        assert!(ran.code == 1 && ran.out.is_empty() && said[0]["code"]["code"] == "E0107", "{command}: {}{}", ran.out, ran.err);
        assert_eq!(said[0]["spans"][0]["line_start"], 5, "{command}");
    }
    // those of `check` are its result
    let ran = resnetc(&["check", &net, "nowhere.resnet", "--format", "json"]);
    let said = lines(&ran.out);
    assert!(ran.code == 1 && ran.err.is_empty() && said.len() == 2, "{}{}", ran.out, ran.err);
    assert!(said[0]["code"]["code"] == "E0107" && said[1]["message"].as_str().unwrap().contains("nowhere"), "{}", ran.out);
    // so are notes
    let ran = resnetc(&["run", &place.arg("plain.resnet"), "--weights", "init", "nowhere.png", "--format", "json"]);
    assert!(lines(&ran.err).iter().any(|line| line["level"] == "note"), "{}", ran.err);
}

#[test]
fn a_network_without_preprocess_or_labels_says_so_once() {
    let place = Place::new();
    let image = "tests/data/ankle-boot.png";
    let ran = resnetc(&["run", &place.arg("plain.resnet"), "--weights", "init", image, image]).fine();
    for word in ["has no `preprocess`", "has no `labels`"] {
        assert_eq!(ran.err.matches(word).count(), 1, "{}", ran.err);
    }
    let ran = resnetc(&["run", &place.arg("tiny.resnet"), "--weights", "init", image]).fine();
    assert!(!ran.err.contains("has no `preprocess`") && ran.err.contains("has no `labels`"), "{}", ran.err);
}

#[test]
fn a_network_that_breaks_its_expectations_is_shown() {
    let place = Place::new();
    std::fs::write(
        place.path("net.resnet"),
        "resnet 1\nnetwork net {\n  input 3 x 8 x 8\n  conv 3x3, filters: 4\n  expect params: 7\n}\n",
    )
    .unwrap();
    let (net, page) = (place.arg("net.resnet"), place.arg("net.html"));
    let ran = resnetc(&["summary", &net]).refused("E0402");
    assert!(ran.out.contains("conv1"), "{}", ran.out);
    resnetc(&["view", &net, "-o", &page]).refused("E0402");
    assert!(String::from_utf8(place.read("net.html")).unwrap().contains("conv1"));
    // it does not run, and other errors show nothing
    resnetc(&["bench", &net, "--weights", "init"]).refused("E0402");
    std::fs::write(place.path("net.resnet"), "resnet 1\nnetwork net {\n  input 3 x 8 x 8\n  rellu\n}\n").unwrap();
    assert!(resnetc(&["summary", &net]).refused("E0107").out.is_empty());
}

#[test]
fn weights_are_checked_without_a_run() {
    let place = Place::new();
    let tiny = place.arg("tiny.resnet");
    resnetc(&["check", &tiny, "--weights", "tests/fixtures/tiny.safetensors"]).refused("E05");
    resnetc(&["check", &tiny, "--weights", "nowhere.pth"]).refused("nowhere.pth");
    let ran = resnetc(&["check", &tiny, "--weights", "tests/fixtures/tiny.safetensors", "--format", "json"]);
    assert!(lines(&ran.out).iter().any(|line| line["code"]["code"].as_str().unwrap().starts_with("E05")), "{}", ran.out);
}

#[test]
fn shells_and_man_know_every_command() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = resnetc(&["completions", shell]).fine().out;
        assert!(script.contains("calibrate-bn") && script.contains("train"), "{shell}");
    }
    let dir = tempfile::tempdir().unwrap();
    resnetc(&["man", "-o", dir.path().to_str().unwrap()]).fine();
    let page = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    assert!(page("resnetc.1").contains("resnetc\\-train(1)"), "{}", page("resnetc.1"));
    assert!(page("resnetc-export-onnx.1").contains("resnetc\\-export\\-onnx") && page("resnetc-train.1").contains("resume"));
    // a section for each command in the documentation
    let docs = std::fs::read_to_string("docs/commands.md").unwrap();
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let command = name.trim_end_matches(".1").replace("resnetc-", "").replace("export-", "export ");
        let is_group = ["resnetc", "export"].contains(&command.as_str());
        assert!(is_group || docs.contains(&format!("## resnetc {command}\n")), "{command}");
    }
}

#[test]
fn codes_are_found_without_their_zeros() {
    let page = resnetc(&["explain", "E0301"]).fine().out;
    for short in ["e301", "E301", "301", "e0301"] {
        assert_eq!(resnetc(&["explain", short]).fine().out, page, "{short}");
    }
    assert!(resnetc(&["explain", "w101"]).fine().out.contains("W0101"));
    resnetc(&["explain", "e9999"]).refused("is no error code");
    assert!(resnetc(&["explain", "conv"]).fine().out.contains("kernel"));
}
