//! Layers of ONNX files whose values have several names, or whose axes are in another order.

#![cfg(feature = "onnx")]

use std::path::Path;

use ndarray::{Array, ArrayD, Axis};
use prost::Message;
use resnetc::internal::base::mmap::Bytes;
use resnetc::internal::check;
use resnetc::internal::formats::onnx::proto::{AttributeProto, GraphProto, NodeProto, TensorProto};
use resnetc::internal::formats::onnx::{Imported, OnnxError, ReadOptions, read};
use resnetc::internal::runtime::interp;

use crate::onnx_file::{model, node, value};

fn import(node: Vec<NodeProto>, initializer: Vec<TensorProto>, sizes: &[i64]) -> Result<Imported, OnnxError> {
    let graph =
        GraphProto { node, initializer, input: vec![value("x", sizes)], output: vec![value("y", &[0])], ..GraphProto::default() };
    read(&Bytes::from(model(graph).encode_to_vec()), Path::new("/nowhere"), &ReadOptions::default())
}

fn numbers(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    TensorProto {
        name: Some(name.into()),
        dims: dims.to_vec(),
        data_type: Some(1),
        raw_data: Some(bytes.into()),
        ..TensorProto::default()
    }
}

fn with_ints(mut node: NodeProto, name: &str, ints: &[i64]) -> NodeProto {
    node.attribute.push(AttributeProto { name: Some(name.into()), ints: ints.to_vec(), ..AttributeProto::default() });
    node
}

/// An input, and what the network computes of it.
fn run(imported: &Imported, sizes: &[usize]) -> (ArrayD<f32>, ArrayD<f32>) {
    let checked = check::check(imported.network("net"), &mut Vec::new()).unwrap();
    let x =
        Array::from_shape_fn(sizes, |index| (index[0] * 5 + index[1] * 3 + index[sizes.len() - 1] * 7) as f32 % 11.0 / 4.0 - 1.0);
    let results = interp::run(&checked.canonical(), &imported.params(), &[("x", x.view())]).unwrap();
    let y = results.get("y").unwrap().clone();
    (x, y)
}

fn assert_near(found: &ArrayD<f32>, expected: &ArrayD<f32>) {
    assert_eq!(found.shape(), expected.shape());
    let off = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(off < 1e-5, "off by {off}");
}

/// A factor or a summand belongs to the layer before it only if nothing else reads that layer, under any name.
#[test]
fn a_layer_that_is_read_under_another_name_stays_as_it_is() {
    let constants = vec![
        numbers("one", &[2], &[1.0; 2]),
        numbers("zero", &[2], &[0.0; 2]),
        numbers("s", &[2, 1, 1], &[3.0, -2.0]),
        numbers("w", &[2, 2, 1, 1], &[1.0, 0.0, 0.0, 1.0]),
    ];
    let after = |op: &str| {
        vec![
            node("Identity", &["n"], &["a"]),
            node(op, &["a", "s"], &["b"]),
            node("Relu", &["n"], &["c"]),
            node("Add", &["b", "c"], &["y"]),
        ]
    };
    let factor = |channel: usize| if channel == 0 { 3.0 } else { -2.0 };
    for (first, op) in [("InstanceNormalization", "Mul"), ("Conv", "Add")] {
        let inputs: &[&str] = if first == "Conv" { &["x", "w"] } else { &["x", "one", "zero"] };
        let nodes = std::iter::once(node(first, inputs, &["n"])).chain(after(op)).collect();
        let (x, y) = run(&import(nodes, constants.clone(), &[0, 2, 3, 4]).unwrap(), &[1, 2, 3, 4]);
        let mut expected = x.clone();
        for (channel, mut map) in expected.axis_iter_mut(Axis(1)).enumerate() {
            if first != "Conv" {
                let mean = map.mean().unwrap();
                let deviation = (map.mapv(|v| (v - mean).powi(2)).mean().unwrap() + 1e-5).sqrt();
                map.mapv_inplace(|v| (v - mean) / deviation);
            }
            map.mapv_inplace(|n| if op == "Mul" { n * factor(channel) } else { n + factor(channel) } + n.max(0.0));
        }
        assert_near(&y, &expected);
    }
}

