//! Raw tensors in and out.

use std::ffi::OsStr;
use std::path::Path;

use ndarray::ArrayD;

use super::super::failure::{Done, Failure};
use super::super::output::{Out, writable};
use super::args::Args;
use crate::formats::npy;
use crate::runtime::OutputArray;

/// `aux1=y.npy` as a name and a path; without a name, the main output is meant. What is not a name before `=`, as in `./a=b.npy`,
/// belongs to the path.
fn target(text: &OsStr) -> (Option<&str>, &Path) {
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    match text.to_str().and_then(|text| text.split_once('=')) {
        Some((name, path)) if is_name(name) => (Some(name), Path::new(path)),
        _ => (None, Path::new(text)),
    }
}

pub(super) fn run(args: &Args, input: &Path, out: &mut Out) -> Done {
    let x: ArrayD<f32> = npy::read(input).map_err(Failure::input)?;
    let (network, files) = args.model.load(out)?;
    let targets: Vec<(Option<&str>, &Path)> = args.output.iter().map(|text| target(text)).collect();
    writable(targets.iter().map(|(_, path)| *path), &[&files[..], &[input.to_path_buf()]].concat())?;
    let model = network.model().map_err(Failure::input)?;
    let mut session = args.model.session(&model)?;
    let graph = model.optimized().graph();
    if let Some(name) = targets.iter().find_map(|(name, _)| name.filter(|n| !graph.outputs().iter().any(|(known, _)| known == n)))
    {
        let known: Vec<&str> = graph.outputs().iter().map(|(name, _)| name.as_str()).collect();
        return Err(Failure::Input(format!("the network has no output `{name}`: it has {}", known.join(", "))));
    }
    let [id] = graph.inputs() else {
        return Err(Failure::Input("the network has several inputs, and --input gives one".into()));
    };
    let name = graph.node(*id).name.clone();
    let outputs = session.run(&[(&name, x.view())]).map_err(Failure::input)?;
    args.model.note_packs(&session, out);
    let mut bad = Vec::new();
    for (name, path) in targets {
        let y = name.and_then(|name| outputs.array(name));
        let written = match y {
            Some(OutputArray::I64(y)) => npy::write(path, &y.view()),
            Some(OutputArray::I32(y)) => npy::write(path, &y.view()),
            Some(OutputArray::F32(y)) => npy::write(path, &y.view()),
            None => npy::write(path, &outputs.main().view()),
        };
        written.map_err(Failure::input)?;
        let Some(y) = y.map_or(Some(outputs.main()), OutputArray::as_f32) else { continue };
        let count = y.iter().filter(|v| !v.is_finite()).count();
        if count > 0 {
            bad.push(format!("`{}` ({count} of {} values)", path.display(), y.len()));
        }
    }
    if !bad.is_empty() {
        // tensors are written as they are
        let cause = session.first_not_finite(&[(&name, x.view())]).map_err(Failure::input)?;
        let cause = cause.map_or_else(String::new, |cause| format!(": {cause}"));
        out.note(format_args!("warning: {} got NaN or infinity{cause}", bad.join(", ")));
    }
    Ok(())
}
