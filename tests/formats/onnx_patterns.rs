//! Several nodes of a file that are one thing: constants that are computed, means, stacked paths, rows of channels, quantized values.

#![cfg(feature = "onnx")]

use ndarray::{Array, ArrayD, Axis};
use resnetc::internal::base::tensor::Tensor;
use resnetc::internal::formats::onnx::OnnxError;
use resnetc::internal::formats::onnx::proto::{AttributeProto, NodeProto, TensorProto};

use crate::onnx_file::{assert_near, import, node, numbers, run, with_ints};

fn list(name: &str, values: &[i64]) -> TensorProto {
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    TensorProto {
        name: Some(name.into()),
        dims: vec![values.len() as i64],
        data_type: Some(7),
        raw_data: Some(bytes.into()),
        ..TensorProto::default()
    }
}

fn with_int(mut node: NodeProto, name: &str, value: i64) -> NodeProto {
    node.attribute.push(AttributeProto { name: Some(name.into()), i: Some(value), ..Default::default() });
    node
}

fn reduce(op: &str, x: &str, y: &str, axes: &[i64], keep: bool) -> NodeProto {
    with_int(with_ints(node(op, &[x], &[y]), "axes", axes), "keepdims", i64::from(keep))
}

/// Weights that nodes standardize are evaluated: `(w - mean) / sqrt(variance)` of each filter.
#[test]
fn standardized_weights_are_evaluated() {
    let values: Vec<f32> = (0..8).map(|i| (i * i) as f32).collect();
    let nodes = vec![
        reduce("ReduceMean", "w", "mean", &[1, 2, 3], true),
        node("Sub", &["w", "mean"], &["centered"]),
        node("Mul", &["centered", "centered"], &["square"]),
        reduce("ReduceMean", "square", "variance", &[1, 2, 3], true),
        node("Sqrt", &["variance"], &["deviation"]),
        node("Div", &["centered", "deviation"], &["standard"]),
        node("Conv", &["x", "standard"], &["y"]),
    ];
    let imported = import(nodes, vec![numbers("w", &[2, 4, 1, 1], &values)], &[0, 4, 3, 3]).unwrap();
    let weight = imported.tensors.values().next().map(|tensor| tensor.to_f32().into_owned()).unwrap();
    for filter in weight.chunks(4) {
        assert!(filter.iter().sum::<f32>().abs() < 1e-5);
        assert!((filter.iter().map(|v| v * v).sum::<f32>() - 4.0).abs() < 1e-4);
    }
}

/// Pads as PyTorch's exporter computes them: a list is reshaped, turned and transposed.
#[test]
fn computed_pads_are_evaluated() {
    let nodes = vec![
        node("ConstantOfShape", &["four"], &["floats"]),
        with_int(node("Cast", &["floats"], &["zeros"]), "to", 7),
        with_int(node("Concat", &["given", "zeros"], &["all"]), "axis", 0),
        node("Reshape", &["all", "pairs"], &["rows"]),
        node("Slice", &["rows", "last", "first", "axis", "back"], &["turned"]),
        with_ints(node("Transpose", &["turned"], &["columns"]), "perm", &[1, 0]),
        node("Reshape", &["columns", "flat"], &["pads"]),
        node("Pad", &["x", "pads"], &["y"]),
    ];
    let constants = vec![
        list("given", &[1, 2, 3, 0]),
        list("four", &[4]),
        list("pairs", &[-1, 2]),
        list("last", &[-1]),
        list("first", &[i64::MIN]),
        list("axis", &[0]),
        list("back", &[-1]),
        list("flat", &[-1]),
    ];
    let (x, y) = run(&import(nodes, constants, &[0, 2, 3, 4]).unwrap(), &[1, 2, 3, 4]);
    // one column before, two after, three rows above
    let mut expected = ArrayD::zeros(vec![1, 2, 6, 7]);
    expected.slice_mut(ndarray::s![.., .., 3.., 1..5]).assign(&x);
    assert_near(&y, &expected);
}

