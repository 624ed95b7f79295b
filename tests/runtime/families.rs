//! The families of `models/` against answers that PyTorch computed, by `tests/reference/families.py --fixtures`: torchvision's and
//! timm's networks, and small definitions where these have none. Parameters and inputs are drawn by a rule that both sides follow,
//! each from its tensor's name: a layer under another name than the reference's gets other numbers, and the answer differs.

use std::path::{Path, PathBuf};

use ndarray::{ArrayD, IxDyn};
use resnetc::internal::base::render;
use resnetc::internal::base::source::SourceFile;
use resnetc::internal::base::tensor::Tensor;
use resnetc::internal::driver::Frontend;
use resnetc::internal::formats::npy;
use resnetc::internal::ir::{Checked, Op, ParamRole, ParamSource};
use resnetc::internal::runtime::{Model, ParamStore, SessionOptions};

use crate::common::Rng;

/// File, network and input of each, as families.py has them.
const FAMILIES: &[(&str, &str, &str)] = &[
    ("antialias", "resnetaa50", "3 x 64 x 64"),
    ("antialias", "resnetblur50", "3 x 64 x 64"),
    ("crepe", "crepe_tiny", "1 x 1024 x 1"),
    ("cspnet", "cspresnet50", "3 x 64 x 64"),
    ("densenet", "densenet121", "3 x 64 x 64"),
    ("dilated", "resnet50_os16", "3 x 64 x 64"),
    ("dilated", "resnet50_os8", "3 x 64 x 64"),
    ("dla", "dla34", "3 x 64 x 64"),
    ("efficientnet", "efficientnet_b0", "3 x 64 x 64"),
    ("fpn", "resnet50_fpn_224", "3 x 64 x 64"),
    ("googlenet", "googlenet", "3 x 64 x 64"),
    ("highway", "highway10", "1 x 28 x 28"),
    ("hrnet", "hrnet_w18_small", "3 x 64 x 64"),
    ("mnasnet", "mnasnet1_0", "3 x 64 x 64"),
    ("mobilenetv2", "mobilenet_v2", "3 x 64 x 64"),
    ("mobilenetv3", "mobilenet_v3_small", "3 x 64 x 64"),
    ("preact", "preact110", "3 x 16 x 16"),
    ("preact", "preact164", "3 x 16 x 16"),
    ("preact", "resnetv2_50", "3 x 64 x 64"),
    ("regnet", "regnet_y_400mf", "3 x 64 x 64"),
    ("repvgg", "repvgg_a0", "3 x 64 x 64"),
    ("repvgg", "repvgg_a0_fused", "3 x 64 x 64"),
    ("res2net", "res2net50_26w_4s", "3 x 64 x 64"),
    ("resnet_d", "resnet50d", "3 x 64 x 64"),
    ("resnet_d", "resnetrs50", "3 x 64 x 64"),
    ("resnext", "resnext50_32x4d", "3 x 64 x 64"),
    ("senet", "seresnet50", "3 x 64 x 64"),
    ("signal", "signal18", "1 x 250"),
    ("squeezenet", "squeezenet1_1", "3 x 64 x 64"),
    ("wide", "wrn_16_8", "3 x 16 x 16"),
];

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The network with another input.
fn network(file: &str, name: &str, input: &str) -> Checked {
    let text = format!("resnet 1\nuse \"{file}.resnet\": {name}\nnetwork small = {name} {{\n  input {input}\n}}\n");
    let path = here("models/small.resnet");
    let mut front = Frontend::source(SourceFile { name: "small.resnet".into(), path: Some(path), text: text.into() });
    let checked = front.check("small", &[]);
    checked.unwrap_or_else(|| panic!("{name}:\n{}", render::terminal(&front.diagnostics, &front.sources, false)))
}

/// Numbers from -1 to 1 that follow from a tensor's name: SplitMix64, begun with the name's FNV-1a hash.
fn draw(name: &str, len: usize) -> Vec<f32> {
    let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    let mut rng = Rng(name.bytes().fold(0xcbf2_9ce4_8422_2325, hash));
    (0..len).map(|_| rng.unit()).collect()
}

/// All parameters, by the rule of families.py.
fn parameters(checked: &Checked) -> ParamStore {
    let mut list = Vec::new();
    for id in checked.graph().ids() {
        let node = checked.graph().node(id);
        for param in &node.params {
            let ParamSource::Named(name) = &param.source else { panic!("{} is derived", node.name) };
            let inputs: usize = param.shape.iter().skip(1).product();
            let change: &dyn Fn(f32) -> f32 = match param.role {
                ParamRole::RunningVar | ParamRole::Gain => &|u| 1.0 + 0.5 * u,
                ParamRole::Weight if matches!(node.op, Op::BatchNorm(_)) => &|u| 0.65 + 0.35 * u,
                ParamRole::Weight => &|u| u * (6.0 / inputs as f64).sqrt() as f32,
                ParamRole::RunningMean | ParamRole::Bias | ParamRole::Operand(_) => &|u| u * 0.17,
            };
            let values: Vec<f32> = draw(name, param.shape.iter().product()).into_iter().map(change).collect();
            list.push((name.clone(), Tensor::from_f32(param.shape.clone(), values).unwrap()));
        }
    }
    list.into_iter().collect()
}

#[test]
fn families_agree_with_pytorch() {
    for (file, name, input) in FAMILIES {
        let checked = network(file, name, input);
        let shape = [&[1], &checked.shape(checked.graph().inputs()[0]).sizes().unwrap()[..]].concat();
        let x = draw("input", shape.iter().product()).into_iter().map(|u| u * 3f64.sqrt() as f32).collect();
        let x = ArrayD::from_shape_vec(IxDyn(&shape), x).unwrap();
        let params = parameters(&checked);
        let model = Model::new(checked, params).unwrap();
        let mut session = model.session_with(SessionOptions { threads: 2, ..SessionOptions::default() }).unwrap();
        let outputs = session.run(&[("input", x.view())]).unwrap();
        // all outputs, one behind the other, about a thousand values of each; each is held to its own deviation
        let expected = npy::read(&here(&format!("tests/fixtures/families/{name}.y.npy"))).unwrap();
        let mut expected = expected.as_slice().unwrap();
        for (output, got) in outputs.iter() {
            let got: Vec<f32> = got.iter().step_by(got.len().div_ceil(1000)).copied().collect();
            let (want, rest) = expected.split_at(got.len());
            expected = rest;
            let mean = want.iter().sum::<f32>() / want.len() as f32;
            let deviation = (want.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / want.len() as f32).sqrt();
            let worst = want.iter().zip(&got).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst <= 1e-4 * deviation, "{name}, {output}: {worst} of a deviation of {deviation}");
        }
        assert!(expected.is_empty(), "{name}: PyTorch has {} values more", expected.len());
    }
}

/// Each fixture has its line above.
#[test]
fn no_fixture_is_forgotten() {
    let mut files: Vec<String> = std::fs::read_dir(here("tests/fixtures/families"))
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_string_lossy().strip_suffix(".y.npy").map(ToString::to_string))
        .collect();
    files.sort();
    let mut names: Vec<&str> = FAMILIES.iter().map(|(_, name, _)| *name).collect();
    names.sort_unstable();
    assert_eq!(files, names);
}
