//! `resnetc run`

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use ndarray::ArrayD;
use serde_json::json;

use super::args::Format;
use super::open::ModelArgs;
use super::output::{Done, Failure, Out, writable};
use super::progress::progress;
use crate::data::folder::images;
use crate::data::{self, Input};
use crate::formats::npy;
use crate::infer::{ImagePipeline, InferError, Unanswered, top_k};
use crate::ir::Checked;
use crate::runtime::NotFinite;

/// Classifies images, or runs raw tensors.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  resnetc run models/fashion.resnet tests/data/ankle-boot.png\n  \
                  resnetc run models/resnet.resnet --network resnet50 --weights resnet50.pth photo.jpg --top 3\n  \
                  resnetc run net.rnx --input x.npy --output y.npy\n  \
                  resnetc run models/googlenet.resnet --weights googlenet.pth --input x.npy --output y.npy --output aux1=aux1.npy")]
pub(super) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Images (JPEG, PNG), or folders of them
    #[arg(value_name = "IMAGE|DIR")]
    images: Vec<PathBuf>,
    /// How many classes to show
    #[arg(long, value_name = "K", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    top: u16,
    /// The format of the output; json is a line for each image
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Run nothing: write the preprocessed images, for --input or to compare with another program's
    #[arg(long, value_name = "X.npy", conflicts_with_all = ["input", "output"])]
    prepared: Option<PathBuf>,
    /// Raw input: a float32 tensor whose first axis is the batch
    #[arg(long, value_name = "X.npy", requires = "output", conflicts_with = "images")]
    input: Option<PathBuf>,
    /// Write an output: the main one, or the one called NAME; may be repeated
    #[arg(long, value_name = "[NAME=]Y.npy", requires = "input")]
    output: Vec<OsString>,
}

pub(super) fn run(args: &Args, out: &mut Out) -> Done {
    if args.input.is_none() && !args.output.is_empty() {
        return Err(Failure::Usage(
            "--output needs --input: for images, --prepared X.npy writes what the network reads, for --input X.npy".into(),
        ));
    }
    match &args.input {
        Some(input) => raw(args, input, out),
        None if args.images.is_empty() => {
            Err(Failure::Usage("nothing to run: give images or folders, or --input X.npy --output Y.npy".into()))
        }
        None => match &args.prepared {
            Some(path) => prepare(args, path, out),
            None => classify(args, out),
        },
    }
}

/// The images that the command names; at least one.
fn named_images(args: &Args) -> Result<Vec<PathBuf>, Failure> {
    let paths = images(&args.images).map_err(Failure::input)?;
    if paths.is_empty() {
        return Err(Failure::Input("the given folders hold no images (.jpg, .jpeg, .png)".into()));
    }
    Ok(paths)
}

fn pipeline(checked: &Checked) -> Result<ImagePipeline, Failure> {
    ImagePipeline::new(checked).map_err(|error| match error {
        InferError::NotAnImage(_) => Failure::Input(format!("{error}: use --input X.npy")),
        other => Failure::input(other),
    })
}

/// Reads and preprocesses an image.
fn read(pipeline: &ImagePipeline, path: &Path) -> Result<Input, String> {
    let pixels = data::load(path).map_err(|e| e.to_string())?;
    pipeline.prepare(pixels).map_err(|e| format!("`{}`: {e}", path.display()))
}

fn prepare(args: &Args, to: &Path, out: &mut Out) -> Done {
    let paths = named_images(args)?;
    let (checked, files) = args.model.checked(out)?;
    writable([to], &[&files[..], &paths].concat())?;
    let pipeline = pipeline(&checked)?;
    let (mut values, mut first) = (Vec::new(), None);
    for path in &paths {
        let (more, size) = read(&pipeline, path).map_err(Failure::Input)?;
        let [_, height, width] = size;
        let [_, first_height, first_width] = *first.get_or_insert(size);
        if (height, width) != (first_height, first_width) {
            let path = path.display();
            return Err(Failure::Input(format!(
                "`{path}` is {height} x {width} after preprocessing, and those before it {first_height} x {first_width}: an array has one size"
            )));
        }
        values.extend(more);
    }
    let [channels, height, width] = first.unwrap_or([0; 3]);
    let array = ArrayD::from_shape_vec(vec![paths.len(), channels, height, width], values).map_err(Failure::input)?;
    npy::write(to, &array.view()).map_err(Failure::input)
}

