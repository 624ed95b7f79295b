//! Precisions: what `--precision` and `precision { … }` do to a network and its artifact.

use crate::command::{arg, resnetc, test_data};
use serde_json::Value;

const NET: &str = "resnet 1\nnetwork net {\n  input 3 x 8 x 8\n  precision { fc: f32 }\n  conv 3x3, filters: 64 as conv1\n  batchnorm as bn1\n  relu as relu1\n  \
                   conv 3x3, filters: 64 as conv2\n  relu as relu2\n  avgpool global as pool\n  linear 10 as fc\n}\n";

#[test]
fn an_artifact_fixes_the_precision_of_each_layer() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let (source, input) = (at("net.resnet"), at("x.npy"));
    std::fs::write(&source, NET).unwrap();
    let x = ndarray::ArrayD::from_shape_fn(vec![2, 3, 8, 8], |at| (at[1] * 31 + at[2] * 7 + at[3]) as f32 / 50.0 - 1.0);
    let mut bytes = Vec::new();
    resnetc::internal::formats::npy::write_to(&mut bytes, &x.view()).unwrap();
    std::fs::write(&input, bytes).unwrap();
    let run = |file: &std::path::Path, options: &[&str], y: &str| {
        let y = at(y);
        let args = ["run", arg(file), "--input", arg(&input), "--output", arg(&y)];
        resnetc(&[&args[..], options].concat()).fine();
        resnetc::internal::formats::npy::read(&y).unwrap()
    };
    let (exact, rounded) = (at("f32.rnx"), at("bf16.rnx"));
    let compile = |to: &std::path::Path, options: &[&str]| {
        let args = ["compile", arg(&source), "--weights", "init:1", "-o", arg(to)];
        resnetc(&[&args[..], options].concat()).fine().out
    };
    let said = compile(&rounded, &["--precision", "bf16", "--no-packed-weights"]);
    assert!(said.contains("layers: 2 bf16, 1 f32"), "{said}");
    assert!(!compile(&exact, &["--no-packed-weights"]).contains("layers:"));
    let len = |path: &std::path::Path| std::fs::metadata(path).unwrap().len();
    // the header is most of what is left
    assert!(len(&rounded) < len(&exact) * 55 / 100, "{} of {}", len(&rounded), len(&exact));

    let of_artifact = run(&rounded, &[], "a.npy");
    let of_source = run(&source, &["--weights", "init:1", "--precision", "bf16"], "b.npy");
    assert_eq!(of_artifact, of_source);
    assert_ne!(of_artifact, run(&exact, &[], "c.npy"));
    resnetc(&["verify", arg(&rounded)]).fine();
    // with packed weights too
    let packed = at("packed.rnx");
    compile(&packed, &["--precision", "bf16"]);
    assert_eq!(of_artifact, run(&packed, &[], "d.npy"));

    let ran = resnetc(&["run", arg(&rounded), "--input", arg(&input), "--output", arg(&at("e.npy")), "--precision", "f32"]);
    assert!(ran.code == 2 && ran.err.contains("fixed in an artifact"), "{}", ran.err);
    resnetc(&["export", "onnx", arg(&rounded), "-o", arg(&at("net.onnx"))]).refused("export the network's source");
    let noted = resnetc(&["bench", arg(&rounded), "--runs", "1"]).fine().err;
    assert!(noted.contains("bf16 is emulated"), "{noted}");
}

#[test]
fn int8_is_refused_when_it_is_to_run() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("net.resnet");
    std::fs::write(&source, NET).unwrap();
    resnetc(&["bench", arg(&source), "--precision", "int8", "--runs", "1"])
        .refused("`conv1` is int8, in which no layer can run yet");
}

#[test]
fn precisions_are_shown() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("net.resnet");
    std::fs::write(&source, NET).unwrap();
    let summary = resnetc(&["summary", arg(&source), "--precision", "bf16"]).fine().out;
    let of = |name: &str| summary.lines().find(|line| line.trim_start().starts_with(name)).unwrap().to_owned();
    assert!(of("conv1").ends_with("bf16") && of("fc").ends_with("f32") && of("total").ends_with("2 bf16, 1 f32"), "{summary}");
    assert!(!resnetc(&["summary", arg(&source)]).fine().out.contains("precision"));
    let plan = resnetc(&["compile", arg(&source), "--precision", "bf16", "--emit", "plan"]).fine().out;
    assert!(plan.contains("relu + bf16"), "{plan}");
}

/// All 10 000 images of the test set: f32 gets 81.03 % and 82.56 %.
#[test]
fn bf16_is_as_accurate_as_f32() {
    let Some(data) = test_data("bf16_is_as_accurate_as_f32") else { return };
    let images = data.join("cifar10-jpeg/test.tar");
    for (net, expected) in [("resnet20", 81.03), ("resnet32", 82.56)] {
        let weights = data.join(format!("cifar-resnet/{net}.safetensors"));
        let network = ["eval", "models/cifar.resnet", "--network", net, "--precision", "bf16"];
        let of = ["--weights", arg(&weights), "--data", arg(&images), "--format", "json"];
        let json: Value = serde_json::from_str(&resnetc(&[&network[..], &of].concat()).fine().out).unwrap();
        let top1 = json["top1"].as_f64().unwrap();
        assert!((top1 - expected).abs() <= 0.2, "{net}: {top1}");
    }
}
