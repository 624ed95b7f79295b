//! Every network of `models/`: the fast way agrees with the oracle.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::{Path, PathBuf};

use ndarray::{ArrayD, IxDyn};
use resnetc::base::render;
use resnetc::base::source::SourceFile;
use resnetc::driver::Frontend;
use resnetc::ir::Checked;
use resnetc::runtime::{Model, SessionOptions, init, interp};

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models")
}

/// Every file of `models/` with the networks that have no open parameter.
fn networks() -> Vec<(String, Vec<String>)> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(models()).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|p| p.extension().is_some_and(|e| e == "resnet"));
    files.sort();
    files
        .into_iter()
        .map(|path| {
            let front = Frontend::open(&path).unwrap();
            let names = front.networks().into_iter().filter(|n| n.open.is_empty()).map(|n| n.name).collect();
            (path.file_stem().unwrap().to_string_lossy().into_owned(), names)
        })
        .collect()
}

fn check(front: &mut Frontend, name: &str) -> Checked {
    let checked = front.check(name, &[]);
    checked.unwrap_or_else(|| panic!("{name}:\n{}", render::terminal(&front.diagnostics, &front.sources, false)))
}

/// The network of that name, with an input of `size` x `size`.
fn small(file: &str, name: &str, size: usize) -> Checked {
    let channels = if file == "fashion" { 1 } else { 3 };
    let text =
        format!("resnet 1\nuse \"{file}.resnet\": {name}\nnetwork small = {name} {{\n  input {channels} x {size} x {size}\n}}\n");
    let path = models().join("small.resnet");
    let mut front = Frontend::source(SourceFile { name: "small.resnet".into(), path: Some(path), text: text.into() });
    check(&mut front, "small")
}

fn agrees(file: &str, name: &str, size: usize) {
    let checked = small(file, name, size);
    let params = init::init(&checked, 3).unwrap();
    let shape: Vec<usize> = [&[2], &checked.shape(checked.graph().inputs()[0]).sizes().unwrap()[..]].concat();
    // noise, as the statistics were taken from
    let mut state = 88_172_645_463_325_252u64;
    let x = ArrayD::from_shape_simple_fn(IxDyn(&shape), || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 40) as f32 / (1u64 << 24) as f32 - 0.5) * 12f32.sqrt()
    });
    let oracle = |x: &ArrayD<f32>| interp::run(&checked, &params, &[("input", x.view())]).unwrap().main().clone();
    let slow = oracle(&x);
    // A deep network without shortcuts magnifies every rounding, by about a fifth a layer at initialisation: it cannot agree closer
    // than a few times what a change of its input's last bit does to the oracle itself.
    let moved = if name.starts_with("plain") {
        let nudged = x.mapv(|v| v * (1.0 + f32::EPSILON));
        slow.iter().zip(&oracle(&nudged)).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max)
    } else {
        0.0
    };
    let model = Model::new(checked.clone(), params.clone()).unwrap();
    for threads in [1, 2] {
        let mut session = model.session_with(SessionOptions { threads }).unwrap();
        let fast = session.run(&[("input", x.view())]).unwrap();
        let fast = fast.main();
        let mean = slow.mean().unwrap();
        let deviation = (slow.iter().map(|v| f64::from(v - mean).powi(2)).sum::<f64>() / slow.len() as f64).sqrt();
        let worst = slow.iter().zip(fast).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max);
        assert!(deviation.is_finite() && deviation > 1e-6, "{name}: the outputs do not vary: {deviation}");
        assert!(
            worst <= (1e-4 * deviation).max(8.0 * moved),
            "{name}, {threads} threads: {worst} of a deviation of {deviation}, moved {moved}"
        );
    }
}

#[test]
fn cifar_networks_agree_with_the_oracle() {
    for (file, names) in networks().into_iter().filter(|(file, _)| matches!(file.as_str(), "cifar" | "fashion")) {
        for name in names {
            agrees(&file, &name, if name == "resnet1202" { 8 } else { 16 });
        }
    }
}

#[test]
fn imagenet_networks_agree_with_the_oracle() {
    for (file, names) in networks().into_iter().filter(|(file, _)| matches!(file.as_str(), "resnet" | "plain")) {
        for name in names {
            agrees(&file, &name, 32);
        }
    }
}

#[test]
fn vgg_networks_agree_with_the_oracle() {
    for name in ["vgg16", "vgg16_bn", "vgg19", "vgg19_bn"] {
        agrees("vgg", name, 32);
    }
}