#[test]
fn every_way_to_write_a_global_mean() {
    let kept = |first: i64, second: i64| {
        let halves = [reduce("ReduceMean", "x", "a", &[first], true), reduce("ReduceMean", "a", "b", &[second], true)];
        halves.into_iter().chain([node("Flatten", &["b"], &["y"])]).collect()
    };
    let ways: [(&str, Vec<NodeProto>); 7] = [
        ("both axes", vec![reduce("ReduceMean", "x", "y", &[-1, 2], false)]),
        ("one after the other", vec![reduce("ReduceMean", "x", "a", &[3], false), reduce("ReduceMean", "a", "y", &[2], false)]),
        ("columns, then rows, axes kept", kept(3, 2)),
        ("rows, then columns, axes kept", kept(2, 3)),
        ("flattened", vec![node("Reshape", &["x", "flat"], &["a"]), reduce("ReduceMean", "a", "y", &[2], false)]),
        (
            "permuted",
            vec![
                with_ints(node("Transpose", &["x"], &["a"]), "perm", &[0, 2, 3, 1]),
                reduce("ReduceMean", "a", "y", &[1, 2], false),
            ],
        ),
        ("a sum over the size", vec![reduce("ReduceSum", "x", "a", &[2, 3], false), node("Div", &["a", "n"], &["y"])]),
    ];
    for (way, nodes) in ways {
        let constants = vec![list("flat", &[0, 3, -1]), numbers("n", &[], &[20.0])];
        let imported = import(nodes, constants, &[0, 3, 4, 5]).unwrap_or_else(|error| panic!("{way}: {error}"));
        let (x, y) = run(&imported, &[1, 3, 4, 5]);
        let expected = x.mean_axis(Axis(3)).unwrap().mean_axis(Axis(2)).unwrap();
        assert_near(&y, &expected);
    }
}

/// Selective kernels: two paths are stacked, weighted and added.
#[test]
fn stacked_paths() {
    let nodes = vec![
        node("Relu", &["x"], &["r"]),
        node("Unsqueeze", &["x", "one"], &["a"]),
        node("Unsqueeze", &["r", "one"], &["b"]),
        with_int(node("Concat", &["a", "b"], &["paths"]), "axis", 1),
        node("GlobalAveragePool", &["x"], &["mean"]),
        node("Conv", &["mean", "w"], &["shares"]),
        node("Reshape", &["shares", "arms"], &["split"]),
        with_int(node("Softmax", &["split"], &["soft"]), "axis", 1),
        node("Mul", &["paths", "soft"], &["weighted"]),
        with_int(node("ReduceSum", &["weighted", "one"], &["y"]), "keepdims", 0),
    ];
    let constants = vec![
        list("one", &[1]),
        list("arms", &[0, 2, 2, 1, 1]),
        numbers("w", &[4, 2, 1, 1], &[1.0, 0.0, 0.0, 1.0, 0.5, 0.5, -1.0, 0.0]),
    ];
    let (x, y) = run(&import(nodes, constants, &[0, 2, 3, 4]).unwrap(), &[1, 2, 3, 4]);
    let mean = x.mean_axis(Axis(3)).unwrap().mean_axis(Axis(2)).unwrap();
    let (m0, m1) = (mean[[0, 0]], mean[[0, 1]]);
    let shares = [m0, m1, 0.5 * m0 + 0.5 * m1, -m0];
    let expected = Array::from_shape_fn(vec![1, 2, 3, 4], |at| {
        let (first, second) = (shares[at[1]].exp(), shares[at[1] + 2].exp());
        let value = x[[0, at[1], at[2], at[3]]];
        (value * first + value.max(0.0) * second) / (first + second)
    });
    assert_near(&y, &expected);
}

/// ECA: the channels of a vector as a row, which one filter runs along.
#[test]
fn a_convolution_along_the_channels() {
    let nodes = vec![
        reduce("ReduceMean", "x", "mean", &[2, 3], false),
        node("Reshape", &["mean", "row"], &["channels"]),
        with_ints(with_ints(node("Conv", &["channels", "w"], &["mixed"]), "pads", &[1, 1]), "kernel_shape", &[3]),
        node("Sigmoid", &["mixed"], &["gate"]),
        node("Reshape", &["gate", "map"], &["whole"]),
        node("Shape", &["x"], &["sizes"]),
        node("Expand", &["whole", "sizes"], &["repeated"]),
        node("Mul", &["x", "repeated"], &["y"]),
    ];
    let constants = vec![list("row", &[0, 1, -1]), list("map", &[0, -1, 1, 1]), numbers("w", &[1, 1, 3], &[0.5, 1.0, -2.0])];
    let (x, y) = run(&import(nodes, constants, &[0, 4, 3, 2]).unwrap(), &[1, 4, 3, 2]);
    let mean = x.mean_axis(Axis(3)).unwrap().mean_axis(Axis(2)).unwrap();
    let at = |channel: isize| if (0..4).contains(&channel) { mean[[0, channel as usize]] } else { 0.0 };
    let expected = Array::from_shape_fn(vec![1, 4, 3, 2], |index| {
        let c = index[1] as isize;
        let mixed = 0.5 * at(c - 1) + at(c) - 2.0 * at(c + 1);
        x[[0, index[1], index[2], index[3]]] / (1.0 + (-mixed).exp())
    });
    assert_near(&y, &expected);
}

