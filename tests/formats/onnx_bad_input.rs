//! ONNX files that are cut short, altered or made to do harm: each is an error that says so, or a network; never a panic, nor memory out of
//! proportion.

#![cfg(feature = "onnx")]

use std::path::Path;

use proptest::prelude::*;
use prost::Message;
use resnetc::internal::base::mmap::Bytes;
use resnetc::internal::formats::onnx::proto::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, StringStringEntryProto, TensorProto, TensorShapeProto,
    TensorTypeProto, TypeProto,
};
use resnetc::internal::formats::onnx::{Imported, OnnxError, ReadOptions, open, read};

use crate::onnx_file::{model, node, tensor, value};

/// conv, norm, relu, pool, flatten, linear: what each truncation and each flip is tried on.
fn sample() -> ModelProto {
    let pads = AttributeProto { name: Some("pads".into()), ints: vec![1; 4], ..AttributeProto::default() };
    let mut conv = node("Conv", &["x", "conv1.weight"], &["a"]);
    conv.attribute.push(pads);
    let mut norm = vec!["a"];
    norm.extend(["bn1.weight", "bn1.bias", "bn1.running_mean", "bn1.running_var"]);
    let nodes = vec![
        conv,
        node("BatchNormalization", &norm, &["b"]),
        node("Relu", &["b"], &["c"]),
        node("GlobalAveragePool", &["c"], &["d"]),
        node("Flatten", &["d"], &["e"]),
        node("MatMul", &["e", "w"], &["y"]),
    ];
    let mut initializer = vec![tensor("conv1.weight", &[4, 2, 3, 3], 288), tensor("w", &[4, 3], 48)];
    initializer.extend(norm[1..].iter().map(|name| tensor(name, &[4], 16)));
    model(GraphProto {
        node: nodes,
        initializer,
        input: vec![value("x", &[0, 2, 6, 6])],
        output: vec![value("y", &[0, 3])],
        ..GraphProto::default()
    })
}

fn import(model: &ModelProto) -> Result<Imported, OnnxError> {
    parse(model.encode_to_vec(), Path::new("/nowhere"))
}

fn parse(bytes: Vec<u8>, folder: &Path) -> Result<Imported, OnnxError> {
    read(&Bytes::from(bytes), folder, &ReadOptions::default())
}

fn refused(model: &ModelProto) -> String {
    import(model).map(|i| i.graph.len()).unwrap_err().to_string()
}

#[test]
fn the_sample_is_sound() {
    let imported = import(&sample()).unwrap();
    assert_eq!(imported.graph.len(), 7);
    let names: Vec<&str> = imported.tensors.keys().map(String::as_str).collect();
    assert_eq!(names, ["bn1.bias", "bn1.running_mean", "bn1.running_var", "bn1.weight", "conv1.weight", "linear.weight"]);
}

#[test]
fn every_truncation_is_an_error() {
    let whole = sample().encode_to_vec();
    for len in 0..whole.len() {
        assert!(parse(whole[..len].to_vec(), Path::new("/nowhere")).is_err(), "cut to {len} of {}", whole.len());
    }
}

#[test]
fn every_flip_is_an_error_or_a_network() {
    let whole = sample().encode_to_vec();
    let mut sound = 0;
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            sound += usize::from(parse(bytes, Path::new("/nowhere")).is_ok());
        }
    }
    // flips in values and names are none that can be seen
    assert!(sound > 0 && sound < 8 * whole.len());
}

#[test]
fn cycles_are_named() {
    let mut model = sample();
    model.graph.as_mut().unwrap().node[2].input = vec!["y".into()];
    assert!(refused(&model).contains("cycle"), "{}", refused(&model));
    model.graph.as_mut().unwrap().node[2].input = vec!["nothing".into()];
    assert!(refused(&model).contains("`nothing`, which nothing produces"));
    // a chain as long as the file needs no deep stack
    let mut graph = sample().graph.unwrap();
    graph.node = (0..50_000).map(|i| node("Relu", &[&format!("v{i}")], &[&format!("v{}", i + 1)])).collect();
    (graph.input, graph.output) = (vec![value("v0", &[1, 2, 3, 3])], vec![value("v50000", &[])]);
    assert_eq!(import(&self::model(graph)).unwrap().graph.len(), 50_001);
}

