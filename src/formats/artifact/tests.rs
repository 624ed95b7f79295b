use super::*;
use crate::driver::Frontend;
use crate::ir::ops::operators;
use std::sync::Arc;

use crate::ir::{Elementwise, Op};
use crate::runtime::RunError;
use crate::runtime::init;
use ndarray::ArrayD;

const SOURCE: &str = "resnet 1\nuse std.blocks: basic\nnetwork net {\n  input 3 x 8 x 8\n  shortcut: projection\n  \
                      conv 3x3, filters: 4\n  batchnorm\n  stage layer1: 1 of basic { filters: 8, map: halve }\n  avgpool global\n  linear 2\n  \
                      labels [\"a\", \"b\"]\n  preprocess { mean: [0.1, 0.2, 0.3] }\n}\n";

fn sample() -> (Checked, ParamStore, SourceMap) {
    let mut front = Frontend::text("net.resnet", SOURCE);
    let checked = front.check("net", &[]).unwrap();
    let params = init::init(&checked, 1).unwrap();
    (checked, params, front.sources)
}

fn written() -> (tempfile::TempDir, PathBuf) {
    let (checked, params, sources) = sample();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("net.rnx");
    write(&path, &Contents::new(&checked, &params, &sources)).unwrap();
    (dir, path)
}

fn answer(model: &Model) -> ArrayD<f32> {
    let x = ArrayD::from_shape_fn(vec![2, 3, 8, 8], |i| (i[1] * 7 + i[2] * 3 + i[3] + i[0]) as f32 / 10.0);
    let mut session = model.session().unwrap();
    session.run(&[("input", x.view())]).unwrap().main().clone()
}

#[test]
fn written_artifacts_are_read_back_bit_exactly() {
    let (checked, params, _) = sample();
    let (_dir, path) = written();
    let model = Model::load(&path).unwrap();
    assert_eq!(model.network().labels, ["a", "b"]);
    assert_eq!(model.network().preprocess, checked.network.preprocess);
    assert_eq!(answer(&model), answer(&Model::new(checked, params).unwrap()));
    let verified = verify(&path).unwrap();
    assert_eq!((verified.network.as_str(), verified.tensors), ("net", 22));
}

#[test]
fn operators_of_later_phases_are_refused() {
    let (mut checked, params, sources) = sample();
    let (_dir, path) = written();
    let graph = checked.graph_mut();
    let layer = graph.order().into_iter().find(|&id| matches!(graph.node(id).op, Op::Conv(_))).unwrap();
    if let Op::Conv(conv) = &mut graph.node_mut(layer).op {
        conv.epilogue.act = Some(Arc::new(Elementwise::relu()));
    }
    let error = write(&path, &Contents::new(&checked, &params, &sources)).unwrap_err().to_string();
    assert!(error.contains("no source declares the operator of `conv1`"), "{error}");
}

#[test]
fn operators_are_stored_with_the_words_and_keys_of_the_language() {
    let (_dir, path) = written();
    let whole = std::fs::read(&path).unwrap();
    let header: serde_json::Value = serde_json::from_str(&split(&whole).0).unwrap();
    let stored = |name: &str| header["nodes"].as_array().unwrap().iter().find(|node| node["name"] == name).unwrap();
    assert_eq!(
        *stored("conv1"),
        serde_json::json!({
            "name": "conv1",
            "op": "conv",
            "attributes": {
                "kernel": [3, 3], "filters": 4, "stride": [1, 1], "padding": [[1, 1], [1, 1]], "dilation": [1, 1], "groups": 1, "bias": false
            },
            "reads": [0]
        })
    );
    assert_eq!(stored("avgpool")["attributes"], serde_json::json!({ "kernel": "global" }));
}

#[test]
fn every_operator_is_read_back() {
    let examples = operators().flat_map(|operator| operator.schema.examples).filter(|example| !example.contains("LABEL"));
    for example in examples {
        let before = if example.starts_with("channel_conv") { "avgpool global\n" } else { "" };
        let text = format!("resnet 1\nblock b {{\n{before}{example}\n}}\nnetwork net {{\ninput 4 x 16 x 16\nb\n}}\n");
        let checked = Frontend::text("net.resnet", &text).check("net", &[]).unwrap();
        for id in checked.graph().order() {
            let op = &checked.graph().node(id).op;
            let stored = serde_json::to_string(&op::StoredOp::new(op).unwrap()).unwrap();
            let read: op::StoredOp = serde_json::from_str(&stored).unwrap();
            assert_eq!(read.read().as_ref(), Ok(op), "{example}: {stored}");
        }
    }
}

#[test]
fn every_altered_byte_is_found() {
    let (_dir, path) = written();
    let whole = std::fs::read(&path).unwrap();
    let header = HEADER + u64::from_le_bytes(whole[8..16].try_into().unwrap()) as usize;
    for at in 0..whole.len() {
        // every byte of the header, and one in a hundred of the weights
        if at > header && at % 101 != 0 {
            continue;
        }
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        std::fs::write(&path, &bytes).unwrap();
        if at < header {
            assert!(Model::load(&path).is_err(), "byte {at} of the header");
        } else if let Ok(verified) = verify(&path) {
            // only the padding between tensors may change
            assert_eq!(whole[at], 0, "byte {at}: {verified:?}");
        }
    }
}

