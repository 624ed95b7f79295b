//! ONNX out and in again: operators, names and tensors are the same, and so is what is computed.

#![cfg(feature = "onnx")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::Path;

use ndarray::ArrayD;
use resnetc::driver::Frontend;
use resnetc::formats::onnx::{ExportOptions, Imported, OnnxError, Source, open, write};
use resnetc::ir::dump::describe;
use resnetc::ir::{Checked, Graph};
use resnetc::runtime::{ParamStore, init, interp};
use resnetc::{Model, check};

/// Every operator; pools that round up stand apart, since they go out with padding in its place.
const OPERATORS: &str = "resnet 1
network maps {
  input 4 x 17 x 18
  conv 3x3, filters: 8, stride: 2x1, groups: 2, bias: true as c1
  norm eps: 1e-3
  relu as x
  branch gate {
    avgpool global
    conv 1x1, filters: 8 as c2
    sigmoid
  }
  mul gate as gated
  maxpool 3x3, stride: 2
  avgpool 2x2, stride: 1, pad: [0, 1, 1, 0], count_pad: false as even
  upsample nearest, times: 2
  upsample nearest, like: gated
  add gated, x
  clip low: -1, high: 6
  pad [1, 0, 0, 2], channels: [1, 2]
  subsample 2
  dropout 0.2
  parallel concat {
    a { maxpool 2x2, stride: 1 }; b { avgpool 2x2, stride: 1 }
  }
  maxpool global
  flatten
  linear 7
  softmax
  output even from even
}
network signals {
  input 3 x 40
  conv 5, filters: 6, stride: 2
  norm
  relu
  maxpool 3, stride: 2
  avgpool global
  linear 4
}
network ceiled {
  input 3 x 15 x 14
  maxpool 3x3, stride: 2, ceil: true
  avgpool 3x3, stride: 2, ceil: true
  avgpool 2x2, stride: 2, ceil: true, count_pad: false
  linear 4
}
network free {
  input 3 x H x W
  conv 3x3, filters: 4, stride: 2
  norm
  relu
  avgpool global
  linear 5
}
";

fn checked(text: &str, network: &str) -> (Frontend, Checked) {
    let mut front = Frontend::text("test", text);
    let Some(checked) = front.check(network, &[]) else { panic!("{:?}", front.diagnostics) };
    (front, checked)
}

fn written(checked: &Checked, params: &ParamStore, options: &ExportOptions, folder: &Path) -> Result<Imported, OnnxError> {
    let path = folder.join("net.onnx");
    write(&path, checked, params, &Source::default(), options).unwrap();
    open(&path)
}

fn operators(graph: &Graph) -> Vec<String> {
    graph.order().iter().map(|&id| describe(&graph.node(id).op)).collect()
}

fn input(checked: &Checked, batch: usize) -> ArrayD<f32> {
    let mut sizes = vec![batch];
    let dims = checked.shape(checked.graph().inputs()[0]).dims().unwrap();
    sizes.extend(dims.iter().map(|d| d.fixed().unwrap_or(11)));
    let count: usize = sizes.iter().product();
    ArrayD::from_shape_vec(sizes, (0..count).map(|i| ((i * 37 % 101) as f32 - 50.0) / 40.0).collect()).unwrap()
}

#[test]
fn what_goes_out_comes_in_again() {
    let dir = tempfile::tempdir().unwrap();
    for network in ["maps", "signals", "free"] {
        let (_, checked) = checked(OPERATORS, network);
        let params = init::init(&checked, 3).unwrap();
        for opset in [15, 17, 28] {
            let imported = written(&checked, &params, &ExportOptions { opset, ..ExportOptions::default() }, dir.path()).unwrap();
            assert_eq!(operators(&imported.graph), operators(checked.graph()), "{network}");
            let names: Vec<&str> = imported.tensors.keys().map(String::as_str).collect();
            assert_eq!(names, params.iter().map(|(name, _)| name).collect::<Vec<_>>());
            for (name, tensor) in params.iter() {
                assert_eq!((tensor.shape(), tensor.to_f32()), (imported.tensors[name].shape(), imported.tensors[name].to_f32()));
            }
        }
    }
}

#[test]
fn folded_norms_and_weights_of_their_own_file_compute_the_same() {
    let dir = tempfile::tempdir().unwrap();
    for network in ["maps", "signals", "ceiled", "free"] {
        let (_, checked) = checked(OPERATORS, network);
        let params = init::init(&checked, 3).unwrap();
        let x = input(&checked, 2);
        let expected = interp::run(&checked, &params, &[("input", x.view())]).unwrap();
        for (fold, external_data) in [(true, false), (false, true), (true, true)] {
            let options = ExportOptions { fold, external_data, ..ExportOptions::default() };
            let imported = written(&checked, &params, &options, dir.path()).unwrap();
            let mut diags = Vec::new();
            let again = check::check(imported.network("again"), &mut diags).unwrap();
            let model = Model::new(again, imported.params()).unwrap();
            let mut session = model.session().unwrap();
            let found = session.run(&[("input", x.view())]).unwrap();
            for ((name, a), (other, b)) in found.iter().zip(expected.iter()) {
                assert_eq!((name, a.shape()), (other, b.shape()));
                let far = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(far < 1e-4, "{network} {options:?}: `{name}` differs by {far}");
            }
        }
    }
}

#[test]
fn the_files_tell_where_they_come_from() {
    let (front, checked) = checked(OPERATORS, "free");
    let params = init::init(&checked, 3).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("net.onnx");
    write(&path, &checked, &params, &Source::of(&front.sources), &ExportOptions::default()).unwrap();
    let imported = open(&path).unwrap();
    assert_eq!(imported.name, "free");
    assert_eq!(imported.metadata["resnetc.network"], "free");
    assert_eq!(imported.metadata["resnetc.source.sha256"].len(), 64);
    // another source, another hash
    let other = Frontend::text("test", &format!("{OPERATORS}\n"));
    assert_ne!(Source::of(&other.sources), Source::of(&front.sources));
}