#[test]
fn tensors_must_fit_their_sizes() {
    let with = |t: TensorProto| {
        let mut model = sample();
        model.graph.as_mut().unwrap().initializer[0] = t;
        refused(&model)
    };
    assert!(with(tensor("conv1.weight", &[4, 2, 3, 3], 284)).contains("284 bytes"));
    assert!(with(tensor("conv1.weight", &[4, 2, 3, i64::MAX], 16)).contains("overflows"));
    assert!(with(tensor("conv1.weight", &[i64::MAX / 4, 1, 1, 1], 16)).contains("16 bytes"));
    assert!(with(tensor("conv1.weight", &[-1, 2, 3, 3], 288)).contains("-1"));
    assert!(
        with(TensorProto { raw_data: None, float_data: vec![0.0; 71], ..tensor("conv1.weight", &[4, 2, 3, 3], 0) })
            .contains("71")
    );
    assert!(with(TensorProto { data_type: Some(77), ..tensor("conv1.weight", &[4, 2, 3, 3], 288) }).contains("type 77"));
}

#[test]
fn absurd_numbers_are_errors() {
    let with = |change: &dyn Fn(&mut GraphProto)| {
        let mut model = sample();
        change(model.graph.as_mut().unwrap());
        refused(&model)
    };
    with(&|g| g.input[0] = value("x", &[0, i64::MAX, 6, 6]));
    with(&|g| g.input[0] = value("x", &[0, 2, i64::MAX, i64::MAX]));
    with(&|g| g.node[0].attribute[0].ints = vec![i64::MAX; 4]);
    with(&|g| g.node[0].attribute[0].ints = vec![i64::MIN; 4]);
    with(&|g| g.node[0].attribute[0].ints = vec![1; 3]);
    for name in ["strides", "dilations", "group"] {
        for n in [i64::MIN, -1, 0, i64::MAX] {
            with(&|g| {
                g.node[0].attribute.push(AttributeProto {
                    name: Some(name.into()),
                    i: Some(n),
                    ints: vec![n; 2],
                    ..AttributeProto::default()
                });
            });
        }
    }
}

#[test]
fn a_number_that_is_added_takes_no_memory_for_each_channel() {
    let mut model = sample();
    let graph = model.graph.as_mut().unwrap();
    graph.input[0] = value("x", &[0, 1 << 38, 1, 1]);
    graph.initializer.push(tensor("one", &[], 4));
    graph.node.push(node("Add", &["x", "one"], &["z"]));
    graph.output = vec![value("z", &[])];
    assert!(import(&model).unwrap().tensors.is_empty());
}

