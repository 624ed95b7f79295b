//! `resnetc import`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::failure::{Done, Failure};
use super::output::{Out, save, writable};
use crate::base::tensor::Tensor;
use crate::data::Published;
use crate::decompile::{Decompiled, Options, decompile};
use crate::formats::layer_list::{ImportedLayers, LayersError};
use crate::formats::onnx::OnnxError;
use crate::formats::{caffe, darknet, onnx, safetensors};
use crate::ir::{Channels, Graph, Op, Preprocess, Resampling, Shape, imagenet};
use crate::syntax::words;

/// Imports an ONNX file, or a network of Caffe or Darknet, as readable source and a weight file.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  resnetc import net.onnx -o net.resnet --weights-out net.safetensors\n  \
                  resnetc import deploy.prototxt --weights net.caffemodel -o net.resnet --weights-out net.safetensors\n  \
                  resnetc import darknet53.cfg --weights darknet53.weights -o net.resnet --weights-out net.safetensors\n  \
                  resnetc import resnet50.onnx --preprocess timm:resnet50.a1_in1k -o resnet50.resnet --weights-out resnet50.safetensors\n  \
                  resnetc check net.resnet && resnetc run net.resnet photo.jpg")]
pub(super) struct Args {
    /// ONNX file, Caffe's `.prototxt`, or Darknet's `.cfg`
    #[arg(value_name = "NET")]
    file: PathBuf,
    /// Weights of a `.prototxt` (`.caffemodel`) or a `.cfg` (`.weights`)
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Mean image of a `.prototxt` (`.binaryproto` or `.npy`), whose averages go into `preprocess`, with the `scale` of the text, or else 1
    #[arg(long, value_name = "FILE")]
    mean: Option<PathBuf>,
    /// Source file to write [default: standard output]
    #[arg(short, long, value_name = "NET.resnet")]
    output: Option<PathBuf>,
    /// Weight file to write
    #[arg(long, value_name = "W.safetensors")]
    weights_out: Option<PathBuf>,
    /// Name of the network [default: the name of the output file, or else of the file]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Values of the file that become the outputs; what they do not need is left out
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    outputs: Vec<String>,
    /// Keep the names of the file's tensors, so that the state dict that it was exported from can be loaded
    #[arg(long)]
    keep_names: bool,
    /// How images are prepared: imagenet for torchvision's evaluation of its ResNets, timm:NAME as timm evaluates these weights, none
    /// for values from 0 to 1 [default: as the file says]
    #[arg(long, value_name = "imagenet|timm:NAME|none")]
    preprocess: Option<Published>,
}

/// What a file has, of whatever format.
struct Imported {
    graph: Graph,
    tensors: BTreeMap<String, Tensor>,
    preprocess: Option<Preprocess>,
    labels: Vec<String>,
    /// Further files that were read.
    files: Vec<PathBuf>,
    notes: Vec<String>,
}

impl From<onnx::Imported> for Imported {
    fn from(imported: onnx::Imported) -> Imported {
        let network = imported.network("");
        let (preprocess, labels) = (network.preprocess, network.labels);
        Imported {
            graph: imported.graph,
            tensors: imported.tensors,
            preprocess,
            labels,
            files: imported.data_files,
            notes: imported.notes,
        }
    }
}

impl From<ImportedLayers> for Imported {
    fn from(imported: ImportedLayers) -> Imported {
        let ImportedLayers { graph, tensors, preprocess, notes, .. } = imported;
        Imported { graph, tensors, preprocess, labels: Vec::new(), files: Vec::new(), notes }
    }
}

