//! ONNX's own tests of its operators (Debian's `libonnx-testdata`): each is imported, checked and run, and its outputs are held against
//! those that came with it. The snapshot lists what passes, and why the rest cannot be expressed; nothing may fail.
//!
//! `cargo test --test formats onnx_conformance:: -- --nocapture` prints the table of docs/onnx.md.

#![cfg(feature = "onnx")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use ndarray::ArrayD;
use prost::Message;
use resnetc::internal::base::mmap::Bytes;
use resnetc::internal::base::tensor::Tensor;
use resnetc::internal::check;
use resnetc::internal::formats::onnx::proto::ModelProto;
use resnetc::internal::formats::onnx::{Imported, OnnxError, ReadOptions, read, read_tensor};
use resnetc::internal::runtime::{Model, SessionOptions};

const DATA: &str = "/usr/share/libonnx-testdata/data";

/// How a case came out.
#[derive(Debug)]
enum Outcome {
    Passed,
    Unsupported(String),
    Failed(String),
}

/// A case's inputs by name, and its outputs in order.
struct Case {
    model: Bytes,
    folder: PathBuf,
    inputs: Vec<(String, Tensor)>,
    outputs: Vec<Tensor>,
}

fn tensors(folder: &Path, kind: &str) -> Result<Vec<(String, Tensor)>, OnnxError> {
    let paths = (0..).map(|i| folder.join(format!("test_data_set_0/{kind}_{i}.pb"))).take_while(|path| path.exists());
    paths.map(|path| read_tensor(&std::fs::read(path).unwrap().into())).collect()
}

fn case(folder: &Path) -> Result<Case, OnnxError> {
    let model = Bytes::from(std::fs::read(folder.join("model.onnx")).unwrap());
    // the files are in the order of the graph's inputs, and do not always have their names
    let graph = ModelProto::decode(&model[..]).unwrap().graph.unwrap();
    let stored = |name: &str| graph.initializer.iter().any(|tensor| tensor.name() == name);
    let names = graph.input.iter().map(|input| input.name().to_owned()).filter(|name| !stored(name));
    let inputs = names.zip(tensors(folder, "input")?.into_iter().map(|(_, tensor)| tensor)).collect();
    let outputs = tensors(folder, "output")?.into_iter().map(|(_, tensor)| tensor).collect();
    Ok(Case { model, folder: folder.to_owned(), inputs, outputs })
}

fn judge(folder: &Path) -> Outcome {
    let case = match case(folder) {
        Ok(case) => case,
        Err(_) => return Outcome::Unsupported("its inputs or outputs are not numeric tensors".to_owned()),
    };
    let mut why = None;
    // A test of one operator takes weights as inputs. Which of its inputs are constants, and how many axes are the batch, is not said: what
    // the importer takes is tried, the batch in front and all inputs open first.
    for batch_axes in [1, 0, 2, 3] {
        let mut subsets: Vec<u32> = (0..1u32 << case.inputs.len().min(6)).collect();
        subsets.sort_by_key(|set| (set & 1, set.count_ones()));
        for set in subsets {
            let is_given = |i: usize| set >> i & 1 == 1;
            let given = case.inputs.iter().enumerate().filter(|(i, _)| is_given(*i)).map(|(_, input)| input.clone()).collect();
            match read(&case.model, &case.folder, &ReadOptions { batch_axes, given, ..ReadOptions::default() }) {
                Ok(imported) => return run(&case, &imported),
                Err(OnnxError::Unsupported(report)) => {
                    let reason = report.rows.iter().map(|row| format!("{}: {}", row.op, row.reason)).next().unwrap();
                    if report.rows.iter().any(|row| row.reason == "the language has no equivalent operator") {
                        return Outcome::Unsupported(reason);
                    }
                    if why.as_ref().is_none_or(|old: &String| says(&reason) > says(old)) {
                        why = Some(reason);
                    }
                }
                Err(OnnxError::Damaged { reason }) if reason.starts_with("no output depends") => {}
                Err(error) => {
                    why.get_or_insert(error.to_string());
                }
            }
        }
    }
    Outcome::Unsupported(why.unwrap_or_else(|| "it has no input".to_owned()))
}

/// How much a reason says: one that comes of what was tried says nothing, one that speaks of an operator more than that of an input.
fn says(reason: &str) -> u8 {
    match reason {
        _ if reason.contains("is a constant") || reason.contains("no output depends") => 0,
        _ if reason.starts_with("input") || reason.starts_with("output") => 1,
        _ => 2,
    }
}