#[test]
fn a_value_with_the_channels_last_may_be_read_twice_by_a_node() {
    let nodes = vec![
        with_ints(node("Transpose", &["x"], &["t"]), "perm", &[0, 2, 3, 1]),
        node("Mul", &["t", "t"], &["m"]),
        with_ints(node("Transpose", &["m"], &["y"]), "perm", &[0, 3, 1, 2]),
    ];
    let (x, y) = run(&import(nodes, Vec::new(), &[0, 3, 2, 4]).unwrap(), &[1, 3, 2, 4]);
    assert_near(&y, &x.mapv(|v| v * v));
}

#[test]
fn linear_layers_on_the_last_axis_of_1_d_values_have_a_bias() {
    let nodes = vec![
        with_ints(node("Transpose", &["x"], &["t"]), "perm", &[0, 2, 1]),
        node("MatMul", &["t", "w"], &["m"]),
        node("Add", &["m", "b"], &["a"]),
        with_ints(node("Transpose", &["a"], &["y"]), "perm", &[0, 2, 1]),
    ];
    let constants = vec![numbers("w", &[3, 2], &[1.0, 0.5, -1.0, 2.0, 0.0, 1.0]), numbers("b", &[2], &[0.25, -4.0])];
    let (x, y) = run(&import(nodes, constants, &[0, 3, 5]).unwrap(), &[1, 3, 5]);
    let expected = Array::from_shape_fn(vec![1, 2, 5], |at| {
        let w = [[1.0, -1.0, 0.0], [0.5, 2.0, 1.0]][at[1]];
        (0..3).map(|c| w[c] * x[[0, c, at[2]]]).sum::<f32>() + [0.25, -4.0][at[1]]
    });
    assert_near(&y, &expected);
}

#[test]
fn a_scale_is_not_spread_over_more_values_than_a_network_may_have() {
    let nodes = vec![node("LayerNormalization", &["x", "s"], &["y"])];
    let refused = import(nodes, vec![numbers("s", &[1], &[2.0])], &[0, 1_000_000_000_000]).map(|_| ()).unwrap_err().to_string();
    assert!(refused.contains("spreads its scale"), "{refused}");
}

/// timm's `EcaModule`: the mean is a vector, and the gate is computed before the channels are an axis again.
#[test]
fn a_convolution_along_channels_may_read_a_vector_and_be_gated_before_it_is_a_map() {
    let list = |name: &str, values: &[i64]| TensorProto {
        name: Some(name.into()),
        dims: vec![values.len() as i64],
        data_type: Some(7),
        raw_data: Some(values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>().into()),
        ..TensorProto::default()
    };
    let mut mean = with_ints(node("ReduceMean", &["x"], &["m"]), "axes", &[2, 3]);
    mean.attribute.push(AttributeProto { name: Some("keepdims".into()), i: Some(0), ..AttributeProto::default() });
    let conv = with_ints(node("Conv", &["row", "w"], &["c"]), "kernel_shape", &[3]);
    let nodes = vec![
        mean,
        node("Reshape", &["m", "to_row"], &["row"]),
        with_ints(conv, "pads", &[1, 1]),
        node("Sigmoid", &["c"], &["s"]),
        node("Reshape", &["s", "to_map"], &["gate"]),
        node("Shape", &["x"], &["sizes"]),
        node("Expand", &["gate", "sizes"], &["all"]),
        node("Mul", &["x", "all"], &["y"]),
    ];
    let constants =
        vec![numbers("w", &[1, 1, 3], &[0.5, -1.0, 2.0]), list("to_row", &[0, 1, -1]), list("to_map", &[0, -1, 1, 1])];
    let (x, y) = run(&import(nodes, constants, &[0, 4, 2, 3]).unwrap(), &[1, 4, 2, 3]);
    let mean: Vec<f32> = (0..4).map(|c| x.index_axis(Axis(1), c).mean().unwrap()).collect();
    let at = |c: usize| mean.get(c).copied().unwrap_or(0.0);
    let mut expected = x.clone();
    for (c, mut map) in expected.axis_iter_mut(Axis(1)).enumerate() {
        let sum = 0.5 * if c == 0 { 0.0 } else { at(c - 1) } - at(c) + 2.0 * at(c + 1);
        map.mapv_inplace(|v| v / (1.0 + (-sum).exp()));
    }
    assert_near(&y, &expected);
}
