//! Networks of Caffe: `tests/reference/caffe.py` computes them with PyTorch, and writes their weights with `protobuf`.

#![cfg(feature = "cli")]

use std::path::Path;

use ndarray::ArrayD;
use resnetc::internal::base::mmap::Bytes;
use resnetc::internal::formats::{caffe, npy};
use resnetc::internal::ir::{Channels, Op, Shape, infer_shape};

use crate::any_layers;
use crate::command::{arg, resnetc};
use crate::layer_lists::{agrees, altered, fixture};

#[test]
fn networks_agree_with_pytorch() {
    let residual = agrees("caffe/residual", "prototxt", "caffemodel");
    insta::assert_snapshot!("caffe_residual", residual);
    let former = agrees("caffe/former", "prototxt", "caffemodel");
    insta::assert_snapshot!("caffe_former", former);
    let response = agrees("caffe/response", "prototxt", "caffemodel");
    insta::assert_snapshot!("caffe_response", response);
}

/// An input of 8 x 9 x 7, and these layers.
fn with(layers: &str) -> String {
    format!("name: \"net\"\ninput: \"data\"\ninput_shape {{ dim: 1 dim: 8 dim: 9 dim: 7 }}\n{layers}")
}

/// A layer of a type that reads `data`, on the fifth line.
fn layer(kind: &str, more: &str) -> String {
    with(&format!("\nlayer {{ name: \"a\" type: \"{kind}\" bottom: \"data\" top: \"a\" {more} }}\n"))
}

fn message(text: &str) -> String {
    caffe::read(text.as_bytes(), None).map(|_| text.to_owned()).unwrap_err().to_string()
}

#[test]
fn sizes_are_those_of_caffe() {
    let input = Shape::fixed(&[8, 9, 7]);
    for (more, expected) in [
        // windows of 2 in 9 x 7: the last ones begin in the map, and reach beyond it
        ("kernel_size: 2 stride: 2", [8, 5, 4]),
        ("kernel_size: 2 stride: 2 round_mode: FLOOR", [8, 4, 3]),
        ("kernel_size: 3 stride: 1 pad: 1", [8, 9, 7]),
        ("kernel_size: 3 stride: 2 pad: 1", [8, 5, 4]),
        // those that would begin in the padding are left out
        ("kernel_size: 2 stride: 2 pad: 1", [8, 5, 4]),
        ("kernel_h: 9 kernel_w: 7", [8, 1, 1]),
        ("pool: AVE global_pooling: true", [8, 1, 1]),
    ] {
        let found = caffe::read(layer("Pooling", &format!("pooling_param {{ {more} }}")).as_bytes(), None).unwrap();
        let (_, value) = &found.graph.outputs()[0];
        let shape = infer_shape(&found.graph.node(value.node).op, std::slice::from_ref(&input)).unwrap();
        assert_eq!(shape, Shape::fixed(&expected), "{more}");
    }
}

#[test]
fn problems_name_the_line_and_the_layer() {
    for (text, words) in [
        (layer("Convolution", "convolution_param { num_output: 4 }"), "line 5, `a` (Convolution): it has no `kernel_size`"),
        (layer("Convolution", "convolution_param { kernel_size: 3 }"), "it has no `num_output`"),
        (
            layer("Convolution", "convolution_param { num_output: 4 kernel_size: 3 group: 3 }"),
            "3 groups do not divide 8 channels",
        ),
        (layer("Convolution", "convolution_param { num_output: four kernel_size: 3 }"), "its `num_output` is `four`"),
        (layer("Convolution", "convolution_param { num_output: 4 kernel_size: 99 }"), "line 5"),
        (layer("Convolution", "convolution_param { num_output: 4 kernel_size: 3 stride: 0 }"), "its `stride` or `dilation` is 0"),
        (layer("Pooling", "pooling_param { pool: STOCHASTIC kernel_size: 2 }"), "its `pool` is `STOCHASTIC`"),
        // the third window of a row would begin at 8 of 7
        (layer("Pooling", "pooling_param { kernel_size: 1 stride: 4 }"), "its last window would be outside"),
        (layer("BatchNorm", "batch_norm_param { use_global_stats: false }"), "statistics of the batch"),
        (layer("Scale", "scale_param { axis: 0 }"), "more or less than each channel"),
        (layer("LRN", "lrn_param { local_size: 4 }"), "`a` (LRN): its `local_size` is not an odd number"),
        (layer("LRN", "lrn_param { norm_region: PLANE }"), "its `norm_region` is `PLANE`"),
        (layer("Frobnicate", ""), "the language has no equivalent operator"),
        (layer("Eltwise", ""), "it reads 1 values, but must read at least 2"),
        (layer("Power", "power_param { power: 3 }"), "its `power` is 3"),
        (layer("Slice", "top: \"b\" slice_param { slice_point: 9 }"), "parts of 8 channels end at [9, 8]"),
        (layer("Concat", "bottom: \"missing\""), "it reads `missing`, which no layer before it yields"),
        (layer("Reshape", "reshape_param { shape { dim: 2 dim: 3 } }"), "it makes [2, 3] of 8 x 9 x 7"),
        (layer("ReLU", "bottom: \"data\""), "it reads 2 values"),
        (layer("ReLU", "top: \"b\""), "it has 2 `top`, but yields 1"),
        (layer("Data", ""), "does not say how large the images are"),
        (with("layer { name: \"a\" bottom: \"data\" }"), "line 4, column 1: this layer has no `type`"),
        (with("layer: 3"), "line 4, column 1: `layer` must have fields in braces"),
        (with("layers { layer { name: \"a\" } }"), "upgrade_net_proto_text"),
        (with("layer { name: \"a\""), "expected `}` or a field, found the end of the file"),
        (with(""), "the file describes no network"),
        ("input: \"data\"".to_owned(), "line 1, column 1: the file has 1 `input`, but the sizes of 0"),
        ("input: \"data\" input_dim: 1 input_dim: -3".to_owned(), "its `input_dim` is `-3`"),
        (String::new(), "the file describes no network"),
    ] {
        let found = message(&text);
        assert!(found.contains(words), "{text}: {found}");
    }
    assert!(caffe::read(b"\xff", None).unwrap_err().to_string().contains("no text"));
}