#[test]
fn data_outside_of_the_folder_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (inside, outside) = (dir.path().join("in"), dir.path().join("out"));
    std::fs::create_dir(&inside).unwrap();
    std::fs::create_dir(&outside).unwrap();
    for folder in [&inside, &outside] {
        std::fs::write(folder.join("w"), [0; 288]).unwrap();
    }
    let at = |location: &str, entries: &[(&str, &str)]| {
        let entry = |(k, v): &(&str, &str)| StringStringEntryProto { key: Some((*k).into()), value: Some((*v).into()) };
        let mut external: Vec<_> = entries.iter().map(entry).collect();
        external.push(entry(&("location", location)));
        let mut model = sample();
        model.graph.as_mut().unwrap().initializer[0] = TensorProto {
            raw_data: None,
            external_data: external,
            data_location: Some(1),
            ..tensor("conv1.weight", &[4, 2, 3, 3], 0)
        };
        parse(model.encode_to_vec(), &inside).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(at("w", &[]), Ok(()));
    assert_eq!(at("./w", &[("offset", "0"), ("length", "288")]), Ok(()));
    let absolute = outside.join("w");
    for location in ["../out/w", "a/../../out/w", absolute.to_str().unwrap(), "", "..\\out\\w"] {
        let error = at(location, &[]).unwrap_err();
        assert!(error.contains("conv1.weight"), "{error}");
    }
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&outside, inside.join("folder")).unwrap();
        std::os::unix::fs::symlink(outside.join("w"), inside.join("file")).unwrap();
        for location in ["folder/w", "file"] {
            assert!(at(location, &[]).unwrap_err().contains("symbolic link"));
        }
    }
    for entries in [[("offset", "1")], [("offset", "18446744073709551615")], [("offset", "-1")], [("length", "287")]] {
        assert!(at("w", &entries).unwrap_err().contains("conv1.weight"), "{entries:?}");
    }
    assert!(at("missing", &[]).unwrap_err().contains("missing"));
}

#[cfg(unix)]
#[test]
fn links_lead_into_the_folder_of_the_file_itself() {
    use std::os::unix::fs::symlink;

    let dir = tempfile::tempdir().unwrap();
    let at = |path: &str| dir.path().join(path);
    for folder in ["blobs/below", "snapshots/r", "out"] {
        std::fs::create_dir_all(at(folder)).unwrap();
    }
    let mut model = sample();
    let entry = StringStringEntryProto { key: Some("location".into()), value: Some("model.onnx_data".into()) };
    model.graph.as_mut().unwrap().initializer[0] = TensorProto {
        raw_data: None,
        external_data: vec![entry],
        data_location: Some(1),
        ..tensor("conv1.weight", &[4, 2, 3, 3], 0)
    };
    std::fs::write(at("blobs/aa"), model.encode_to_vec()).unwrap();
    for file in ["blobs/bb", "blobs/below/bb", "out/bb", "snapshots/r/here"] {
        std::fs::write(at(file), [0; 288]).unwrap();
    }
    symlink("../../blobs/aa", at("snapshots/r/model.onnx")).unwrap();
    let data = at("snapshots/r/model.onnx_data");
    let with = |target: &str| {
        let _ = std::fs::remove_file(&data);
        symlink(target, &data).unwrap();
        open(&at("snapshots/r/model.onnx")).map(|imported| imported.data_files).map_err(|error| error.to_string())
    };
    // as a cache of Hugging Face lies: what is read is where the link leads
    assert_eq!(with("../../blobs/bb").unwrap(), [std::fs::canonicalize(at("blobs/bb")).unwrap()]);
    assert!(with("../../blobs/below/bb").is_ok());
    for outside in ["../../out/bb", "../../blobs/../out/bb", "here", "/etc/passwd"] {
        let said = with(outside).unwrap_err();
        assert!(said.contains("conv1.weight") && said.contains("symbolic link"), "{outside}: {said}");
    }
    assert!(with("../../blobs/missing").unwrap_err().contains("symbolic link"));
    // a link of a link that leaves the folder again
    symlink("../out/bb", at("blobs/away")).unwrap();
    assert!(with("../../blobs/away").unwrap_err().contains("symbolic link"));
    // values of a file that is no link: a link may lead into its own folder
    std::fs::write(at("out/model.onnx"), model.encode_to_vec()).unwrap();
    symlink("bb", at("out/model.onnx_data")).unwrap();
    assert!(open(&at("out/model.onnx")).is_ok());
    // only the file is a link, and its values lie beside what it leads to
    std::fs::remove_file(&data).unwrap();
    assert!(open(&at("snapshots/r/model.onnx")).is_err());
    std::fs::copy(at("blobs/bb"), at("blobs/model.onnx_data")).unwrap();
    assert!(open(&at("snapshots/r/model.onnx")).is_ok());
}

