//! Layers of ONNX files whose values have several names, or whose axes are in another order.

#![cfg(feature = "onnx")]

use ndarray::{Array, Axis};

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
