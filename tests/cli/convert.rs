//! The command convert: weights of every format that is read come out as safetensors, with the same names and values.

use std::path::Path;

use crate::command::{arg, resnetc};
use resnetc::internal::base::tensor::DType;
use resnetc::internal::formats::weights;

#[test]
fn every_format_becomes_safetensors() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.safetensors");
    for name in ["tiny.safetensors", "tiny.pth", "tiny-module.pth", "tiny-bf16.safetensors", "stem-legacy.pth"] {
        let input = Path::new("tests/fixtures").join(name);
        resnetc(&["convert", arg(&input), "-o", arg(&out)]).fine();
        let (given, made) = (weights::open(&input).unwrap(), weights::open(&out).unwrap());
        assert!(!given.is_empty() && given.len() == made.len(), "{name}");
        for (name, tensor) in given.iter() {
            let other = made.get(name).unwrap();
            assert_eq!(
                (tensor.shape(), tensor.dtype(), tensor.to_f32()),
                (other.shape(), other.dtype(), other.to_f32()),
                "{name}"
            );
        }
    }
}

#[test]
fn numbers_are_rounded_where_that_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("half.safetensors");
    let input = Path::new("tests/fixtures/tiny.pth");
    for (dtype, kind, precision) in [("f16", DType::F16, 2f32.powi(-11)), ("bf16", DType::BF16, 2f32.powi(-8))] {
        resnetc(&["convert", arg(input), "-o", arg(&out), "--dtype", dtype]).fine();
        let (given, made) = (weights::open(input).unwrap(), weights::open(&out).unwrap());
        for (name, tensor) in given.iter() {
            let other = made.get(name).unwrap();
            assert_eq!(other.dtype(), if tensor.dtype().is_float() { kind } else { tensor.dtype() });
            for (a, b) in tensor.to_f32().iter().zip(other.to_f32().iter()) {
                assert!((a - b).abs() <= precision * a.abs() + 1e-7, "{name}: {a} became {b}");
            }
        }
    }
}

#[test]
fn what_is_passed_over_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.safetensors");
    let ran = resnetc(&["convert", "tests/fixtures/views.pth", "-o", arg(&out)]).fine();
    assert!(ran.err.contains("skipped `complex`, which holds complex numbers"), "{}", ran.err);
    assert_eq!(weights::open(&out).unwrap().len(), 8);
}

#[test]
fn what_is_no_weights_is_refused_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.safetensors");
    resnetc(&["convert", "tests/fixtures/malicious.pth", "-o", arg(&out)]).refused("posix.system");
    resnetc(&["convert", "README.md", "-o", arg(&out)]).refused("has an unknown format");
    resnetc(&["convert", "models/cifar.resnet", "-o", arg(&out)]).refused("is a source file (.resnet)");
    resnetc(&["import", "tests/fixtures/tiny.pth"]).refused("not an ONNX file");
    let gzip = dir.path().join("net.onnx.gz");
    std::fs::write(&gzip, b"\x1f\x8b\x08\0").unwrap();
    resnetc(&["convert", arg(&gzip), "-o", arg(&out)]).refused("gunzip");
    resnetc(&["import", arg(&gzip)]).refused("gunzip");
    assert!(!out.exists());
}
