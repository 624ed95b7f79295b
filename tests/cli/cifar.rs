//! Trained networks on real images, held against PyTorch's numbers. Needs RESNETC_TEST_DATA.

use crate::command::{arg, resnetc, test_data};
use serde_json::Value;

#[test]
fn logits_are_pytorchs() {
    let Some(data) = test_data("logits_are_pytorchs") else { return };
    let data = data.join("cifar-resnet");
    let dir = tempfile::tempdir().unwrap();
    let y = dir.path().join("y.npy");
    for net in ["resnet20", "resnet32"] {
        let (weights, input) = (data.join(format!("{net}.safetensors")), data.join("first20-per-class.input.npy"));
        let args = [
            "run",
            "models/cifar.resnet",
            "--network",
            net,
            "--weights",
            arg(&weights),
            "--input",
            arg(&input),
            "--output",
            arg(&y),
        ];
        resnetc(&args).fine();
        let got = resnetc::internal::formats::npy::read(&y).unwrap();
        let expected = resnetc::internal::formats::npy::read(&data.join(format!("{net}.first20-per-class.logits.npy"))).unwrap();
        let worst = (&got - &expected).iter().fold(0.0f32, |m, d| m.max(d.abs()));
        assert!(worst <= 1e-3 * expected.std(0.0), "{net}: {worst}");
    }
}

/// The test set as JPEG: PyTorch gets 81.03 % and 82.56 % of all 10 000; the JPEG decoders differ by single bits.
#[test]
fn accuracy_is_pytorchs() {
    let Some(data) = test_data("accuracy_is_pytorchs") else { return };
    let images = data.join("cifar10-jpeg/test.tar");
    for (net, expected) in [("resnet20", 81.03), ("resnet32", 82.56)] {
        let weights = data.join(format!("cifar-resnet/{net}.safetensors"));
        let args = [
            "eval",
            "models/cifar.resnet",
            "--network",
            net,
            "--weights",
            arg(&weights),
            "--data",
            arg(&images),
            "--format",
            "json",
        ];
        let json: Value = serde_json::from_str(&resnetc(&args).fine().out).unwrap();
        assert_eq!(json["images"], 10_000);
        let top1 = json["top1"].as_f64().unwrap();
        assert!((top1 - expected).abs() <= 0.3, "{net}: {top1}");
    }
}
