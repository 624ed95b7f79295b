//! `resnetc bench`

use std::time::{Duration, Instant};

use ndarray::{ArrayD, IxDyn};
use serde_json::json;

use super::args::Format;
use super::open::ModelArgs;
use super::output::{Done, Failure, Out};
use crate::driver::Weights;
use crate::ir::{Axis, Checked, NodeId};

/// Runs before the clock starts.
const WARM_UP: usize = 3;
/// Runs are measured for so long, though at least `MIN_RUNS` and at most `MAX_RUNS` of them.
const MEASURE: Duration = Duration::from_secs(3);
const MIN_RUNS: usize = 8;
const MAX_RUNS: usize = 200;
/// Height and width where the network leaves them free and states no crop.
const FREE_SIZE: usize = 224;

/// Measures the latency of a network on random input. The last line of JSON has median_ms, min_ms, images_per_s, peak_rss_mb.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  resnetc bench models/resnet.resnet --network resnet50 --batch 1 --threads 2\n  \
                  resnetc bench net.rnx --batch 8 --format json\n\nWithout --weights, a file that names none is measured with random weights.")]
pub(super) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Images in a run
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch: u32,
    /// How to answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(args: &Args, out: &mut Out) -> Done {
    let mut from = args.model.clone();
    let is_source = !crate::formats::artifact::is_artifact(&from.file);
    if is_source && from.weights.is_none() && !names_weights(&from, out)? {
        from.weights = Some(Weights::Init(0));
    }
    let model = from.model(out)?;
    let mut session = from.session(&model)?;
    let inputs: Vec<(String, ArrayD<f32>)> = model
        .checked()
        .graph()
        .inputs()
        .iter()
        .map(|&id| noise(model.checked(), id, args.batch as usize))
        .collect::<Result<_, _>>()?;
    let views: Vec<_> = inputs.iter().map(|(name, x)| (name.as_str(), x.view())).collect();
    for _ in 0..WARM_UP {
        session.run(&views).map_err(Failure::input)?;
    }
    let mut times: Vec<f64> = Vec::new();
    let begin = Instant::now();
    while times.len() < MIN_RUNS || (begin.elapsed() < MEASURE && times.len() < MAX_RUNS) {
        let start = Instant::now();
        session.run(&views).map_err(Failure::input)?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let (runs, min, median) = (times.len(), times[0], times[times.len() / 2]);
    let mean = times.iter().sum::<f64>() / runs as f64;
    let deviation = (times.iter().map(|t| (t - mean).powi(2)).sum::<f64>() / runs as f64).sqrt();
    let rate = f64::from(args.batch) / median * 1e3;
    let memory = peak_rss_mb();
    match args.format {
        Format::Text => {
            out.line(format_args!("{}, batch {}, {} threads, {runs} runs", model.network().name, args.batch, session.threads()))?;
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
            "network": model.network().name,
            "batch": args.batch,
            "threads": session.threads(),
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

/// Whether the source names its own weights.
fn names_weights(from: &ModelArgs, out: &mut Out) -> Result<bool, Failure> {
    let mut front = crate::driver::Frontend::open(&from.file).map_err(Failure::input)?;
    Ok(super::open::check(&mut front, &from.select, out)?.network.weights.is_some())
}

/// An input of noise: uniform with deviation 1, the same in every run.
fn noise(checked: &Checked, id: NodeId, batch: usize) -> Result<(String, ArrayD<f32>), Failure> {
    let crop = checked.network.preprocess.as_ref().and_then(|p| p.crop).unwrap_or([FREE_SIZE; 2]);
    let size = |axis| crop[usize::from(axis == Axis::W)];
    let dims = checked.shape(id).dims().unwrap_or(&[]);
    let shape: Vec<usize> = std::iter::once(batch).chain(dims.iter().map(|d| usize::try_from(d.at(size)).unwrap_or(0))).collect();
    let len = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).filter(|&n| n <= 1 << 32);
    let len = len.ok_or_else(|| Failure::Input(format!("an input of {} images does not fit memory", batch)))?;
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let values = (0..len).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 40) as f32 / (1u32 << 24) as f32 - 0.5) * 12f32.sqrt()
    });
    let array = ArrayD::from_shape_vec(IxDyn(&shape), values.collect()).map_err(Failure::input)?;
    Ok((checked.graph().node(id).name.clone(), array))
}

/// The most memory that the process held, in MB; where the system tells.
fn peak_rss_mb() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024)
}
