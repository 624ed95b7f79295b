//! Raw tensors in and out.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use ndarray::ArrayD;

use super::super::failure::{Done, Failure};
use super::super::output::{Out, writable};
use super::args::Args;
use super::outputs;
use crate::formats::npy;
use crate::ir::{Checked, Graph};
use crate::runtime::OutputArray;

/// `aux1=y.npy` as a name and a path; without a name, the main output or the only input is meant. What is not a name before `=`, as in
/// `./a=b.npy`, belongs to the path.
fn named(text: &OsStr) -> (Option<&str>, &Path) {
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    match text.to_str().and_then(|text| text.split_once('=')) {
        Some((name, path)) if is_name(name) => (Some(name), Path::new(path)),
        _ => (None, Path::new(text)),
    }
}

pub(super) fn run(args: &Args, out: &mut Out) -> Done {
    let given: Vec<(Option<&str>, &Path)> = args.input.iter().map(|text| named(text)).collect();
    let targets: Vec<(Option<&str>, &Path)> = args.output.iter().map(|text| named(text)).collect();
    let mut arrays: Vec<ArrayD<f32>> = Vec::new();
    for (_, path) in &given {
        arrays.push(npy::read(path).map_err(Failure::input)?);
    }
    let read: Vec<PathBuf> = given.iter().map(|(_, path)| path.to_path_buf()).collect();
    let mut names = Vec::new();
    let mut before = |network: &Checked, files: &[PathBuf], _: &mut Out| {
        names = inputs(network.graph(), &given)?;
        has_outputs(network.graph(), &targets)?;
        writable(targets.iter().map(|(_, path)| *path), &[files, &read].concat())
    };
    let (network, _) = args.model.load_if(out, &mut before)?;
    let model = network.model().map_err(Failure::input)?;
    let mut session = args.model.session(&model)?;
    let views: Vec<_> = names.iter().map(String::as_str).zip(arrays.iter().map(|array| array.view())).collect();
    let found = session.run(&views).map_err(Failure::input)?;
    args.model.note_packs(&session, out);
    let mut bad = Vec::new();
    if targets.is_empty() {
        bad.extend(outputs::show(args, &found, &model.network().labels, out)?);
    }
    for (name, path) in targets {
        let y = name.and_then(|name| found.array(name));
        let written = match y {
            Some(OutputArray::I64(y)) => npy::write(path, &y.view()),
            Some(OutputArray::I32(y)) => npy::write(path, &y.view()),
            Some(OutputArray::F32(y)) => npy::write(path, &y.view()),
            None => npy::write(path, &found.main().view()),
        };
        written.map_err(Failure::input)?;
        let Some(y) = y.map_or(Some(found.main()), OutputArray::as_f32) else { continue };
        let count = y.iter().filter(|v| !v.is_finite()).count();
        if count > 0 {
            bad.push(format!("`{}` ({count} of {} values)", path.display(), y.len()));
        }
    }
    if !bad.is_empty() {
        // tensors are written as they are
        let cause = session.first_not_finite(&views).map_err(Failure::input)?;
        let cause = cause.map_or_else(String::new, |cause| format!(": {cause}"));
        out.flush()?;
        out.note(format_args!("warning: {} got NaN or infinity{cause}", bad.join(", ")));
    }
    Ok(())
}

/// The names of the inputs that arrays are given for: each input of the network needs one.
fn inputs(graph: &Graph, given: &[(Option<&str>, &Path)]) -> Result<Vec<String>, Failure> {
    let known: Vec<&str> = graph.inputs().iter().map(|&id| graph.node(id).name.as_str()).collect();
    let mut names: Vec<String> = Vec::new();
    for (name, path) in given {
        let name = match (name, &known[..]) {
            (Some(name), _) if known.contains(name) => (*name).to_owned(),
            (Some(name), _) => {
                return Err(Failure::Input(format!("the network has no input `{name}`: it has {}", known.join(", "))));
            }
            (None, [only]) => (*only).to_owned(),
            (None, _) => {
                let path = path.display();
                return Err(Failure::Usage(format!(
                    "the network has the inputs {}: name the one of `{path}`, as in --input {}={path}",
                    known.join(", "),
                    known.first().unwrap_or(&"input")
                )));
            }
        };
        if names.contains(&name) {
            return Err(Failure::Usage(format!("two arrays are given for the input `{name}`")));
        }
        names.push(name);
    }
    match known.iter().find(|name| !names.iter().any(|given| given == *name)) {
        Some(name) => Err(Failure::Usage(format!("the input `{name}` is not given: add --input {name}=X.npy"))),
        None => Ok(names),
    }
}

/// Checks that the network has the outputs that are to be written.
fn has_outputs(graph: &Graph, targets: &[(Option<&str>, &Path)]) -> Done {
    let known: Vec<&str> = graph.outputs().iter().map(|(name, _)| name.as_str()).collect();
    match targets.iter().find_map(|(name, _)| name.filter(|name| !known.contains(name))) {
        Some(name) => Err(Failure::Input(format!("the network has no output `{name}`: it has {}", known.join(", ")))),
        None => Ok(()),
    }
}
