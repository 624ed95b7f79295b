//! Images in, the most probable classes out.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::super::args::Format;
use super::super::failure::{Done, Failure};
use super::super::output::Out;
use super::super::progress::progress;
use super::args::Args;
use super::images::{named_images, pipeline, read};
use crate::data;
use crate::infer::{Unanswered, top_k};
use crate::ir::{Checked, Network, imagenet};
use crate::runtime::NotFinite;

pub(super) fn run(args: &Args, out: &mut Out) -> Done {
    let paths = named_images(args, out)?;
    let mut before = |network: &Checked, _: &[PathBuf], out: &mut Out| {
        note_absent(&network.network, crate::train::classes(network), out);
        none_exists(args, &paths, out)
    };
    let (network, _) = args.model.load_if(out, &mut before)?;
    let model = network.model().map_err(Failure::input)?;
    let mut session = args.model.session(&model)?;
    let pipeline = pipeline(model.optimized())?;
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

/// If no image exists, reports them all, before the weights are read for nothing.
fn none_exists(args: &Args, paths: &[PathBuf], out: &mut Out) -> Done {
    if paths.iter().any(|path| path.exists()) {
        return Ok(());
    }
    let mut answers = Answers { args, labels: &[], images: paths.len(), unread: 0, not_finite: 0 };
    for path in paths {
        if let Err(error) = data::load(path) {
            answers.unanswered(path, Unanswered::Unread(error.to_string()), out)?;
        }
    }
    answers.result()
}

/// Says what a network does not state about images, and how to add it.
fn note_absent(network: &Network, classes: Option<usize>, out: &Out) {
    let name = &network.name;
    if network.preprocess.is_none() {
        out.note(format_args!(
            "note: network `{name}` has no `preprocess`: pixels go in as values from 0 to 1. Add the normalization that it was trained \
             with, for example `preprocess {{ resize: 256, crop: 224, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }}`; \
             `resnetc import --preprocess imagenet`, or `timm:NAME`, writes it"
        ));
    }
    if network.labels.is_empty() {
        let or_imagenet = if classes == Some(imagenet::classes().len()) { ", or `labels imagenet`" } else { "" };
        out.note(format_args!(
            "note: network `{name}` has no `labels`: classes are shown by their numbers. Add `labels \"classes.txt\"`, a file with a \
             name per line{or_imagenet}"
        ));
    }
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
