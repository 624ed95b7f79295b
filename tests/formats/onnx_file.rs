//! Small ONNX files, node by node.

#![cfg(feature = "onnx")]

use std::path::Path;

use ndarray::{Array, ArrayD};
use prost::Message;
use resnetc::internal::base::mmap::Bytes;
use resnetc::internal::check;
use resnetc::internal::formats::onnx::proto::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto,
    TensorTypeProto, TypeProto, ValueInfoProto,
};
use resnetc::internal::formats::onnx::{Imported, OnnxError, ReadOptions, read};
use resnetc::internal::runtime::interp;

/// A value of these sizes; 0 for one that is free.
pub fn value(name: &str, sizes: &[i64]) -> ValueInfoProto {
    let dim = |&n: &i64| DimensionProto { dim_value: Some(n).filter(|&n| n > 0), dim_param: None };
    let tensor = TensorTypeProto { elem_type: Some(1), shape: Some(TensorShapeProto { dim: sizes.iter().map(dim).collect() }) };
    ValueInfoProto { name: Some(name.into()), r#type: Some(TypeProto { tensor_type: Some(tensor) }) }
}

pub fn node(op: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
    let list = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
    NodeProto { op_type: Some(op.into()), input: list(inputs), output: list(outputs), ..NodeProto::default() }
}

pub fn tensor(name: &str, dims: &[i64], bytes: usize) -> TensorProto {
    TensorProto {
        name: Some(name.into()),
        dims: dims.to_vec(),
        data_type: Some(1),
        raw_data: Some(vec![0; bytes].into()),
        ..TensorProto::default()
    }
}

pub fn model(graph: GraphProto) -> ModelProto {
    let opset = OperatorSetIdProto { domain: None, version: Some(17) };
    ModelProto { ir_version: Some(8), opset_import: vec![opset], graph: Some(graph), ..ModelProto::default() }
}

/// Imports a file whose input is `x`, of these sizes, and whose output is `y`.
pub fn import(node: Vec<NodeProto>, initializer: Vec<TensorProto>, sizes: &[i64]) -> Result<Imported, OnnxError> {
    import_with(node, initializer, sizes, &ReadOptions::default())
}

pub fn import_with(
    node: Vec<NodeProto>,
    initializer: Vec<TensorProto>,
    sizes: &[i64],
    options: &ReadOptions,
) -> Result<Imported, OnnxError> {
    let graph =
        GraphProto { node, initializer, input: vec![value("x", sizes)], output: vec![value("y", &[0])], ..GraphProto::default() };
    read(&Bytes::from(model(graph).encode_to_vec()), Path::new("/nowhere"), options)
}

pub fn numbers(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    TensorProto {
        name: Some(name.into()),
        dims: dims.to_vec(),
        data_type: Some(1),
        raw_data: Some(bytes.into()),
        ..TensorProto::default()
    }
}

pub fn with_ints(mut node: NodeProto, name: &str, ints: &[i64]) -> NodeProto {
    node.attribute.push(AttributeProto { name: Some(name.into()), ints: ints.to_vec(), ..AttributeProto::default() });
    node
}

/// An input, and what the network computes of it.
pub fn run(imported: &Imported, sizes: &[usize]) -> (ArrayD<f32>, ArrayD<f32>) {
    let checked = check::check(imported.network("net"), &mut Vec::new()).unwrap();
    let x =
        Array::from_shape_fn(sizes, |index| (index[0] * 5 + index[1] * 3 + index[sizes.len() - 1] * 7) as f32 % 11.0 / 4.0 - 1.0);
    let results = interp::run(&checked.canonical(), &imported.params(), &[("x", x.view())]).unwrap();
    let y = results.get("y").unwrap().clone();
    (x, y)
}

pub fn assert_near(found: &ArrayD<f32>, expected: &ArrayD<f32>) {
    assert_eq!(found.shape(), expected.shape());
    let off = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(off < 1e-5, "off by {off}");
}