#[test]
fn every_truncation_is_found() {
    let (_dir, path) = written();
    let whole = std::fs::read(&path).unwrap();
    for len in 0..whole.len() {
        if len > 4096 && len % 101 != 0 {
            continue;
        }
        std::fs::write(&path, &whole[..len]).unwrap();
        assert!(Model::load(&path).is_err(), "cut to {len} bytes");
    }
    let mut longer = whole;
    longer.push(0);
    std::fs::write(&path, longer).unwrap();
    assert!(matches!(Model::load(&path), Err(ArtifactError::Damaged { .. })));
}

#[test]
fn a_header_of_impossible_length_allocates_no_memory() {
    let (_dir, path) = written();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[8..16].copy_from_slice(&(1u64 << 60).to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    assert!(Model::load(&path).unwrap_err().to_string().contains("impossible length"));
}

/// The header of an artifact, and the data after it.
fn split(whole: &[u8]) -> (String, &[u8]) {
    let end = HEADER + u64::from_le_bytes(whole[8..16].try_into().unwrap()) as usize;
    (String::from_utf8(whole[HEADER..end].to_vec()).unwrap(), &whole[end.next_multiple_of(PAGE)..])
}

/// An artifact with this header and a valid checksum.
fn join(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend((header.len() as u64).to_le_bytes());
    bytes.extend(checksum(&bytes[..16], header.as_bytes()).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len().next_multiple_of(PAGE), 0);
    bytes.extend(data);
    bytes
}

/// A header with a valid checksum is not trusted either.
#[test]
fn a_forged_header_is_an_error() {
    let (_dir, path) = written();
    let whole = std::fs::read(&path).unwrap();
    let (text, data) = split(&whole);
    let forge = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        std::fs::write(&path, join(&text.replacen(from, to, 1), data)).unwrap();
        Model::load(&path).map(|_| ()).unwrap_err().to_string()
    };
    assert!(
        forge("\"version\":5", "\"version\":4")
            .contains("of version 4; this resnetc reads versions 5 and 6: compile the network again")
    );
    assert!(forge("\"op\":\"conv\"", "\"op\":\"bias-grad\"").contains("`bias-grad` is an operator that no source declares"));
    assert!(forge("\"groups\":1", "\"classes\":1").contains("`conv` has no `classes`"));
    assert!(forge("\"groups\":1", "\"groups\":-1").contains("`groups` of `conv` cannot be -1"));
    assert!(forge("\"groups\":1,", "").contains("`conv1`: `conv`: `groups` is missing"));
    assert!(forge("\"reads\":[0]", "\"reads\":[900]").contains("does not come before"));
    assert!(forge("\"offset\":0", "\"offset\":18446744073709551552").contains("is not inside the file"));
    assert!(forge("\"filters\":4", "\"filters\":4000").contains("damaged"));
    assert!(forge("\"mean\":[0.1,0.2,0.3]", "\"mean\":[0.1]").contains("preprocessing"));
}

/// An artifact with weights packed for this instruction set and the batch of [`answer`].
fn packed(isa: Isa) -> (tempfile::TempDir, PathBuf) {
    let (checked, params, sources) = sample();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("net.rnx");
    let model = Model::new(checked.clone(), params.clone()).unwrap();
    let options = PlanOptions::new(2, SessionOptions::default().threads, isa);
    let plan = model.plan(&options, [None; 2]).unwrap();
    let packs = model.pack(&plan).unwrap();
    let written = write(&path, &Contents { packs: Some(&packs), ..Contents::new(&checked, &params, &sources) }).unwrap();
    assert_eq!(written.file, std::fs::metadata(&path).unwrap().len());
    assert!(written.packs >= packs.bytes() as u64 && packs.bytes() > 0);
    (dir, path)
}

#[test]
fn packed_weights_are_used_without_a_copy() {
    let (checked, params, _) = sample();
    let (_dir, path) = packed(Isa::chosen().unwrap());
    let model = Model::load(&path).unwrap();
    assert_eq!((model.packed_bytes(), model.mapped_bytes()), (0, 0));
    assert_eq!(answer(&model), answer(&Model::new(checked, params).unwrap()));
    // no weight was packed, and all mapped ones were used; another session uses the same ones
    let all = model.packed_weights().unwrap().bytes();
    assert_eq!((model.packed_bytes(), model.mapped_bytes()), (0, all));
    answer(&model);
    assert_eq!((model.packed_bytes(), model.mapped_bytes()), (0, all));
    let verified = verify(&path).unwrap();
    assert_eq!((verified.tensors, verified.packs), (22, model.packed_weights().unwrap().len()));
}

