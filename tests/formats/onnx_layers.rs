//! Layers of ONNX files whose values have several names, or whose axes are in another order.

#![cfg(feature = "onnx")]

use ndarray::{Array, Axis};
use resnetc::internal::formats::onnx::proto::{AttributeProto, TensorProto};

use crate::onnx_file::{assert_near, import, node, numbers, run, with_ints};

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