fn run(case: &Case, imported: &Imported) -> Outcome {
    let mut diags = Vec::new();
    let Some(checked) = check::check(imported.network("test"), &mut diags) else {
        return Outcome::Failed(format!("it does not check: {}", diags[0].message));
    };
    let model = match Model::new(checked, imported.params()) {
        Ok(model) => model,
        Err(error) => return Outcome::Failed(error.to_string()),
    };
    let mut arrays = Vec::new();
    for &id in imported.graph.inputs() {
        let node = imported.graph.node(id);
        let resnetc::internal::ir::Op::Input(shape) = &node.op else { unreachable!() };
        let tensor = &case.inputs.iter().find(|(name, _)| *name == node.name).unwrap().1;
        // free sizes are those of the test's input
        let dims = shape.dims().unwrap();
        let own = tensor.shape().len().saturating_sub(dims.len());
        let sizes: Vec<usize> =
            dims.iter().enumerate().map(|(i, d)| d.fixed().unwrap_or_else(|| tensor.shape()[own + i])).collect();
        let batch = tensor.len() / sizes.iter().product::<usize>();
        let shape = [&[batch][..], &sizes].concat();
        let values = tensor.to_f32().into_owned();
        let array = if imported.transposed.contains(&node.name) {
            let [columns, rows] = [shape[1], shape[0]];
            ArrayD::from_shape_vec(vec![columns, rows], values).unwrap().reversed_axes().as_standard_layout().into_owned()
        } else {
            ArrayD::from_shape_vec(shape, values).unwrap()
        };
        arrays.push((node.name.as_str(), array));
    }
    let views: Vec<_> = arrays.iter().map(|(name, array)| (*name, array.view())).collect();
    let mut session = model.session_with(SessionOptions { threads: 1, ..SessionOptions::default() }).unwrap();
    let outputs = match session.run(&views) {
        Ok(outputs) => outputs,
        Err(error) => return Outcome::Failed(error.to_string()),
    };
    for ((name, found), expected) in outputs.iter().zip(&case.outputs) {
        if found.len() != expected.len() {
            return Outcome::Failed(format!("`{name}` has the sizes {:?}, not {:?}", found.shape(), expected.shape()));
        }
        for (i, (&a, &b)) in found.iter().zip(expected.to_f32().iter()).enumerate() {
            // numpy.testing.assert_allclose as ONNX's runner has it
            if (a - b).abs() > 1e-6 + 1e-3 * b.abs() || a.is_nan() != b.is_nan() {
                return Outcome::Failed(format!("value {i} of `{name}` is {a}, not {b}"));
            }
        }
    }
    Outcome::Passed
}

#[test]
fn operators_conform() {
    if !Path::new(DATA).is_dir() {
        println!("skipped: {DATA} is not there (Debian's libonnx-testdata)");
        return;
    }
    let mut text = String::new();
    let mut failed = Vec::new();
    for suite in ["node", "pytorch-converted", "pytorch-operator"] {
        let mut folders: Vec<PathBuf> =
            std::fs::read_dir(Path::new(DATA).join(suite)).unwrap().map(|entry| entry.unwrap().path()).collect();
        folders.retain(|folder| folder.join("model.onnx").exists());
        folders.sort();
        let (mut passed, mut reasons): (Vec<String>, BTreeMap<String, Vec<String>>) = Default::default();
        for folder in &folders {
            let name = folder.file_name().unwrap().to_string_lossy().trim_start_matches("test_").to_owned();
            match judge(folder) {
                Outcome::Passed => passed.push(name),
                Outcome::Unsupported(reason) => reasons.entry(reason).or_default().push(name),
                Outcome::Failed(reason) => failed.push(format!("{suite}/{name}: {reason}")),
            }
        }
        let unsupported: usize = reasons.values().map(Vec::len).sum();
        writeln!(text, "## {suite}: {} passed, {unsupported} unsupported, of {}\n", passed.len(), folders.len()).unwrap();
        writeln!(text, "passed: {}\n", passed.join(", ")).unwrap();
        let (absent, partly): (Vec<_>, Vec<_>) =
            reasons.iter().partition(|(why, _)| why.ends_with("the language has no equivalent operator"));
        for (reason, names) in partly {
            writeln!(text, "{reason}: {}\n", names.join(", ")).unwrap();
        }
        let operators = absent.iter().map(|(why, names)| format!("{} ({})", why.split(':').next().unwrap(), names.len()));
        writeln!(text, "no equivalent operator: {}\n", operators.collect::<Vec<_>>().join(", ")).unwrap();
    }
    println!("{text}");
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    insta::assert_snapshot!("onnx_conformance", text);
}
