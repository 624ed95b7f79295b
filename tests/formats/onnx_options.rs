//! What a user may ask of an import: other outputs, and the names of the file.

#![cfg(feature = "onnx")]

use resnetc::internal::decompile::{Options, decompile};
use resnetc::internal::formats::onnx::proto::{AttributeProto, NodeProto, TensorProto};
use resnetc::internal::formats::onnx::{Imported, ReadOptions};

use crate::onnx_file::{assert_near, import_with, node, numbers, run, with_ints};

fn file() -> (Vec<NodeProto>, Vec<TensorProto>) {
    let nodes = vec![
        node("Conv", &["x", "blocks.0.conv.weight"], &["a"]),
        node("Mul", &["a", "blocks.0.gamma"], &["b"]),
        node("Relu", &["b"], &["c"]),
        node("LSTM", &["c"], &["y"]),
    ];
    let constants = vec![
        numbers("blocks.0.conv.weight", &[2, 2, 1, 1], &[1.0, 2.0, 3.0, 4.0]),
        numbers("blocks.0.gamma", &[2, 1, 1], &[0.5, 2.0]),
    ];
    (nodes, constants)
}

/// What the outputs do not need is left out, whatever it is.
#[test]
fn other_outputs_cut_a_file() {
    let (nodes, constants) = file();
    let options = |outputs: &[&str]| ReadOptions {
        outputs: outputs.iter().map(|name| (*name).to_owned()).collect(),
        ..ReadOptions::default()
    };
    let cut = |outputs: &[&str]| import_with(nodes.clone(), constants.clone(), &[0, 2, 3, 3], &options(outputs));
    assert!(cut(&[]).is_err());
    let imported = cut(&["b", "c"]).unwrap();
    let names: Vec<&str> = imported.graph.outputs().iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["b", "c"]);
    let error = cut(&["cc"]).unwrap_err().to_string();
    assert!(error.contains("no value `cc`; did you mean `c`?"), "{error}");
}

/// A factor that the file names as a parameter is one of the source, so that the state dict of the network fits.
#[test]
fn names_of_the_file_are_kept() {
    let (nodes, constants) = file();
    let options = ReadOptions { outputs: vec!["c".to_owned()], keep_names: true, ..ReadOptions::default() };
    let imported = import_with(nodes, constants, &[0, 2, 3, 3], &options).unwrap();
    assert_eq!(imported.tensors.keys().collect::<Vec<_>>(), ["blocks.0.conv.weight", "blocks.0.gamma"]);
    let options = Options { network: "net".into(), doc: None, classes: true, keep_names: true };
    let made = decompile(&imported.graph, &options).unwrap();
    assert_eq!(made.renamed().count(), 0, "{}", made.source);
}

fn kept(nodes: Vec<NodeProto>, constants: Vec<TensorProto>, sizes: &[i64]) -> Imported {
    import_with(nodes, constants, sizes, &ReadOptions { keep_names: true, ..ReadOptions::default() }).unwrap()
}

fn names(imported: &Imported) -> Vec<&str> {
    imported.tensors.keys().map(String::as_str).collect()
}