#[test]
fn only_the_first_problem_of_a_chain_is_reported() {
    let text = with(
        "layer { name: \"a\" type: \"MVN\" bottom: \"data\" top: \"a\" }\n\
                     layer { name: \"b\" type: \"ReLU\" bottom: \"a\" top: \"b\" }\n\
                     layer { name: \"c\" type: \"MVN\" bottom: \"data\" top: \"c\" }",
    );
    let found = message(&text);
    assert!(found.contains("2 layers cannot be imported") && !found.contains("`b`"), "{found}");
}

#[test]
fn a_scale_belongs_to_the_norm_before_it_unless_that_is_read_too() {
    let norms = |layers: &str| {
        let found = caffe::read(with(layers).as_bytes(), None).unwrap();
        found.graph.ids().filter(|&id| matches!(found.graph.node(id).op, Op::BatchNorm(_))).count()
    };
    let norm = "layer { name: \"n\" type: \"BatchNorm\" bottom: \"data\" top: \"n\" }\n";
    let scale = |from: &str| format!("layer {{ name: \"s\" type: \"Scale\" bottom: \"{from}\" top: \"s\" }}\n");
    assert_eq!(norms(&format!("{norm}{}", scale("n"))), 1);
    let relu = "layer { name: \"r\" type: \"ReLU\" bottom: \"n\" top: \"r\" }";
    assert_eq!(norms(&format!("{norm}{}{relu}", scale("n"))), 2);
    // one of the copies stays as it is
    let split = "layer { name: \"c\" type: \"Split\" bottom: \"n\" top: \"a\" top: \"b\" }\n";
    assert_eq!(norms(&format!("{norm}{split}{}", scale("a"))), 2);
}

#[test]
fn a_long_name_of_many_values_takes_little_memory() {
    let name = "n".repeat(1 << 20);
    let tops: String = (0..2000).map(|top| format!("top: \"{top}\" ")).collect();
    let text = format!(
        "input: \"data\" input_shape {{ dim: 1 dim: 2000 dim: 1 dim: 1 }}\n\
         layer {{ name: \"{name}\" type: \"Slice\" bottom: \"data\" {tops} }}"
    );
    let found = caffe::read(text.as_bytes(), None).unwrap();
    assert!(found.graph.ids().all(|id| found.graph.node(id).name.len() < 300));
}

/// A `BlobProto` of these four axes.
fn mean_image(sizes: [u8; 4], values: &[f32]) -> Vec<u8> {
    let mut bytes: Vec<u8> = sizes.iter().zip(1u8..).flat_map(|(&size, field)| [field << 3, size]).collect();
    bytes.extend([5 << 3 | 2, 4 * values.len() as u8]);
    bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    bytes
}