#[test]
fn norms_in_training_mode_are_refused() {
    let with = |opset: i64, outputs: &[&str], attribute: Option<(&str, i64)>| {
        let mut model = sample();
        model.opset_import[0].version = Some(opset);
        let norm = &mut model.graph.as_mut().unwrap().node[1];
        norm.output = outputs.iter().map(|name| (*name).to_owned()).collect();
        norm.attribute.extend(attribute.map(|(name, i)| AttributeProto {
            name: Some(name.into()),
            i: Some(i),
            ..AttributeProto::default()
        }));
        import(&model).map(|_| ()).map_err(|error| error.to_string())
    };
    let five = ["b", "mean", "var", "saved_mean", "saved_var"];
    let refused = |opset, outputs: &[&str], attribute| {
        let said = with(opset, outputs, attribute).unwrap_err();
        assert!(said.contains("training mode") && said.contains("eval mode"), "{said}");
    };
    for opset in 7..14 {
        refused(opset, &five, None);
        refused(opset, &five[..2], None);
        refused(opset, &["b", "", "var"], None);
        assert_eq!(with(opset, &["b"], None), Ok(()));
        // outputs without a name are none
        assert_eq!(with(opset, &["b", "", "", "", ""], None), Ok(()));
    }
    // before, an attribute says it, which is 0 where it is not there
    for opset in [1, 6] {
        refused(opset, &["b"], None);
        refused(opset, &["b"], Some(("is_test", 0)));
        refused(opset, &five, Some(("is_test", 1)));
        assert_eq!(with(opset, &["b"], Some(("is_test", 1))), Ok(()));
    }
    for opset in [14, 15, 23] {
        refused(opset, &["b"], Some(("training_mode", 1)));
        refused(opset, &five[..3], Some(("training_mode", 1)));
        // invalid by the specification, and refused by ONNX Runtime
        refused(opset, &five[..3], None);
        assert_eq!(with(opset, &["b"], Some(("training_mode", 0))), Ok(()));
        assert_eq!(with(opset, &["b"], None), Ok(()));
    }
}

#[test]
fn sizes_that_are_not_stated_are_free() {
    let with = |sizes: [Option<i64>; 4]| {
        let mut model = sample();
        let input = &mut model.graph.as_mut().unwrap().input[0];
        let dim = |dim_value| DimensionProto { dim_value, dim_param: None };
        let shape = TensorShapeProto { dim: sizes.into_iter().map(dim).collect() };
        let tensor = TensorTypeProto { elem_type: Some(1), shape: Some(shape) };
        input.r#type = Some(TypeProto { tensor_type: Some(tensor) });
        let imported = import(&model).map_err(|error| error.to_string())?;
        let id = imported.graph.inputs()[0];
        let resnetc::internal::ir::Op::Input(shape) = &imported.graph.node(id).op else { panic!("no input") };
        Ok::<_, String>(shape.to_string())
    };
    for n in [None, Some(-1), Some(0), Some(i64::MIN)] {
        assert_eq!(with([n, Some(2), n, n]).unwrap(), "2 x H x W", "{n:?}");
        assert_eq!(with([n, Some(2), Some(6), n]).unwrap(), "2 x 6 x W", "{n:?}");
        assert!(with([Some(1), n, Some(6), Some(6)]).unwrap_err().contains("number of channels is not stated"));
    }
}