#[test]
fn quantized_values_are_dropped_and_weights_are_what_they_stand_for() {
    let weight = TensorProto {
        name: Some("w".into()),
        dims: vec![2, 1, 1, 1],
        data_type: Some(3),
        raw_data: Some(vec![10u8, 0xfb].into()),
        ..TensorProto::default()
    };
    let zero = TensorProto {
        name: Some("z".into()),
        dims: vec![],
        data_type: Some(3),
        raw_data: Some(vec![0u8].into()),
        ..Default::default()
    };
    let nodes = vec![
        node("QuantizeLinear", &["x", "s", "z"], &["q"]),
        node("DequantizeLinear", &["q", "s", "z"], &["v"]),
        node("DequantizeLinear", &["w", "s", "z"], &["f"]),
        node("Conv", &["v", "f"], &["y"]),
    ];
    let imported = import(nodes, vec![weight, zero, numbers("s", &[], &[0.5])], &[0, 1, 2, 2]).unwrap();
    assert!(imported.notes.iter().any(|note| note.contains("quantized")), "{:?}", imported.notes);
    let weights: Vec<Vec<f32>> = imported.tensors.values().map(Tensor::to_f32).map(|values| values.to_vec()).collect();
    assert_eq!(weights, [[5.0, -2.5]]);
}

/// TensorFlow's images have their channels last; here they come first.
#[test]
fn an_image_with_its_channels_last() {
    let nodes = vec![
        node("Sub", &["x", "mean"], &["centered"]),
        with_ints(node("Transpose", &["centered"], &["turned"]), "perm", &[0, 3, 1, 2]),
        node("Relu", &["turned"], &["r"]),
        with_ints(node("Transpose", &["r"], &["y"]), "perm", &[0, 2, 3, 1]),
    ];
    let constants = vec![numbers("mean", &[3], &[0.5, 0.25, -1.0])];
    let imported = import(nodes, constants, &[0, 5, 6, 3]).unwrap();
    assert_eq!(imported.notes.iter().filter(|note| note.contains("come last")).count(), 2, "{:?}", imported.notes);
    let (x, y) = run(&imported, &[1, 3, 5, 6]);
    let means = [0.5, 0.25, -1.0];
    let expected = Array::from_shape_fn(vec![1, 3, 5, 6], |at| (x[[0, at[1], at[2], at[3]]] - means[at[1]]).max(0.0));
    assert_near(&y, &expected);
}

/// A report names the pattern, and counts what follows too if the file states the shapes.
#[test]
fn a_report_names_the_pattern() {
    let nodes = vec![node("Reshape", &["x", "arms"], &["a"]), node("Relu", &["a"], &["b"]), node("Conv", &["b", "w"], &["y"])];
    let constants = vec![list("arms", &[0, 2, 4, 9, 1]), numbers("w", &[1, 8, 1, 1], &[0.0; 8])];
    let error = import(nodes, constants, &[0, 8, 3, 3]).unwrap_err();
    let OnnxError::Unsupported(unsupported) = &error else { panic!("{error}") };
    assert_eq!(unsupported.rows.len(), 1, "{error}");
    assert!(error.to_string().contains("8 x 3 x 3"), "{error}");
}

