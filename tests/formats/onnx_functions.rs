//! Elementwise functions in ONNX: what PyTorch's exporters write is recognized, and what goes out comes in again.

#![cfg(feature = "onnx")]

use std::path::{Path, PathBuf};

use ndarray::{ArrayD, Axis};
use prost::Message;
use resnetc::internal::check;
use resnetc::internal::decompile::{Options, decompile};
use resnetc::internal::driver::Frontend;
use resnetc::internal::formats::npy;
use resnetc::internal::formats::onnx::proto::ModelProto;
use resnetc::internal::formats::onnx::{ExportOptions, FIRST_OPSET, Imported, LAST_OPSET, Source, open, write};
use resnetc::internal::ir::Checked;
use resnetc::internal::ir::describe::describe;
use resnetc::internal::runtime::{Model, ParamStore, init, interp};

use crate::common::noise;

/// Every function of the library, and functions of the file's own.
const FUNCTIONS: &str = include_str!("../reference/functions.resnet");

/// What becomes of each output of `tests/reference/onnx_functions.py`.
const EXPECTED: [&str; 30] = [
    "silu",
    "silu",
    "gelu",
    "gelu",
    "gelu",
    "gelu_tanh",
    "gelu_tanh",
    "hardswish",
    "hardswish",
    "hardswish",
    "mish",
    "elu alpha 0.7",
    "selu",
    "celu alpha 0.8",
    "prelu",
    "prelu_shared",
    "leaky_relu negative_slope 0.2",
    "softplus",
    "softplus beta 2",
    "hardsigmoid",
    "relu6",
    "tanh",
    "softsign",
    "logsigmoid",
    "tanhshrink",
    "quick_gelu",
    "apply if x > 0.5 then x else x * 0.1",
    "apply 1.2 * x - 0.2",
    "subtract",
    "divide",
];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/onnx").join(name)
}

fn array(name: &str) -> ArrayD<f32> {
    npy::read(&fixture(name)).unwrap()
}

fn checked(imported: &Imported) -> Checked {
    check::check(imported.network("again"), &mut Vec::new()).unwrap()
}

/// The largest difference, relative to the larger of the expected value and 1.
fn far(found: &ArrayD<f32>, expected: &ArrayD<f32>) -> f32 {
    assert_eq!(found.shape(), expected.shape());
    let pairs = found.iter().zip(expected);
    pairs.map(|(a, b)| (a - b).abs() / b.abs().max(1.0)).fold(0.0, f32::max)
}

#[test]
fn chains_of_exporters_are_functions() {
    let (x, y) = (array("activations.x.npy"), array("activations.y.npy"));
    for exporter in ["legacy", "dynamo"] {
        let imported = open(&fixture(&format!("activations.{exporter}.onnx"))).unwrap();
        let outputs = imported.graph.outputs();
        assert_eq!(outputs.len(), EXPECTED.len());
        for ((name, value), expected) in outputs.iter().zip(EXPECTED) {
            assert_eq!(describe(&imported.graph.node(value.node).op), expected, "{exporter}: {name}");
        }
        let names: Vec<String> = outputs.iter().map(|(name, _)| name.clone()).collect();
        let input = imported.graph.node(imported.graph.inputs()[0]).name.clone();
        let model = Model::new(checked(&imported), imported.params()).unwrap();
        let found = model.session().unwrap().run(&[(input.as_str(), x.view())]).unwrap();
        for (i, name) in names.iter().enumerate() {
            let expected = y.index_axis(Axis(0), i).to_owned();
            let differs = far(found.get(name).unwrap(), &expected);
            assert!(differs < 2e-6, "{exporter}: {} differs by {differs}", EXPECTED[i]);
        }
    }
}

#[test]
fn local_response_normalization_comes_in() {
    let (x, y) = (array("lrn.x.npy"), array("lrn.y.npy"));
    let imported = open(&fixture("lrn.onnx")).unwrap();
    let found = interp::run(&checked(&imported).canonical(), &imported.params(), &[("input", x.view())]).unwrap();
    let differs = far(found.main(), &y);
    assert!(differs < 2e-6, "{differs}");
    source_is_the_same(&imported, &x, &y);
}

/// The operators of a file.
fn operators(path: &Path) -> Vec<String> {
    let model = ModelProto::decode(&std::fs::read(path).unwrap()[..]).unwrap();
    model.graph.unwrap().node.iter().map(|node| node.op_type().to_owned()).collect()
}