#[test]
fn a_mean_image_is_preprocessing() {
    let folder = tempfile::tempdir().unwrap();
    let text = "input: \"data\" input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }\n\
                layer { name: \"a\" type: \"ReLU\" bottom: \"data\" top: \"a\" }";
    let with = |bytes: Vec<u8>| {
        let path = folder.path().join("mean.binaryproto");
        std::fs::write(&path, bytes).unwrap();
        let mut found = caffe::read(text.as_bytes(), None).unwrap();
        assert!(found.notes.iter().any(|note| note.contains("does not say how images become inputs")));
        caffe::add_mean(&mut found, &path).map(|()| found).map_err(|error| error.to_string())
    };
    let values = [100.0, 104.0, 102.0, 102.0, 110.0, 110.0, 112.0, 108.0, 120.0, 120.0, 120.0, 124.0];
    let found = with(mean_image([1, 3, 2, 2], &values)).unwrap();
    let how = found.preprocess.unwrap();
    assert_eq!(
        (how.channels, how.mean, how.std),
        (Channels::Bgr, vec![102.0 / 255.0, 110.0 / 255.0, 121.0 / 255.0], vec![1.0 / 255.0; 3])
    );
    assert!(found.notes.len() == 1 && found.notes[0].contains("averages of the mean image of 2 x 2"), "{:?}", found.notes);
    // the text states no scale, which a program may set
    assert!(
        found.notes[0].contains("assumes a scale of 1") && found.notes[0].contains("divide each `std` by it"),
        "{:?}",
        found.notes
    );
    // one that it states beside the mean image stays, with the mean or without
    let scaled = "layer { name: \"data\" type: \"Data\" top: \"data\" transform_param { scale: 0.5 mean_file: \"m\" crop_size: 8 } }\n\
                  layer { name: \"a\" type: \"ReLU\" bottom: \"data\" top: \"a\" }";
    let mut found = caffe::read(scaled.as_bytes(), None).unwrap();
    assert!(found.notes.iter().any(|note| note.contains("the mean image of the file is left out")), "{:?}", found.notes);
    assert_eq!(found.preprocess.as_ref().unwrap().std, [2.0 / 255.0; 3]);
    std::fs::write(folder.path().join("mean.binaryproto"), mean_image([1, 3, 2, 2], &values)).unwrap();
    caffe::add_mean(&mut found, &folder.path().join("mean.binaryproto")).unwrap();
    let how = found.preprocess.unwrap();
    assert_eq!((how.mean[2], how.std), (121.0 / 255.0, vec![2.0 / 255.0; 3]));
    assert!(!found.notes.iter().any(|note| note.contains("scale of 1")), "{:?}", found.notes);
    // as NumPy has it
    let array = ArrayD::from_shape_vec(vec![3, 2, 2], values.to_vec()).unwrap();
    let path = folder.path().join("mean.npy");
    npy::write(&path, &array.view()).unwrap();
    let mut found = caffe::read(text.as_bytes(), None).unwrap();
    caffe::add_mean(&mut found, &path).unwrap();
    assert_eq!(found.preprocess.unwrap().mean[2], 121.0 / 255.0);
    for (bytes, words) in [
        (mean_image([1, 1, 2, 6], &values), "it has 1 channels, but the network reads 3"),
        (mean_image([1, 2, 2, 3], &values), "images have 1 or 3"),
        (mean_image([2, 3, 2, 1], &values), "its sizes are [2, 3, 2, 1]"),
        (mean_image([1, 3, 2, 1], &values), "it has 12 values, but its sizes are [1, 3, 2, 1]"),
        (mean_image([1, 3, 0, 2], &[]), "its sizes are"),
        (mean_image([1, 3, 2, 2], &[f32::NAN; 12]), "not finite"),
        (vec![0xff; 9], "it is damaged (a mean image is"),
        (Vec::new(), "mean image"),
    ] {
        let said = with(bytes).unwrap_err();
        assert!(said.contains("mean.binaryproto") && said.contains(words), "{words}: {said}");
    }
    let cfg = fixture("darknet/residual.cfg");
    let refused = resnetc(&["import", arg(&cfg), "--mean", arg(&path)]);
    assert_eq!(refused.code, 2, "{}", refused.err);
}

#[test]
fn weights_must_fit() {
    let text = std::fs::read(fixture("caffe/former.prototxt")).unwrap();
    let fails = |text: &str, weights: Vec<u8>| {
        caffe::read(text.as_bytes(), Some((Path::new("w.caffemodel"), &weights.into()))).unwrap_err().to_string()
    };
    let own = String::from_utf8(text).unwrap();
    let weights = std::fs::read(fixture("caffe/former.caffemodel")).unwrap();
    assert!(fails(&own.replace("num_output: 8", "num_output: 9"), weights.clone()).contains("but the layer [9, 294]"));
    assert!(fails(&own.replace("fc8", "fc9"), weights.clone()).contains("but `w.caffemodel` has 0 for it"));
    assert!(
        fails(&own, weights[..weights.len() - 1].to_vec()).contains("`w.caffemodel`: the file is no `.caffemodel`, or damaged")
    );
    assert!(fails(&own, Vec::new()).contains("has no tensors"));
    let missing = resnetc(&["import", arg(&fixture("caffe/former.prototxt")), "--weights-out", "/tmp/never.safetensors"]);
    assert!(missing.code == 2 && missing.err.contains("`--weights-out` needs `--weights`"), "{}", missing.err);
    resnetc(&["import", arg(&fixture("caffe/none.prototxt"))]).refused("cannot read");
}

#[test]
fn altered_files_do_not_panic() {
    for name in ["residual", "former"] {
        let text = std::fs::read(fixture(&format!("caffe/{name}.prototxt"))).unwrap();
        let weights = std::fs::read(fixture(&format!("caffe/{name}.caffemodel"))).unwrap();
        let path = Path::new("w.caffemodel");
        let whole = Bytes::from(weights.clone());
        for text in altered(&text, 300) {
            let _ = caffe::read(&text, Some((path, &whole)));
            any_layers::prototxt(&text);
        }
        for weights in altered(&weights, 300) {
            let _ = caffe::read(&text, Some((path, &weights.into())));
        }
    }
}