#[test]
fn weights_packed_for_other_kernels_do_not_change_results() {
    let (checked, params, _) = sample();
    let expected = answer(&Model::new(checked, params).unwrap());
    for isa in Isa::ALL {
        let (_dir, path) = packed(isa);
        let model = Model::load(&path).unwrap();
        assert_eq!(model.packed_weights().unwrap().isa(), isa);
        assert_eq!(answer(&model), expected, "{isa}");
    }
}

/// Instruction sets with blocks of the same size read the same weights.
#[test]
fn weights_packed_on_another_architecture_are_used_without_a_copy() {
    for (here, there) in [(Isa::Avx2, Isa::Neon), (Isa::Neon, Isa::Avx2)] {
        if !here.is_available() {
            continue;
        }
        let (_dir, path) = packed(there);
        let model = Model::load(&path).unwrap();
        let options = SessionOptions { isa: Some(here), ..SessionOptions::default() };
        let x = ArrayD::from_elem(vec![2, 3, 8, 8], 0.5f32);
        model.session_with(options).unwrap().run(&[("input", x.view())]).unwrap();
        assert_eq!(
            (model.packed_bytes(), model.mapped_bytes()),
            (0, model.packed_weights().unwrap().bytes()),
            "{there} on {here}"
        );
    }
}

#[test]
fn damage_to_packed_weights_is_found() {
    let (_dir, path) = packed(Isa::chosen().unwrap());
    let whole = std::fs::read(&path).unwrap();
    let (text, data) = split(&whole);
    let header: serde_json::Value = serde_json::from_str(&text).unwrap();
    let list = header["packs"]["list"].as_array().unwrap();
    for pack in list {
        let at = whole.len() - data.len() + pack["offset"].as_u64().unwrap() as usize;
        let mut bytes = whole.clone();
        bytes[at + 1] ^= 4;
        std::fs::write(&path, bytes).unwrap();
        let error = verify(&path).unwrap_err().to_string();
        assert!(error.contains("packed weight") && error.contains(pack["name"].as_str().unwrap()), "{error}");
    }
    for len in (0..whole.len()).step_by(509) {
        std::fs::write(&path, &whole[..len]).unwrap();
        assert!(Model::load(&path).is_err(), "cut to {len} bytes");
    }
}

#[test]
fn forged_packed_weights_are_errors() {
    let (_dir, path) = packed(Isa::chosen().unwrap());
    let whole = std::fs::read(&path).unwrap();
    let (text, data) = split(&whole);
    let forge = |index: usize, key: &str, value: serde_json::Value| {
        let mut header: serde_json::Value = serde_json::from_str(&text).unwrap();
        header["packs"]["list"][index][key] = value;
        std::fs::write(&path, join(&header.to_string(), data)).unwrap();
        Model::load(&path)
    };
    let first: serde_json::Value = serde_json::from_str::<serde_json::Value>(&text).unwrap()["packs"]["list"][0].clone();
    let is_error = |loaded: Result<Model, ArtifactError>, words: &str| {
        let error = loaded.unwrap_err().to_string();
        assert!(error.contains(words), "`{words}` is not in: {error}");
    };
    for offset in [u64::MAX, u64::MAX - 63, data.len() as u64, first["offset"].as_u64().unwrap() + 1] {
        is_error(forge(0, "offset", offset.into()), "is not inside the file");
    }
    for len in [u64::MAX, 1 << 62, data.len() as u64] {
        is_error(forge(0, "len", len.into()), "is not inside the file");
    }
    is_error(forge(1, "offset", first["offset"].clone()), "overlap");
    is_error(forge(0, "offset", 0.into()), "overlap");
    is_error(forge(0, "form", "Cubic".into()), "header cannot be read");
    // a possible length that does not fit the layout
    let short = forge(0, "len", (first["len"].as_u64().unwrap() - 1).into()).unwrap();
    let x = ArrayD::zeros(vec![2, 3, 8, 8]);
    let error = short.session().unwrap().run(&[("input", x.view())]).unwrap_err();
    assert!(matches!(error, RunError::PackedWeight { .. }), "{error}");
}

#[test]
fn settings_are_stored_and_those_of_another_version_ignored() {
    let (checked, params, sources) = sample();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("net.rnx");
    let settings = Settings { precise: true, max_packed_weights: 150, ..Settings::default() };
    write(&path, &Contents { settings: Some(&settings), ..Contents::new(&checked, &params, &sources) }).unwrap();
    assert_eq!(*Model::load(&path).unwrap().settings(), settings);
    let whole = std::fs::read(&path).unwrap();
    let (text, data) = split(&whole);
    let mut header: serde_json::Value = serde_json::from_str(&text).unwrap();
    header["settings"]["version"] = (SETTINGS + 1).into();
    header["settings"]["settings"] = "of another kind".into();
    std::fs::write(&path, join(&header.to_string(), data)).unwrap();
    assert_eq!(*Model::load(&path).unwrap().settings(), Settings::default());
    header["settings"]["version"] = SETTINGS.into();
    std::fs::write(&path, join(&header.to_string(), data)).unwrap();
    assert!(Model::load(&path).unwrap_err().to_string().contains("settings cannot be read"));
}