#[test]
fn functions_go_out_and_come_in_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("net.onnx");
    for network in ["library", "own"] {
        let mut front = Frontend::text("functions.resnet", FUNCTIONS);
        let net = front.check(network, &[]).unwrap();
        let params = init::init(&net, 3).unwrap();
        let x = noise(5, &[2, 4, 5, 6]);
        let expected = interp::run(&net.canonical(), &params, &[("input", x.view())]).unwrap();
        let expected = expected.main().clone();
        for opset in [FIRST_OPSET, 18, 20, LAST_OPSET] {
            write(&path, &net, &params, &Source::default(), &ExportOptions { opset, ..ExportOptions::default() }).unwrap();
            let imported = open(&path).unwrap();
            let again = interp::run(&checked(&imported).canonical(), &imported.params(), &[("input", x.view())]).unwrap();
            let differs = far(again.main(), &expected);
            assert!(differs < 1e-5, "{network} by opset {opset}: {differs}");
            source_is_the_same(&imported, &x, &expected);
            if network == "library" {
                let written = operators(&path);
                let has = |op: &str| written.iter().any(|other| other == op);
                assert_eq!((has("Mish"), has("Gelu"), has("Swish")), (opset >= 18, opset >= 20, opset >= 24), "{opset}");
                for op in
                    ["PRelu", "Elu", "Celu", "Selu", "LeakyRelu", "HardSwish", "HardSigmoid", "Softplus", "Softsign", "Tanh"]
                {
                    assert!(has(op), "{op} by opset {opset}");
                }
            }
        }
    }
}

/// The source of an imported file compiles, and computes the same.
fn source_is_the_same(imported: &Imported, x: &ArrayD<f32>, expected: &ArrayD<f32>) {
    let found = decompile(&imported.graph, &Options { network: "again".to_owned(), ..Options::default() }).unwrap();
    let mut front = Frontend::text("again.resnet", &found.source);
    let net = front.check(&found.network, &[]).unwrap();
    let of_layer = |(from, to): &(String, String)| {
        let (prefix, to) = (format!("{from}."), to.clone());
        let own = imported.tensors.iter().filter_map(move |(name, tensor)| Some((name.strip_prefix(&prefix)?, tensor.clone())));
        own.map(move |(role, tensor)| (format!("{to}.{role}"), tensor)).collect::<Vec<_>>()
    };
    let params: ParamStore = found.layers.iter().flat_map(of_layer).collect();
    let y = interp::run(&net.canonical(), &params, &[("input", x.view())]).unwrap();
    assert!(far(y.main(), expected) < 1e-5, "{}", found.source);
}

/// A spatial gate (Woo et al. 2018, "CBAM") multiplies any number of channels: it is read once for all of them, not copied.
#[test]
fn a_gate_for_each_pixel_fits_any_number_of_channels() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gate.onnx");
    for (operation, channels) in [("x * gate", 2), ("x * gate", 65), ("gate * x", 512), ("x + gate", 65)] {
        let text = format!(
            "resnet 1\nelementwise gated(x, gate: pixel) = {operation}\nnetwork net {{\n  input {channels} x 3 x 4\n  \
             branch gate {{ mean over: channels; sigmoid }}\n  gated gate\n}}\n"
        );
        let net = Frontend::text("gate.resnet", &text).check("net", &[]).unwrap();
        let params = ParamStore::default();
        write(&path, &net, &params, &Source::default(), &ExportOptions::default()).unwrap();
        let imported = open(&path).unwrap();
        let ops: Vec<String> = imported.graph.ids().map(|id| describe(&imported.graph.node(id).op)).collect();
        assert!(ops.len() == 4 && !ops.contains(&"concat".to_owned()), "{operation} with {channels} channels: {ops:?}");
        let x = noise(5, &[2, channels, 3, 4]);
        let expected = interp::run(&net.canonical(), &params, &[("input", x.view())]).unwrap().main().clone();
        source_is_the_same(&imported, &x, &expected);
    }
}

/// Efficient channel attention (Wang et al. 2020) and generalized-mean pooling come back as they are.
#[test]
fn convolutions_along_channels_and_generalized_means_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pools.onnx");
    let text = "resnet 1\nnetwork net {\n  input 6 x 5 x 4\n  mul {\n    avgpool global\n    channel_conv 3 as eca\n    sigmoid\n  }\n  \
                gem p: 2.5 as pool\n  linear 3\n}\n";
    let net = Frontend::text("pools.resnet", text).check("net", &[]).unwrap();
    let params = init::init(&net, 3).unwrap();
    let x = noise(5, &[2, 6, 5, 4]);
    let expected = interp::run(&net.canonical(), &params, &[("input", x.view())]).unwrap().main().clone();
    for opset in [FIRST_OPSET, LAST_OPSET] {
        write(&path, &net, &params, &Source::default(), &ExportOptions { opset, ..ExportOptions::default() }).unwrap();
        let imported = open(&path).unwrap();
        let ops: Vec<String> = imported.graph.ids().map(|id| describe(&imported.graph.node(id).op)).collect();
        let has = |word: &str| ops.iter().any(|op| op.starts_with(word));
        assert!(has("channel_conv") && has("gem") && !has("reshape"), "{ops:?}");
        assert_eq!(imported.tensors["pool.p"].to_f32()[..], [2.5]);
        source_is_the_same(&imported, &x, &expected);
    }
}
