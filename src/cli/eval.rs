//! `resnetc eval`

use std::path::PathBuf;
use std::time::Instant;

use serde_json::json;

use super::args::Format;
use super::confusion::Confusion;
use super::images::{Reader, progress, top};
use super::open::ModelArgs;
use super::output::{Done, Failure, Out};
use crate::data::folder::Folder;

/// How many broken files are named.
const NAMED: usize = 10;

/// Measures accuracy over a folder of class folders.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  resnetc eval models/cifar.resnet --network resnet20 --weights resnet20.safetensors --data cifar10/test\n\n\
                  The folders' names are matched with the network's labels; where none of them is a label, they are counted in sorted order."
)]
pub(super) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// A folder with a folder of pictures for each class
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Pictures in a run
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch: u32,
    /// How to answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(args: &Args, out: &mut Out) -> Done {
    let model = args.model.model(out)?;
    let data = Folder::open(&args.data, &model.network().labels).map_err(Failure::input)?;
    let mut session = args.model.session(&model)?;
    let reader = Reader::of(&model)?;
    let (paths, classes): (Vec<PathBuf>, Vec<usize>) = data.items.into_iter().unzip();
    let bar = progress(paths.len());
    let (mut first, mut five, mut seen) = (0usize, 0usize, 0usize);
    let mut loss = 0.0;
    let mut confusion = Confusion::default();
    let mut broken: Vec<String> = Vec::new();
    let start = Instant::now();
    let result = reader.run(&mut session, &paths, args.batch as usize, |index, scores| {
        bar.inc(1);
        match scores {
            Ok(scores) => {
                if classes[index] >= scores.len() {
                    return Err(Failure::Input(format!("the data has more classes than the network's {} outputs", scores.len())));
                }
                let best = top(scores, 5);
                seen += 1;
                // no probability is taken for less than the least number
                loss -= f64::from(scores[classes[index]].max(f32::MIN_POSITIVE)).ln();
                confusion.count(classes[index], best.first().copied().unwrap_or(0), scores.len());
                first += usize::from(best.first() == Some(&classes[index]));
                five += usize::from(best.contains(&classes[index]));
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
