//! `resnetc run`

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use ndarray::ArrayD;
use serde_json::json;

use super::args::Format;
use super::images::{Reader, Unanswered, progress, top};
use super::open::ModelArgs;
use super::output::{Done, Failure, Out, writable};
use crate::data::folder::pictures;
use crate::formats::npy;

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
    /// How to answer; json is a line for each image
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Run nothing: write what the network would read of the images, for --input or to be held against another program's
    #[arg(long, value_name = "X.npy", conflicts_with_all = ["input", "output"])]
    prepared: Option<PathBuf>,
    /// Raw input: a float32 tensor, the batch first
    #[arg(long, value_name = "X.npy", requires = "output", conflicts_with = "images")]
    input: Option<PathBuf>,
    /// Where a raw output goes: the main one, or that of a name; may be repeated
    #[arg(long, value_name = "[NAME=]Y.npy", requires = "input")]
    output: Vec<OsString>,
}

pub(super) fn run(args: &Args, out: &mut Out) -> Done {
    if args.input.is_none() && !args.output.is_empty() {
        return Err(Failure::Usage(
            "--output goes with --input: of images, --prepared X.npy writes what the network reads, for --input X.npy".into(),
        ));
    }
    match &args.input {
        Some(input) => raw(args, input, out),
        None if args.images.is_empty() => {
            Err(Failure::Usage("nothing to run: name images or folders, or --input X.npy --output Y.npy".into()))
        }
        None => match &args.prepared {
            Some(path) => prepare(args, path, out),
            None => classify(args, out),
        },
    }
}

/// The images that the command names; at least one.
fn named_pictures(args: &Args) -> Result<Vec<PathBuf>, Failure> {
    let paths = pictures(&args.images).map_err(Failure::input)?;
    if paths.is_empty() {
        return Err(Failure::Input("there are no images (.jpg, .jpeg, .png) in the folders named".into()));
    }
    Ok(paths)
}

fn prepare(args: &Args, to: &Path, out: &mut Out) -> Done {
    let paths = named_pictures(args)?;
    let (checked, read) = args.model.checked(out)?;
    writable([to], &[&read[..], &paths].concat())?;
    let reader = Reader::of(&checked)?;
    let (mut values, mut size) = (Vec::new(), None);
    for path in &paths {
        let (more, shape) = reader.picture(path).map_err(Failure::Input)?;
        let [_, height, width] = shape;
        let [_, first_height, first_width] = *size.get_or_insert(shape);
        if (height, width) != (first_height, first_width) {
            let path = path.display();
            return Err(Failure::Input(format!(
                "`{path}` is {height} x {width} when it is prepared, and those before it {first_height} x {first_width}: an array has one size"
            )));
        }
        values.extend(more);
    }
    let [channels, height, width] = size.unwrap_or([0; 3]);
    let array = ArrayD::from_shape_vec(vec![paths.len(), channels, height, width], values).map_err(Failure::input)?;
    npy::write(to, &array.view()).map_err(Failure::input)
}

/// `aux1=y.npy` as a name and a path; without a name, the main output is meant. What stands in front of a `=` in a path that is
/// no name, such as `./a=b.npy`, belongs to the path.
fn target(text: &OsStr) -> (Option<&str>, &Path) {
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    match text.to_str().and_then(|text| text.split_once('=')) {
        Some((name, path)) if is_name(name) => (Some(name), Path::new(path)),
        _ => (None, Path::new(text)),
    }
}

fn raw(args: &Args, input: &Path, out: &mut Out) -> Done {
    let x: ArrayD<f32> = npy::read(input).map_err(Failure::input)?;
    let loaded = args.model.load(out)?;
    let targets: Vec<(Option<&str>, &Path)> = args.output.iter().map(|text| target(text)).collect();
    writable(targets.iter().map(|(_, path)| *path), &[&loaded.read[..], &[input.to_path_buf()]].concat())?;
    let model = loaded.model()?;
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
        let y = name.and_then(|name| outputs.get(name)).unwrap_or_else(|| outputs.main());
        npy::write(path, &y.view()).map_err(Failure::input)?;
        let count = y.iter().filter(|v| !v.is_finite()).count();
        if count > 0 {
            bad.push(format!("`{}` ({count} of {} values)", path.display(), y.len()));
        }
    }
    if !bad.is_empty() {
        // who asks for tensors gets them as they are
        let cause = session.first_not_finite(&[(&name, x.view())]).map_err(Failure::input)?;
        let cause = cause.map_or_else(String::new, |cause| format!(": {cause}"));
        out.note(format_args!("warning: {} got NaN or infinity{cause}", bad.join(", ")));
    }
    Ok(())
}

fn classify(args: &Args, out: &mut Out) -> Done {
    let paths = named_pictures(args)?;
    let model = args.model.model(out)?;
    let mut session = args.model.session(&model)?;
    let reader = Reader::of(model.optimized())?;
    let labels = &model.network().labels;
    let bar = progress(paths.len());
    let (mut unread, mut not_finite) = (0usize, 0usize);
    let result = reader.run(
        &mut session,
        paths.len(),
        |index| reader.picture(&paths[index]),
        |index| paths[index].display().to_string(),
        |index, scores| {
            bar.inc(1);
            let path = paths[index].display();
            match (scores, args.format) {
                (Ok(scores), Format::Text) => bar.suspend(|| {
                    if paths.len() > 1 {
                        out.line(format_args!("{path}"))?;
                    }
                    for class in top(scores, usize::from(args.top)) {
                        let name = labels.get(class).map_or_else(|| format!("class {class}"), Clone::clone);
                        out.line(format_args!("{:6.2} %  {name}", scores[class] * 100.0))?;
                    }
                    Ok(())
                }),
                (Ok(scores), Format::Json) => {
                    let list: Vec<_> = top(scores, usize::from(args.top))
                        .into_iter()
                        .map(|class| json!({ "class": class, "label": labels.get(class), "probability": scores[class] }))
                        .collect();
                    bar.suspend(|| out.line(json!({ "image": path.to_string(), "top": list })))
                }
                (Err(why), format) => {
                    let why = match why {
                        Unanswered::Unread(why) => {
                            unread += 1;
                            why
                        }
                        Unanswered::NotFinite(why) => {
                            not_finite += 1;
                            why
                        }
                    };
                    bar.suspend(|| {
                        if format == Format::Json {
                            out.line(json!({ "image": path.to_string(), "error": why }))?;
                        }
                        out.flush()?;
                        out.note(format_args!("error: {why}"));
                        Ok(())
                    })
                }
            }
        },
    );
    bar.finish_and_clear();
    result?;
    args.model.note_packs(&session, out);
    match (unread, not_finite) {
        (0, 0) => Ok(()),
        _ if paths.len() == 1 => Err(Failure::Said),
        (n, 0) => Err(Failure::Input(format!("{n} of {} images were not read", paths.len()))),
        (0, n) => Err(Failure::Input(format!("{n} of {} images have scores that are not finite", paths.len()))),
        (unread, bad) => {
            let all = paths.len();
            Err(Failure::Input(format!("of {all} images, {unread} were not read and {bad} have scores that are not finite")))
        }
    }
}
