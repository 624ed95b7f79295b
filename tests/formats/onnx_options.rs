//! What a user may ask of an import: other outputs, and the names of the file.

#![cfg(feature = "onnx")]

use resnetc::internal::decompile::{Options, decompile};
use resnetc::internal::formats::onnx::ReadOptions;
use resnetc::internal::formats::onnx::proto::{NodeProto, TensorProto};

use crate::onnx_file::{import_with, node, numbers};

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