/// Opens the file in the format that its name says: anything but a `.prototxt` or a `.cfg` is ONNX.
fn open(args: &Args) -> Result<Imported, Failure> {
    let extension = args.file.extension().map(|end| end.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let weights = args.weights.as_deref();
    // an error of the file system names its file already
    let wrong = |error: &dyn std::fmt::Display, names_file: bool| match names_file {
        true => Failure::input(error),
        false => Failure::Input(format!("`{}`: {error}", args.file.display())),
    };
    if args.mean.is_some() && extension != "prototxt" {
        return Err(Failure::Usage("`--mean` is for a `.prototxt`: other formats have no mean image in a file".to_owned()));
    }
    let mut layers = match extension.as_str() {
        "prototxt" => caffe::open(&args.file, weights),
        "cfg" => darknet::open(&args.file, weights),
        _ if weights.is_some() => {
            let message = "`--weights` is for a `.prototxt` or a `.cfg`: an ONNX file contains its weights";
            return Err(Failure::Usage(message.to_owned()));
        }
        _ => {
            let (outputs, keep_names) = (args.outputs.clone(), args.keep_names);
            let how = onnx::ReadOptions { outputs, keep_names, ..onnx::ReadOptions::default() };
            let opened = onnx::open_with(&args.file, &how).map(Imported::from);
            return opened.map_err(|error| wrong(&error, matches!(error, OnnxError::Io { .. })));
        }
    };
    if !args.outputs.is_empty() {
        return Err(Failure::Usage("`--outputs` is for ONNX files".to_owned()));
    }
    if args.weights_out.is_some() && weights.is_none() {
        let message = "`--weights-out` needs `--weights`: a `.prototxt` and a `.cfg` have their weights in another file";
        return Err(Failure::Usage(message.to_owned()));
    }
    if let (Some(mean), Ok(layers)) = (&args.mean, &mut layers) {
        caffe::add_mean(layers, mean).map_err(Failure::input)?;
    }
    layers.map(Imported::from).map_err(|error| {
        let names_file = matches!(error, LayersError::Io { .. } | LayersError::Mean { .. } | LayersError::Weights { .. });
        wrong(&error, names_file)
    })
}

pub(super) fn run(args: &Args, out: &mut Out) -> Done {
    let written: Vec<&Path> = [&args.output, &args.weights_out].into_iter().flatten().map(PathBuf::as_path).collect();
    let mut read = [std::slice::from_ref(&args.file), args.weights.as_slice(), args.mean.as_slice()].concat();
    // what is wrong with the names of the files is said before a large one is read
    writable(written.iter().copied(), &read)?;
    let mut imported = open(args)?;
    read.extend(imported.files.iter().cloned());
    writable(written, &read)?;
    if let Some(how) = &args.preprocess {
        imported.preprocess = Some(how.preprocess(&input(&imported.graph)).map_err(Failure::input)?);
    }
    let stem = |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let name = args.name.clone().or_else(|| args.output.as_deref().and_then(stem)).or_else(|| stem(&args.file));
    let file = args.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = name.unwrap_or_else(|| "imported".to_owned());
    let options = Options {
        network: name.clone(),
        doc: Some(format!("Imported from {file}.")),
        classes: true,
        keep_names: args.keep_names,
    };
    let mut made = decompile(&imported.graph, &options).map_err(Failure::input)?;
    state_use(&mut made, &imported);
    if let (Some(source), Some(weights)) = (&args.output, &args.weights_out) {
        state_weights(&mut made, source, weights);
    }
    let count = imported.tensors.len();
    if let Some(path) = &args.weights_out {
        let tensors = made.rename(imported.tensors);
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
    // `my-net` as `my_net` is no surprise
    let letters = |name: &str| name.chars().filter(char::is_ascii_alphanumeric).collect::<String>();
    if letters(&made.network) != letters(&name) {
        let why = if words::is_name(&name) { "has another meaning in a source" } else { "is no valid name" };
        let note = format!("the network is called `{}`, since `{name}` {why}; --name NAME chooses its name", made.network);
        made.notes.insert(0, note);
    }
    for note in imported.notes.iter().chain(&made.notes) {
        out.note(format_args!("note: {note}"));
    }
    Ok(())
}

/// The shape of the first input.
fn input(graph: &Graph) -> Shape {
    match graph.inputs().first().map(|&id| &graph.node(id).op) {
        Some(Op::Input(shape)) => shape.clone(),
        _ => Shape::Unknown,
    }
}

/// Adds a `weights` line, so that the source runs as it is; the path is relative if the weights are in the source's folder or below.
fn state_weights(made: &mut Decompiled, source: &Path, weights: &Path) {
    let (Ok(source), Ok(weights)) = (std::path::absolute(source), std::path::absolute(weights)) else { return };
    let relative = source.parent().and_then(|folder| weights.strip_prefix(folder).ok());
    let path = relative.unwrap_or(&weights).to_string_lossy().replace('\\', "/");
    if path.chars().any(|c| c == '"' || c.is_control()) {
        return;
    }
    insert(made, &format!("  weights \"{path}\"\n"));
}

/// Adds the preprocessing and the class names if the file has them; files written by resnetc do.
fn state_use(made: &mut Decompiled, network: &Imported) {
    let mut lines = String::new();
    if let Some(how) = &network.preprocess {
        if how.mean_image().is_some() {
            made.notes
                .push("the file's mean image is omitted: `resnetc dataset-stats -o` computes one from a dataset".to_owned());
        } else {
            lines.push_str(&preprocess(how));
        }
    }
    if network.labels == imagenet::names() {
        lines.push_str("  labels imagenet\n");
    } else if !network.labels.is_empty() {
        match labels(&network.labels) {
            Some(text) => lines.push_str(&text),
            None => made.notes.push("the class names are omitted: some contain characters that a string cannot".to_owned()),
        }
    }
    insert(made, &lines);
}

/// Inserts lines after the `input` line.
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
    if how.interpolation != Resampling::default() {
        keys.push(format!("interpolation: {}", how.interpolation.word()));
    }
    keys.push(match how.channels {
        Channels::Rgb => "channels: rgb".to_owned(),
        Channels::Bgr => "channels: bgr".to_owned(),
        Channels::Gray => "channels: gray".to_owned(),
    });
    // what is left out is 0 and 1
    if how.mean.iter().any(|&mean| mean != 0.0) || how.std.iter().any(|&std| std != 1.0) {
        keys.push(format!("mean: {:?}, std: {:?}", how.mean, how.std));
    }
    format!("  preprocess {{ {} }}\n", keys.join(", "))
}

/// The `labels` line; `None` if a name contains characters that a string cannot.
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