/// `aux1=y.npy` as a name and a path; without a name, the main output is meant. What is not a name before `=`, as in `./a=b.npy`,
/// belongs to the path.
fn target(text: &OsStr) -> (Option<&str>, &Path) {
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    match text.to_str().and_then(|text| text.split_once('=')) {
        Some((name, path)) if is_name(name) => (Some(name), Path::new(path)),
        _ => (None, Path::new(text)),
    }
}

fn raw(args: &Args, input: &Path, out: &mut Out) -> Done {
    let x: ArrayD<f32> = npy::read(input).map_err(Failure::input)?;
    let (network, files) = args.model.load(out)?;
    let targets: Vec<(Option<&str>, &Path)> = args.output.iter().map(|text| target(text)).collect();
    writable(targets.iter().map(|(_, path)| *path), &[&files[..], &[input.to_path_buf()]].concat())?;
    let model = network.model().map_err(Failure::input)?;
    let mut session = args.model.session(&model)?;
    let graph = model.checked().graph();
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
        let y = name.and_then(|name| outputs.get(name)).unwrap_or_else(|| outputs.main());
        npy::write(path, &y.view()).map_err(Failure::input)?;
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

fn classify(args: &Args, out: &mut Out) -> Done {
    let paths = named_images(args)?;
    let model = args.model.model(out)?;
    let mut session = args.model.session(&model)?;
    let pipeline = pipeline(model.checked())?;
    let bar = progress(paths.len());
    let mut answers = Answers { args, labels: &model.network().labels, images: paths.len(), unread: 0, not_finite: 0 };
    let result = pipeline.run(
        &mut session,
        paths.len(),
        |index| read(&pipeline, &paths[index]),
        |index, answer| {
            bar.inc(1);
            bar.suspend(|| match answer {
                Ok(probabilities) => answers.answered(&paths[index], &probabilities, out),
                Err(why) => answers.unanswered(&paths[index], why, out),
            })
        },
    );
    bar.finish_and_clear();
    result?;
    args.model.note_packs(&session, out);
    answers.result()
}

/// Prints the classes of images.
struct Answers<'a> {
    args: &'a Args,
    labels: &'a [String],
    /// How many images there are.
    images: usize,
    unread: usize,
    not_finite: usize,
}

impl Answers<'_> {
    /// Prints the most probable classes of an image.
    fn answered(&self, path: &Path, probabilities: &[f32], out: &mut Out) -> Done {
        let path = path.display();
        let best = top_k(probabilities, usize::from(self.args.top)).into_iter();
        if self.args.format == Format::Json {
            let class =
                |class: usize| json!({ "class": class, "label": self.labels.get(class), "probability": probabilities[class] });
            let list: Vec<_> = best.map(class).collect();
            return out.line(json!({ "image": path.to_string(), "top": list }));
        }
        if self.images > 1 {
            out.line(format_args!("{path}"))?;
        }
        for class in best {
            let name = self.labels.get(class).map_or_else(|| format!("class {class}"), Clone::clone);
            out.line(format_args!("{:6.2} %  {name}", probabilities[class] * 100.0))?;
        }
        Ok(())
    }

    /// Reports an image that has no classes. Weights that are not finite end the run, since no image would have any.
    fn unanswered(&mut self, path: &Path, why: Unanswered<String>, out: &mut Out) -> Done {
        let path = path.display();
        let (why, ends) = match why {
            Unanswered::Unread(why) => {
                self.unread += 1;
                (why, false)
            }
            Unanswered::NotFinite(error) => {
                self.not_finite += 1;
                (format!("`{path}`: {error}"), matches!(error.cause, Some(NotFinite::Weight { .. })))
            }
        };
        if self.args.format == Format::Json {
            out.line(json!({ "image": path.to_string(), "error": why }))?;
        }
        out.flush()?;
        out.note(format_args!("error: {why}"));
        if ends { Err(Failure::Said) } else { Ok(()) }
    }

    /// What the command ends with.
    fn result(&self) -> Done {
        let all = self.images;
        match (self.unread, self.not_finite) {
            (0, 0) => Ok(()),
            _ if all == 1 => Err(Failure::Said),
            (n, 0) => Err(Failure::Input(format!("{n} of {all} images were not read"))),
            (0, n) => Err(Failure::Input(format!("{n} of {all} images have scores that are not finite"))),
            (unread, bad) => {
                Err(Failure::Input(format!("of {all} images, {unread} were not read and {bad} have scores that are not finite")))
            }
        }
    }
}
