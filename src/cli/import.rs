//! `resnetc import`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::output::{Done, Failure, Out, save, writable};
use crate::base::tensor::Tensor;
use crate::decompile::{Decompiled, Options, decompile};
use crate::formats::{onnx, safetensors};
use crate::ir::{Channels, Network, Preprocess, imagenet};

/// Turn an ONNX file into readable source and a file of weights.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  resnetc import net.onnx -o net.resnet --weights-out net.safetensors\n  \
                  resnetc check net.resnet && resnetc run net.resnet photo.jpg")]
pub(super) struct Args {
    /// The ONNX file
    #[arg(value_name = "NET.onnx")]
    file: PathBuf,
    /// The source to write [default: standard output]
    #[arg(short, long, value_name = "NET.resnet")]
    output: Option<PathBuf>,
    /// The weights to write
    #[arg(long, value_name = "W.safetensors")]
    weights_out: Option<PathBuf>,
    /// The network's name in the source [default: that of the source's file, or the ONNX file's]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

pub(super) fn run(args: &Args, out: &mut Out) -> Done {
    let imported = onnx::open(&args.file).map_err(|error| Failure::Input(format!("`{}`: {error}", args.file.display())))?;
    let stem = |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let name = args.name.clone().or_else(|| args.output.as_deref().and_then(stem)).or_else(|| stem(&args.file));
    let file = args.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let options = Options {
        network: name.unwrap_or_else(|| "imported".to_owned()),
        doc: Some(format!("Imported from {file}.")),
        classes: true,
    };
    let written = [&args.output, &args.weights_out].into_iter().flatten().map(PathBuf::as_path);
    writable(written, &[&imported.beside[..], std::slice::from_ref(&args.file)].concat())?;
    let mut made = decompile(&imported.graph, &options).map_err(Failure::input)?;
    state_use(&mut made, &imported.network(""));
    if let (Some(source), Some(weights)) = (&args.output, &args.weights_out) {
        state_weights(&mut made, source, weights);
    }
    let count = imported.tensors.len();
    if let Some(path) = &args.weights_out {
        let tensors = renamed(imported.tensors, &made);
        safetensors::write(path, tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))).map_err(Failure::input)?;
    }
    match &args.output {
        None => out.text(&made.source)?,
        Some(path) => {
            save(path, made.source.as_bytes())?;
            let lines = made.source.lines().count();
            let weights = match &args.weights_out {
                Some(weights) => format!("; {count} tensors in {}", weights.display()),
                None => String::new(),
            };
            out.line(format_args!("wrote {}: network {}, {lines} lines{weights}", path.display(), made.network))?;
        }
    }
    for note in imported.notes.iter().chain(&made.notes) {
        out.note(format_args!("note: {note}"));
    }
    Ok(())
}

/// States where the weights lie, so that the source runs as it is: by their place beside it, where they are in its folder or below.
fn state_weights(made: &mut Decompiled, source: &Path, weights: &Path) {
    let (Ok(source), Ok(weights)) = (std::path::absolute(source), std::path::absolute(weights)) else { return };
    let beside = source.parent().and_then(|folder| weights.strip_prefix(folder).ok());
    let path = beside.unwrap_or(&weights).to_string_lossy().replace('\\', "/");
    if path.chars().any(|c| c == '"' || c.is_control()) {
        return;
    }
    insert(made, &format!("  weights \"{path}\"\n"));
}

/// States how images are prepared and what the classes are called, where the file tells: resnetc's own do.
fn state_use(made: &mut Decompiled, network: &Network) {
    let mut lines = String::new();
    if let Some(how) = &network.preprocess {
        if how.mean_image().is_some() {
            made.notes
                .push("the file tells a mean for each pixel, which is left out: `resnetc dataset-stats -o` makes one".to_owned());
        } else {
            lines.push_str(&preprocess(how));
        }
    }
    if network.labels == imagenet::names() {
        lines.push_str("  labels imagenet\n");
    } else if !network.labels.is_empty() {
        match labels(&network.labels) {
            Some(text) => lines.push_str(&text),
            None => made.notes.push("the names of the classes have characters that are not written, and are left out".to_owned()),
        }
    }
    insert(made, &lines);
}

/// Puts lines behind the one that states the input.
fn insert(made: &mut Decompiled, lines: &str) {
    let input = made.source.find("\n  input ").and_then(|at| Some(at + 1 + made.source.get(at + 1..)?.find('\n')? + 1));
    if let Some(at) = input {
        made.source.insert_str(at, lines);
    }
}

fn preprocess(how: &Preprocess) -> String {
    let mut keys = Vec::new();
    keys.extend(how.resize.map(|n| format!("resize: {n}")));
    keys.extend(how.crop.map(|[h, w]| if h == w { format!("crop: {h}") } else { format!("crop: {h}x{w}") }));
    keys.push(match how.channels {
        Channels::Rgb => "channels: rgb".to_owned(),
        Channels::Bgr => "channels: bgr".to_owned(),
        Channels::Gray => "channels: gray".to_owned(),
    });
    keys.push(format!("mean: {:?}, std: {:?}", how.mean, how.std));
    format!("  preprocess {{ {} }}\n", keys.join(", "))
}

/// None where a name cannot stand in a string as it is.
fn labels(names: &[String]) -> Option<String> {
    if names.iter().any(|name| name.contains(['"', '\\', '{', '}']) || name.chars().any(char::is_control)) {
        return None;
    }
    let mut text = "  labels [".to_owned();
    let mut column = text.len();
    for (i, name) in names.iter().enumerate() {
        let item = format!("\"{name}\"{}", if i + 1 < names.len() { "," } else { "" });
        if column + item.len() > 110 {
            text.push_str("\n    ");
            column = 4;
        } else if i > 0 {
            text.push(' ');
            column += 1;
        }
        column += item.len();
        text.push_str(&item);
    }
    text.push_str("]\n");
    Some(text)
}

/// The tensors by the names that the source gives their layers.
fn renamed(tensors: BTreeMap<String, Tensor>, made: &Decompiled) -> BTreeMap<String, Tensor> {
    let names: BTreeMap<&str, &str> = made.renamed().collect();
    let rename = |name: String| match name.rsplit_once('.').and_then(|(layer, role)| Some((names.get(layer)?, role))) {
        Some((layer, role)) => format!("{layer}.{role}"),
        None => name,
    };
    tensors.into_iter().map(|(name, tensor)| (rename(name), tensor)).collect()
}
