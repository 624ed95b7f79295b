//! `resnetc bench`

use serde_json::json;

use super::args::Format;
use super::measure::{self, MeasureArgs};
use super::output::{Done, Failure, Out};

/// Measures the latency of a network on random input. The last line of JSON has median_ms, min_ms, images_per_s, peak_rss_mb.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  resnetc bench models/resnet.resnet --network resnet50 --batch 1 --threads 2\n  \
                  resnetc bench net.rnx --batch 8 --format json\n\nWithout --weights, a file that names none is measured with random weights.\n\
                  RESNETC_ISA=portable|avx2|avx512 forces an instruction set.")]
pub(super) struct Args {
    #[command(flatten)]
    measure: MeasureArgs,
    /// How to answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(args: &Args, out: &mut Out) -> Done {
    let model = args.measure.open(out)?;
    let mut session = args.measure.model.session(&model)?;
    let batch = args.measure.batch;
    let inputs = measure::inputs(&model, batch)?;
    let views: Vec<_> = inputs.iter().map(|(name, x)| (name.as_str(), x.view())).collect();
    let times = args.measure.rounds(|_| session.run(&views).map(drop).map_err(Failure::input))?;
    args.measure.model.note_packs(&session, out);
    let (median, min, mean, deviation) = (times.median(), times.min(), times.mean(), times.deviation());
    let rate = f64::from(batch) / median * 1e3;
    let memory = measure::peak_rss_mb();
    let (name, isa, threads, runs) = (&model.network().name, session.isa(), session.threads(), times.runs());
    match args.format {
        Format::Text => {
            out.line(format_args!("{name}, batch {batch}, {threads} threads, {isa}, {runs} runs"))?;
            out.line(format_args!("median   {median:.3} ms"))?;
            out.line(format_args!("min      {min:.3} ms"))?;
            out.line(format_args!("mean     {mean:.3} ms, deviation {deviation:.3} ms"))?;
            out.line(format_args!("images/s {rate:.1}"))?;
            match memory {
                Some(mb) => out.line(format_args!("peak RSS {mb} MB")),
                None => Ok(()),
            }
        }
        Format::Json => out.line(json!({
            "network": name,
            "batch": batch,
            "threads": threads,
            "isa": isa,
            "runs": runs,
            "median_ms": median,
            "min_ms": min,
            "mean_ms": mean,
            "deviation_ms": deviation,
            "images_per_s": rate,
            "peak_rss_mb": memory,
        })),
    }
}
