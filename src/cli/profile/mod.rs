//! `resnetc profile`: where the time of a run goes, step by step, against the peak that this machine was measured to have.

mod html;
mod report;
mod text;

use std::path::PathBuf;
use std::time::Duration;

use super::args::Format;
use super::measure::{self, MeasureArgs, Series};
use super::output::{Done, Failure, Out, save, writable};
use crate::kernels::{ThreadPool, peak};
use report::{Peak, Report, Row};

/// Measures each step of a network on random input: time, GFLOP/s, part of the machine's peak, bytes moved.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  resnetc profile models/resnet.resnet --network resnet50 --threads 2\n  \
                  resnetc profile net.rnx --batch 8 --html profile.html\n\n\
GFLOP/s count the multiply-adds of the definition (two operations each), so Winograd's convolutions may pass the peak. The peak is\n\
measured in the same run: fused multiply-adds over registers on all threads. MB are what a step reads and writes, and its weights as packed.\n\n\
--format json prints one object in one line. Its keys: network, batch, threads, isa, runs, median_ms (of whole runs), min_ms, steps_ms,\n\
images_per_s, gflop, gflops, percent_of_peak, peaks (of: threads, gflops), non_winograd (convolutions: steps, gflop, ms, percent_of_peak\n\
weighted by work, percent_of_peak_overall), families (of: name, steps, ms, share, gflop), arena_bytes, packed_bytes, peak_rss_mb,\n\
and steps (of: name, kernel, family, shape, us (median), best_us, share, macs, gflops, percent_of_peak, bytes, gb_per_s). Shares are of 1.")]
pub(super) struct Args {
    #[command(flatten)]
    measure: MeasureArgs,
    /// How to answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Also write a page with a timeline and a sorted table
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
    let mut taken: Vec<Vec<f64>> = Vec::new();
    let times = args.rounds(|counts| {
        let mut step = 0;
        session
            .run_timed(&views, |_, time: Duration| {
                if counts {
                    if taken.len() == step {
                        taken.push(Vec::new());
                    }
                    taken[step].push(time.as_secs_f64() * 1e6);
                }
                step += 1;
            })
            .map(drop)
            .map_err(Failure::input)
    })?;
    // the clock may have changed meanwhile
    let after = peaks(threads, isa)?;
    let peaks = before.into_iter().zip(after).map(|(a, b)| Peak { threads: a.threads, gflops: a.gflops.max(b.gflops) }).collect();
    let plan = session.last_plan().ok_or_else(|| Failure::Input("the network was not planned".to_owned()))?;
    let rows = plan.steps.iter().zip(taken.into_iter().map(Series::new)).map(|(step, taken)| Row {
        name: step.name.clone(),
        kernel: step.kernel.to_string(),
        family: step.kernel.family(),
        shape: step.shape.clone(),
        us: taken.median(),
        best_us: taken.min(),
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

/// The peak of one thread and of all together.
fn peaks(threads: usize, isa: crate::kernels::Isa) -> Result<Vec<Peak>, Failure> {
    let mut counts = vec![1, threads];
    counts.dedup();
    let peak = |threads| {
        let pool = ThreadPool::new(threads).map_err(|e| Failure::Input(format!("cannot start {threads} threads: {e}")))?;
        Ok(Peak { threads, gflops: peak::gflops(&pool, isa) })
    };
    counts.into_iter().map(peak).collect()
}
