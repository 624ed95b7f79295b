//! `resnetc eval`

use std::time::Instant;

use serde_json::json;

use super::args::Format;
use super::confusion::Confusion;
use super::images::{Reader, progress, top};
use super::open::ModelArgs;
use super::output::{Done, Failure, Out};
use crate::data::{DatasetOptions, Split, open_dataset};
use crate::train::classes;

/// How many broken files are named.
const NAMED: usize = 10;

/// Measures accuracy over a labelled dataset.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  resnetc eval models/cifar.resnet --network resnet20 --weights resnet20.safetensors --data cifar10/test\n  \
                  resnetc eval models/fashion.resnet --data /usr/share/datasets/fashion-mnist\n  \
                  resnetc eval net.resnet --data X.npy,Y.npy\n\n\
                  A dataset is a folder or .tar with a folder of pictures for each class, CIFAR's binary files, IDX files (.gz too), or a pair of \
                  arrays; of one with parts, the test part is taken. Names of classes are matched with the network's labels; folders of which \
                  none is a label are counted in sorted order."
)]
pub(super) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// An image folder or .tar, CIFAR binary files, IDX files, or X.npy,Y.npy
    #[arg(long, value_name = "DATA")]
    data: String,
    /// Samples in a run
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch: u32,
    /// How to answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(args: &Args, out: &mut Out) -> Done {
    let model = args.model.model(out)?;
    // each sample is read once
    let options = DatasetOptions { labels: &model.network().labels, classes: classes(model.checked()), keep: 0 };
    let data = open_dataset(&args.data, Split::Test, &options).map_err(Failure::input)?;
    let mut session = args.model.session(&model)?;
    let reader = Reader::of(&model)?;
    reader.holds(&*data)?;
    let bar = progress(data.len());
    let (mut first, mut five, mut seen) = (0usize, 0usize, 0usize);
    let mut loss = 0.0;
    let mut confusion = Confusion::default();
    let mut broken: Vec<String> = Vec::new();
    let start = Instant::now();
    let read = |index| reader.sample(&*data, index);
    let result = reader.run(&mut session, data.len(), read, args.batch as usize, |index, scores| {
        bar.inc(1);
        let class = data.label(index) as usize;
        match scores {
            Ok(scores) => {
                if class >= scores.len() {
                    return Err(Failure::Input(format!("the data has more classes than the network's {} outputs", scores.len())));
                }
                let best = top(scores, 5);
                seen += 1;
                // no probability is taken for less than the least number
                loss -= f64::from(scores[class].max(f32::MIN_POSITIVE)).ln();
                confusion.count(class, best.first().copied().unwrap_or(0), scores.len());
                first += usize::from(best.first() == Some(&class));
                five += usize::from(best.contains(&class));
            }
            Err(why) => broken.push(why),
        }
        Ok(())
    });
    bar.finish_and_clear();
    result?;
    let rate = seen as f64 / start.elapsed().as_secs_f64();
    args.model.note_packs(&session, out);
    for why in broken.iter().take(NAMED) {
        out.note(format_args!("warning: {why}"));
    }
    if broken.len() > NAMED {
        out.note(format_args!("warning: and {} more broken files", broken.len() - NAMED));
    }
    if seen == 0 {
        return Err(Failure::Input("no picture could be read".into()));
    }
    let percent = |hits: usize| 100.0 * hits as f64 / seen as f64;
    let loss = loss / seen as f64;
    let name = |class: usize| model.network().labels.get(class).cloned().unwrap_or_else(|| class.to_string());
    match args.format {
        Format::Text => {
            out.line(format_args!(
                "images   {seen}{}",
                if broken.is_empty() { String::new() } else { format!(" ({} broken)", broken.len()) }
            ))?;
            out.line(format_args!("top-1    {:.2} %", percent(first)))?;
            out.line(format_args!("top-5    {:.2} %", percent(five)))?;
            out.line(format_args!("loss     {loss:.4}"))?;
            out.line(format_args!("images/s {rate:.1}"))?;
            out.text(&confusion.text(name))
        }
        Format::Json => out.line(json!({
            "network": model.network().name,
            "images": seen,
            "broken": broken.len(),
            "top1": percent(first),
            "top5": percent(five),
            "loss": loss,
            "confusion": confusion.rows,
            "images_per_s": rate,
        })),
    }
}