#[test]
fn structure_out_of_proportion_is_refused() {
    // two bytes each, which would become two hundred
    let mut bytes = sample().encode_to_vec();
    let flood: Vec<u8> = [0x42u8, 0].repeat(9 << 20);
    bytes.extend_from_slice(&flood);
    let error = parse(bytes, Path::new("/nowhere")).unwrap_err();
    assert!(matches!(error, OnnxError::TooLarge { .. }), "{error}");
    // weights may lie in constants
    let mut model = sample();
    let graph = model.graph.as_mut().unwrap();
    let large = tensor("", &[5 << 20], 20 << 20);
    let mut constant = node("Constant", &[], &["large"]);
    constant.attribute.push(AttributeProto { name: Some("value".into()), t: Some(Box::new(large)), ..AttributeProto::default() });
    graph.node.push(constant);
    import(&model).unwrap();
    // messages within messages, deeper than any file has them
    let mut deep = Vec::new();
    for _ in 0..100_000 {
        let mut outer = vec![0x3a];
        prost::encoding::encode_varint(deep.len() as u64, &mut outer);
        outer.extend_from_slice(&deep[..deep.len().min(64)]);
        deep = outer;
    }
    assert!(parse(deep, Path::new("/nowhere")).is_err());
}

#[test]
fn all_that_cannot_be_said_is_one_report() {
    let mut model = sample();
    let graph = model.graph.as_mut().unwrap();
    graph.node[2].op_type = Some("Einsum".into());
    graph.node[4].op_type = Some("LSTM".into());
    graph.node.insert(5, node("Einsum", &["e"], &["f"]));
    graph.node[6].input[0] = "f".into();
    assert_eq!(
        refused(&model),
        "3 nodes of the ONNX file cannot be expressed in the language:\n  \
         2 x Einsum (`c`, `f`): the language has no equivalent operator\n  \
         1 x LSTM (`e`): the language has no equivalent operator"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_are_an_error_or_a_network(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse(bytes, Path::new("/nowhere"));
    }

    #[test]
    fn any_damage_is_an_error_or_a_network(edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12)) {
        let mut bytes = sample().encode_to_vec();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = parse(bytes, Path::new("/nowhere"));
    }

    #[test]
    fn any_sizes_and_operators(
        ops in proptest::collection::vec(prop::sample::select(vec![
            "Conv", "MaxPool", "AveragePool", "Add", "Mul", "Concat", "Flatten", "Reshape", "Pad", "Slice", "Resize", "Gemm", "MatMul",
            "Softmax", "Clip", "Squeeze", "ReduceMean", "Shape", "Gather", "Div", "Sub", "Dropout", "BatchNormalization",
        ]), 1..8),
        reads in proptest::collection::vec(proptest::collection::vec(0usize..12, 0..5), 8),
        dims in proptest::collection::vec(-2i64..6, 0..5),
        numbers in proptest::collection::vec(any::<i64>(), 0..6),
    ) {
        let mut names: Vec<String> = ["x", "w", "n", ""].map(String::from).to_vec();
        let mut nodes = Vec::new();
        for (i, op) in ops.iter().enumerate() {
            let inputs: Vec<&str> = reads[i].iter().map(|&r| names[r % names.len()].as_str()).collect();
            let output = format!("v{i}");
            let mut made = node(op, &inputs, &[&output]);
            for (k, name) in ["axis", "kernel_shape", "strides", "pads", "axes", "perm"].into_iter().enumerate() {
                if let Some(&n) = numbers.get(k) {
                    made.attribute.push(AttributeProto { name: Some(name.into()), i: Some(n), ints: numbers.clone(), ..AttributeProto::default() });
                }
            }
            nodes.push(made);
            names.push(output);
        }
        let count: i64 = dims.iter().product::<i64>().clamp(0, 4096);
        let list = TensorProto {
            name: Some("n".into()), dims: vec![numbers.len() as i64], data_type: Some(7), int64_data: numbers.clone(), ..TensorProto::default()
        };
        let last = names.last().cloned().unwrap();
        let graph = GraphProto {
            node: nodes,
            initializer: vec![tensor("w", &dims, 4 * count as usize), list],
            input: vec![value("x", &[0, 3, 5, 5])],
            output: vec![value(&last, &[])],
            ..GraphProto::default()
        };
        let _ = import(&model(graph));
    }
}
