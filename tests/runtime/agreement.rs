//! The networks of `models/`: the fast way agrees with the reference interpreter.

use std::path::{Path, PathBuf};

use ndarray::{ArrayD, IxDyn};
use resnetc::internal::base::render;
use resnetc::internal::base::source::SourceFile;
use resnetc::internal::base::tensor::Tensor;
use resnetc::internal::driver::Frontend;
use resnetc::internal::ir::summary::Totals;
use resnetc::internal::ir::{Checked, Op, ParamRole, ParamSource};
use resnetc::internal::runtime::{Model, ParamStore, SessionOptions, interp};

use crate::common::Rng;

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

/// The network of that name, with an input of `size` x `size`; of a signal, of that length.
fn small(file: &str, name: &str, size: usize) -> Checked {
    let input = match file {
        "fashion" => format!("1 x {size} x {size}"),
        "signal" => format!("1 x {size}"),
        _ => format!("3 x {size} x {size}"),
    };
    let text = format!("resnet 1\nuse \"{file}.resnet\": {name}\nnetwork small = {name} {{\n  input {input}\n}}\n");
    let path = models().join("small.resnet");
    let mut front = Frontend::source(SourceFile { name: "small.resnet".into(), path: Some(path), text: text.into() });
    check(&mut front, "small")
}

/// Parameters as `shared/bench/reference.py` and PyTorch's own initialization draw them: weights within `1 / sqrt(fan-in)`, the
/// norms' statistics and affine terms random too, so that folding them wrongly shows. They keep a deep network well conditioned,
/// which He initialization does not: it lets a network without shortcuts magnify each rounding by a fifth a layer.
fn random(checked: &Checked) -> ParamStore {
    let mut rng = Rng(7);
    let mut list = Vec::new();
    for id in checked.graph().ids() {
        let node = checked.graph().node(id);
        let is_norm = matches!(node.op, Op::BatchNorm(_));
        for param in &node.params {
            let ParamSource::Named(name) = &param.source else { panic!("{name} is derived", name = node.name) };
            let len: usize = param.shape.iter().product();
            let fan_in: usize = param.shape[1..].iter().product();
            let mut draw =
                |low: f32, high: f32| (0..len).map(|_| low + (high - low) * (rng.unit() + 1.0) / 2.0).collect::<Vec<_>>();
            let values = match (param.role, is_norm) {
                (ParamRole::Weight, true) => draw(0.3, 1.0),
                (ParamRole::Gain, _) => draw(0.5, 1.5),
                (ParamRole::RunningVar, _) => draw(0.5, 1.5),
                (ParamRole::RunningMean | ParamRole::Bias | ParamRole::Operand(_), _) => draw(-0.17, 0.17),
                (ParamRole::Weight, false) => draw(-1.0, 1.0).into_iter().map(|w| w / (fan_in as f32).sqrt()).collect(),
            };
            list.push((name.clone(), Tensor::from_f32(param.shape.clone(), values).unwrap()));
        }
    }
    list.into_iter().collect()
}

/// Whether a network has more multiply-adds than `RESNETC_TEST_MACS`, which is set where a processor is emulated.
fn is_left_out(checked: &Checked) -> bool {
    let Ok(most) = std::env::var("RESNETC_TEST_MACS") else { return false };
    let most: u64 = most.parse().expect("RESNETC_TEST_MACS is a number");
    Totals::of(checked).macs.is_some_and(|macs| macs > most)
}

fn agrees(file: &str, name: &str, size: usize) {
    let checked = small(file, name, size);
    if is_left_out(&checked) {
        return;
    }
    let params = random(&checked);
    let shape: Vec<usize> = [&[2], &checked.shape(checked.graph().inputs()[0]).sizes().unwrap()[..]].concat();
    let mut rng = Rng(11);
    let x = ArrayD::from_shape_simple_fn(IxDyn(&shape), || rng.unit() * 3f32.sqrt());
    let all_slow = interp::run(&checked.canonical(), &params, &[("input", x.view())]).unwrap();
    let model = Model::new(checked, params).unwrap();
    for threads in [1, 2] {
        let mut session = model.session_with(SessionOptions { threads, ..SessionOptions::default() }).unwrap();
        let fast = session.run(&[("input", x.view())]).unwrap();
        for ((output, slow), (_, fast)) in all_slow.iter().zip(fast.iter()) {
            let mean = slow.mean().unwrap();
            let deviation = (slow.iter().map(|v| f64::from(v - mean).powi(2)).sum::<f64>() / slow.len() as f64).sqrt();
            let worst = slow.iter().zip(fast).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max);
            assert!(deviation.is_finite() && deviation > 1e-3, "{name}: {output} does not vary: {deviation}");
            assert!(worst <= 1e-4 * deviation, "{name}, {output}, {threads} threads: {worst} of a deviation of {deviation}");
        }
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

/// One network for each way in which a family's blocks differ; the deeper ones of a file repeat them.
#[test]
fn families_agree_with_the_oracle() {
    for (file, names) in [
        ("antialias", &["resnetblur50"][..]),
        ("densenet", &["densenet121"]),
        ("dilated", &["resnet50_os8"]),
        ("fpn", &["resnet50_fpn"]),
        ("googlenet", &["googlenet"]),
        ("preact", &["resnetv2_50"]),
        ("resnet_d", &["resnet50d", "resnetrs50"]),
        ("resnext", &["resnext50_32x4d"]),
        ("senet", &["seresnet50"]),
        ("unet", &["unet"]),
    ] {
        for name in names {
            agrees(file, name, 32);
        }
    }
    agrees("signal", "signal18", 200);
    for (file, name) in [("preact", "preact110"), ("preact", "preact164"), ("wide", "wrn_16_8")] {
        agrees(file, name, 8);
    }
}

#[test]
fn vgg_networks_agree_with_the_oracle() {
    for name in ["vgg16", "vgg16_bn", "vgg19", "vgg19_bn"] {
        agrees("vgg", name, 32);
    }
}