/// Padding that is negative crops, and so does a slice of rows and columns; NASNet shifts a map by a place so.
#[test]
fn crops_by_negative_pads_and_slices() {
    let pad = |pads: &'static str| vec![node("Pad", &["x", pads], &["y"])];
    let slice = vec![node("Slice", &["x", "starts", "ends", "axes", "steps"], &["y"])];
    let constants = || {
        let lists: [(&str, &[i64]); 6] = [
            ("shifted", &[0, 0, -1, -1, 0, 0, 1, 1]),
            ("inner", &[0, 0, -1, -2, 0, 0, -1, 0]),
            ("starts", &[1, 1]),
            ("ends", &[i64::MAX, -1]),
            ("axes", &[2, 3]),
            ("steps", &[2, 1]),
        ];
        lists.iter().map(|(name, values)| list(name, values)).collect::<Vec<_>>()
    };
    let whole = |free: &[i64]| [&[0, 2], free].concat();
    for sizes in [whole(&[5, 6]), whole(&[0, 0])] {
        let of = |nodes: Vec<NodeProto>| run(&import(nodes, constants(), &sizes).unwrap(), &[1, 2, 5, 6]);
        let (x, y) = of(pad("shifted"));
        let mut expected = ArrayD::zeros(vec![1, 2, 5, 6]);
        expected.slice_mut(ndarray::s![.., .., ..4, ..5]).assign(&x.slice(ndarray::s![.., .., 1.., 1..]));
        assert_near(&y, &expected);
        let (x, y) = of(pad("inner"));
        assert_near(&y, &x.slice(ndarray::s![.., .., 1..4, 2..]).to_owned().into_dyn());
        let (x, y) = of(slice.clone());
        assert_near(&y, &x.slice(ndarray::s![.., .., 1..;2, 1..5]).to_owned().into_dyn());
    }
    // an end of its own, which only an axis of known size has
    let fixed = vec![list("starts", &[0]), list("ends", &[3]), list("axes", &[2])];
    let slice = vec![node("Slice", &["x", "starts", "ends", "axes"], &["y"])];
    let (x, y) = run(&import(slice.clone(), fixed.clone(), &[0, 2, 5, 6]).unwrap(), &[1, 2, 5, 6]);
    assert_near(&y, &x.slice(ndarray::s![.., .., ..3, ..]).to_owned().into_dyn());
    let error = import(slice, fixed, &[0, 2, 0, 0]).unwrap_err().to_string();
    assert!(error.contains("a size of its own"), "{error}");
}

/// A layer norm of a pooled map, whose channels come last after `as_strided`, or after a reshape.
#[test]
fn a_layer_norm_of_one_place() {
    let norm = |before: Vec<NodeProto>| {
        let mut nodes = vec![reduce("ReduceMean", "x", "mean", &[-1, -2], true)];
        nodes.extend(before);
        nodes.push(node("LayerNormalization", &["last", "w", "b"], &["normal"]));
        nodes.push(with_ints(node("Transpose", &["normal"], &["y"]), "perm", &[0, 3, 1, 2]));
        nodes
    };
    let strided = vec![
        node("Reshape", &["mean", "row"], &["flat"]),
        with_int(node("Gather", &["flat", "places"], &["map"]), "axis", 0),
        with_ints(node("Transpose", &["map"], &["last"]), "perm", &[0, 2, 3, 1]),
    ];
    let reshaped = vec![node("Reshape", &["mean", "channels_last"], &["last"])];
    let mut places = list("places", &[0, 1, 2]);
    places.dims = vec![1, 3, 1, 1];
    let constants = [
        list("row", &[-1]),
        places,
        list("channels_last", &[1, 1, 1, 3]),
        numbers("w", &[3], &[1.0, 2.0, 0.5]),
        numbers("b", &[3], &[0.0, -1.0, 1.0]),
    ];
    for before in [strided, reshaped] {
        let (x, y) = run(&import(norm(before), constants.to_vec(), &[1, 3, 4, 5]).unwrap(), &[1, 3, 4, 5]);
        let mean = x.mean_axis(Axis(3)).unwrap().mean_axis(Axis(2)).unwrap();
        let center = mean.mean().unwrap();
        let variance = mean.iter().map(|v| (v - center).powi(2)).sum::<f32>() / 3.0;
        let (weight, bias) = ([1.0, 2.0, 0.5], [0.0, -1.0, 1.0]);
        let expected = Array::from_shape_fn(vec![1, 3, 1, 1], |at| {
            (mean[[0, at[1]]] - center) / (variance + 1e-5).sqrt() * weight[at[1]] + bias[at[1]]
        });
        assert_near(&y, &expected);
    }
}
