//! ONNX out and in again: operators, names and tensors are the same, and so is what is computed.

#![cfg(feature = "onnx")]

use std::path::Path;

use ndarray::ArrayD;
use resnetc::internal::check;
use resnetc::internal::driver::Frontend;
use resnetc::internal::formats::onnx::{ExportOptions, Imported, OnnxError, Source, open, write};
use resnetc::internal::ir::describe::describe;
use resnetc::internal::ir::{Checked, Graph};
use resnetc::internal::runtime::Model;
use resnetc::internal::runtime::{ParamStore, init, interp};

/// Every operator; pools that round up stand apart, since they go out with padding in its place.
const OPERATORS: &str = include_str!("../reference/onnx_operators.resnet");

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
    for network in ["maps", "signals", "rearranged", "transposed", "transposed_signals"] {
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
    for network in ["maps", "signals", "ceiled", "free_ceiled"] {
        let (_, checked) = checked(OPERATORS, network);
        let params = init::init(&checked, 3).unwrap();
        let x = input(&checked, 2);
        let expected = interp::run(&checked.canonical(), &params, &[("input", x.view())]).unwrap();
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
fn pools_that_round_up_a_map_smaller_than_their_window() {
    let dir = tempfile::tempdir().unwrap();
    for pool in [
        "maxpool 2x2, ceil_mode: true",
        "maxpool 3x3, stride: 3, padding: 0, ceil_mode: true",
        "maxpool 2x2, stride: 4, padding: 0, dilation: 2, ceil_mode: true",
        "avgpool 2x2, ceil_mode: true",
        "avgpool 2x3, stride: 3, padding: [0, 0, 1, 1], ceil_mode: true",
        "avgpool 2x3, stride: 3, padding: [0, 0, 1, 1], ceil_mode: true, count_include_pad: false",
    ] {
        for sizes in ["1 x 7", "1 x 1", "H x W"] {
            let text = format!("resnet 1\nnetwork net {{\n  input 3 x {sizes}\n  {pool}\n}}\n");
            if sizes == "H x W" && Frontend::text("test", &text).check("net", &[]).is_none() {
                continue;
            }
            let (_, checked) = checked(&text, "net");
            let params = ParamStore::default();
            let x = input(&checked, 2);
            let expected = interp::run(&checked.canonical(), &params, &[("input", x.view())]).unwrap();
            let imported = written(&checked, &params, &ExportOptions::default(), dir.path()).unwrap();
            let again = check::check(imported.network("again"), &mut Vec::new()).unwrap();
            let mut session = Model::new(again, params).unwrap().session().unwrap();
            let found = session.run(&[("input", x.view())]).unwrap();
            for ((name, a), (_, b)) in found.iter().zip(expected.iter()) {
                assert_eq!(a.shape(), b.shape(), "{pool} {sizes}");
                let far = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(far < 1e-5, "{pool} {sizes}: `{name}` differs by {far}");
            }
        }
    }
}

#[test]
fn the_files_tell_where_they_come_from() {
    let (front, checked) = checked(OPERATORS, "signals");
    let params = init::init(&checked, 3).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("net.onnx");
    write(&path, &checked, &params, &Source::of(&front.sources), &ExportOptions::default()).unwrap();
    let imported = open(&path).unwrap();
    assert_eq!(imported.name, "signals");
    assert_eq!(imported.metadata["resnetc.network"], "signals");
    assert_eq!(imported.metadata["resnetc.source.sha256"].len(), 64);
    // another source, another hash
    let other = Frontend::text("test", &format!("{OPERATORS}\n"));
    assert_ne!(Source::of(&other.sources), Source::of(&front.sources));
}

/// The command on a trained network: the source, its artifact, and what is imported again give the same answers.
#[cfg(feature = "cli")]
#[test]
fn the_command_exports_and_imports() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let resnetc = |arguments: &[&str]| {
        let done = std::process::Command::new(env!("CARGO_BIN_EXE_resnetc")).args(arguments).output().unwrap();
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = root.join("models/fashion.resnet").to_str().unwrap().to_owned();
    let picture = root.join("tests/data/ankle-boot.png").to_str().unwrap().to_owned();
    resnetc(&["export", "onnx", &source, "-o", &at("a.onnx")]);
    resnetc(&["compile", &source, "-o", &at("net.rnx")]);
    resnetc(&["export", "onnx", &at("net.rnx"), "-o", &at("b.onnx")]);
    assert!(std::fs::read(at("a.onnx")).unwrap() == std::fs::read(at("b.onnx")).unwrap());
    let said = resnetc(&["import", &at("a.onnx"), "-o", &at("again.resnet"), "--weights-out", &at("again.safetensors")]);
    assert!(said.contains("wrote") && said.contains("again.resnet"), "{said}");
    let expected = resnetc(&["run", &source, &picture]);
    assert!(expected.contains("Ankle boot"));
    assert_eq!(resnetc(&["run", &at("again.resnet"), "--weights", &at("again.safetensors"), &picture]), expected);
}