/// Exporters store equal parameters once, and name the others by `Identity`; a gain is one of its weight under either name.
#[test]
fn shared_gains_of_standardized_weights_keep_their_names() {
    let weights: Vec<f32> = (0..8).map(|i| (i * i % 7) as f32 - 2.0).collect();
    let mut nodes = vec![node("Identity", &["a.gain"], &["b.gain"])];
    for (layer, x, y) in [("a", "x", "h"), ("b", "h", "k"), ("zero", "k", "y")] {
        let of = |name: &str| format!("{layer}.{name}");
        let (mean, centered, square) = (of("mean"), of("centered"), of("square"));
        let mut over = |op: &str, x: &str, y: &str| nodes.push(with_ints(node(op, &[x], &[y]), "axes", &[1, 2, 3]));
        over("ReduceMean", &of("weight"), &mean);
        nodes.push(node("Sub", &[&of("weight"), &mean], &[&centered]));
        nodes.push(node("Mul", &[&centered, &centered], &[&square]));
        let mut over = |op: &str, x: &str, y: &str| nodes.push(with_ints(node(op, &[x], &[y]), "axes", &[1, 2, 3]));
        over("ReduceMean", &square, &of("variance"));
        nodes.push(node("Add", &[&of("variance"), "eps"], &[&of("shifted")]));
        nodes.push(node("Sqrt", &[&of("shifted")], &[&of("deviation")]));
        nodes.push(node("Div", &[&centered, &of("deviation")], &[&of("standard")]));
        nodes.push(node("Mul", &[&of("standard"), &of("gain")], &[&of("scaled")]));
        nodes.push(node("Conv", &[x, &of("scaled")], &[y]));
    }
    let constants = vec![
        numbers("a.weight", &[2, 2, 2, 1], &weights),
        numbers("b.weight", &[2, 2, 2, 1], &weights.iter().map(|v| 1.0 - v).collect::<Vec<_>>()),
        numbers("zero.weight", &[2, 2, 2, 1], &weights),
        numbers("a.gain", &[2, 1, 1, 1], &[2.0, 2.0]),
        // a path that begins as the identity
        numbers("zero.gain", &[2, 1, 1, 1], &[0.0, 0.0]),
        numbers("eps", &[], &[1e-6]),
    ];
    let imported = kept(nodes, constants, &[0, 2, 6, 6]);
    assert_eq!(names(&imported), ["a.gain", "a.weight", "b.gain", "b.weight", "zero.gain", "zero.weight"]);
}

/// A blur's filters are constants of the program, which no state dict has.
#[test]
fn blurs_have_no_parameters() {
    let row = [0.25, 0.5, 0.25];
    let filter: Vec<f32> = (0..18).map(|i| row[i / 3 % 3] * row[i % 3]).collect();
    let conv = |weight: &str| {
        let conv = with_ints(node("Conv", &["x", weight], &["y"]), "strides", &[2, 2]);
        let mut conv = with_ints(conv, "pads", &[1, 1, 1, 1]);
        conv.attribute.push(AttributeProto { name: Some("group".into()), i: Some(2), ..AttributeProto::default() });
        vec![conv]
    };
    let file = |name: &str| kept(conv(name), vec![numbers(name, &[2, 1, 3, 3], &filter)], &[0, 2, 7, 8]);
    let blur = file("/pool/Constant_output_0");
    assert_eq!(names(&blur), [""; 0]);
    // a layer that happens to have such filters is learned
    let layer = file("pool.weight");
    assert_eq!(names(&layer), ["pool.weight"]);
    assert_near(&run(&blur, &[1, 2, 7, 8]).1, &run(&layer, &[1, 2, 7, 8]).1);
}

/// Without a bias in the file, a norm needs none in a state dict.
#[test]
fn norms_without_a_bias_keep_their_names() {
    let nodes = vec![
        with_ints(node("Transpose", &["x"], &["last"]), "perm", &[0, 2, 3, 1]),
        node("LayerNormalization", &["last", "norm.weight", "/norm/Constant_output_0"], &["normal"]),
        with_ints(node("Transpose", &["normal"], &["h"]), "perm", &[0, 3, 1, 2]),
        with_ints(node("Transpose", &["h"], &["last2"]), "perm", &[0, 2, 3, 1]),
        node("LayerNormalization", &["last2", "norm2.weight", "norm2.bias"], &["normal2"]),
        with_ints(node("Transpose", &["normal2"], &["y"]), "perm", &[0, 3, 1, 2]),
    ];
    let constants = vec![
        numbers("norm.weight", &[3], &[1.0, 2.0, 0.5]),
        numbers("/norm/Constant_output_0", &[3], &[0.0; 3]),
        numbers("norm2.weight", &[3], &[1.0; 3]),
        numbers("norm2.bias", &[3], &[0.0; 3]),
    ];
    let imported = kept(nodes, constants, &[0, 3, 4, 5]);
    assert_eq!(names(&imported), ["norm.weight", "norm2.bias", "norm2.weight"]);
    let options = Options { network: "net".into(), doc: None, classes: true, keep_names: true };
    let made = decompile(&imported.graph, &options).unwrap();
    assert_eq!(made.renamed().count(), 0, "{}", made.source);
}
