//! `resnetc profile`: the time of each step of a run, relative to this machine's measured peak.

mod html;
mod report;
mod text;

use std::path::PathBuf;
use std::time::Duration;

use super::args::Format;
use super::failure::{Done, Failure};
use super::measure::{self, MeasureArgs, Series};
use super::output::{Out, save, writable};
use crate::kernels::{ThreadPool, peak};
use report::{Peak, Report, Row};

/// Measures each step of a network on random input: time, GFLOP/s, percentage of the machine's peak, bytes moved.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  resnetc profile models/resnet.resnet --network resnet50 --threads 2\n  \
                  resnetc profile net.rnx --batch 8 --html profile.html\n\n\
GFLOP/s count a multiply-add as two operations, and every convolution by its definition, so Winograd convolutions can exceed the peak. \
The peak is measured in the same run, with fused multiply-adds on registers in all threads. MB is the memory that a step reads and writes, \
packed weights included.\n\n\
--format json prints one object on one line, with the keys network, batch, threads, isa, runs, median_ms (of whole runs), min_ms, steps_ms, \
images_per_s, gflop, gflops, percent_of_peak, peaks (list of threads, gflops), non_winograd (other convolutions: steps, gflop, ms, \
percent_of_peak and percent_of_peak_best (weighted by work; of median and minimum times), percent_of_peak_overall), families (list of name, \
steps, ms, share, gflop), arena_bytes, packed_bytes, peak_rss_mb, and steps (list of name, kernel, family, shape, us (median), best_us, \
share, macs, gflops, percent_of_peak, bytes, gb_per_s). Shares are fractions of 1.")]
pub(super) struct Args {
    #[command(flatten)]
    measure: MeasureArgs,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Also write an HTML page with a timeline and a sortable table
    #[arg(long, value_name = "OUT.html")]
    html: Option<PathBuf>,
}

pub(super) fn run(args: &Args, out: &mut Out) -> Done {
    if let Some(path) = &args.html {
        writable([&**path], &args.measure.files(out)?)?;
    }
    let report = measure(&args.measure, out)?;
    if let Some(path) = &args.html {
        save(path, html::page(&report).as_bytes())?;
    }
    match args.format {
        Format::Text => out.text(&text::table(&report)),
        Format::Json => out.line(report.json()),
    }
}

/// Measures a network step by step.
pub(super) fn measure(args: &MeasureArgs, out: &mut Out) -> Result<Report, Failure> {
    let model = args.open(out)?;
    let mut session = args.model.session(&model)?;
    let inputs = measure::inputs(&model, args.batch)?;
    let views: Vec<_> = inputs.iter().map(|(name, x)| (name.as_str(), x.view())).collect();
    let (isa, threads) = (session.isa(), session.threads());
    let before = peaks(threads, isa)?;
    let mut step_times: Vec<Vec<f64>> = Vec::new();
    let times = args.rounds(|counts| {
        let mut step = 0;
        session
            .run_timed(&views, |_, time: Duration| {
                if counts {
                    if step_times.len() == step {
                        step_times.push(Vec::new());
                    }
                    step_times[step].push(time.as_secs_f64() * 1e6);
                }
                step += 1;
            })
            .map(drop)
            .map_err(Failure::input)
    })?;
    // the clock rate may have changed in the meantime
    let after = peaks(threads, isa)?;
    let peaks = before.into_iter().zip(after).map(|(a, b)| Peak { threads: a.threads, gflops: a.gflops.max(b.gflops) }).collect();
    let plan = session.last_plan().ok_or_else(|| Failure::Input("the network was not planned".to_owned()))?;
    let rows = plan.steps.iter().zip(step_times.into_iter().map(Series::new)).map(|(step, times)| Row {
        name: step.name.clone(),
        kernel: step.kernel.to_string(),
        family: step.kernel.family(),
        shape: step.shape.clone(),
        us: times.median(),
        best_us: times.min(),
        macs: step.macs(),
        bytes: plan.bytes_moved(step),
    });
    Ok(Report {
        network: model.network().name.clone(),
        batch: args.batch,
        threads,
        isa,
        rows: rows.collect(),
        times,
        peaks,
        arena_bytes: session.arena_bytes(),
        packed_bytes: model.packed_bytes() + model.mapped_bytes(),
        peak_rss_mb: measure::peak_rss_mb(),
    })
}

/// The peak of one thread, and of all threads together.
fn peaks(threads: usize, isa: crate::kernels::Isa) -> Result<Vec<Peak>, Failure> {
    let mut counts = vec![1, threads];
    counts.dedup();
    let peak = |threads| {
        let pool = ThreadPool::new(threads).map_err(|e| Failure::Input(format!("cannot start {threads} threads: {e}")))?;
        Ok(Peak { threads, gflops: peak::gflops(&pool, isa) })
    };
    counts.into_iter().map(peak).collect()
}
