//! `resnetc profile`: the time of each step of a run, relative to this machine's measured peak.

mod html;
mod report;
mod text;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::args::Format;
use super::failure::{Done, Failure};
use super::measure::{self, MeasureArgs, Series};
use super::output::{Out, save, writable};
use super::training_step::TrainingStep;
use crate::kernels::{ThreadPool, peak};
use crate::plan::{Family, Plan, Step};
use report::{Peak, Report, Row};

/// Measures each step of a network on random input: time, GFLOP/s, percentage of the machine's peak, bytes moved.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  resnetc profile models/resnet.resnet --network resnet50 --threads 2\n  \
                  resnetc profile net.rnx --batch 8 --html profile.html\n  \
                  resnetc profile models/cifar.resnet --network resnet20 --train --batch 128\n\n\
GFLOP/s count a multiply-add as two operations, and every convolution by its definition, so Winograd convolutions can exceed the peak. \
The peak is measured in the same run, with fused multiply-adds on registers in all threads. MB is the memory that a step reads and writes, \
packed weights included. Of a training step, `weights` is what the parameters are packed into, once a step, and `optimizer` updates them.\n\n\
--format json prints one object on one line, with the keys network, batch, threads, isa, runs, median_ms (of whole runs), min_ms, steps_ms, \
images_per_s, gflop, gflops, percent_of_peak, peaks (list of threads, gflops), non_winograd (other convolutions: steps, gflop, ms, \
percent_of_peak and percent_of_peak_best (weighted by work; of median and minimum times), percent_of_peak_overall), families (list of name, \
steps, ms, share, gflop), arena_bytes, packed_bytes, peak_rss_mb, and steps (list of name, kernel, family, shape, us (median), best_us, \
share, macs, gflops, percent_of_peak, bytes, gb_per_s). Shares are fractions of 1.")]
pub(super) struct Args {
    #[command(flatten)]
    measure: MeasureArgs,
    /// Measure a training step: forward, backward and optimizer
    #[arg(long, conflicts_with_all = ["tune", "precise", "max_packed_weights"])]
    train: bool,
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
    let report = if args.train { training(&args.measure, out)? } else { measure(&args.measure, out)? };
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
    let mut steps = StepTimes::default();
    let times = args.rounds(|counts| {
        steps.begin(counts);
        session.run_timed(&views, |_, time| steps.add(time)).map(drop).map_err(Failure::input)
    })?;
    let plan = session.last_plan().ok_or_else(|| Failure::Input("the network was not planned".to_owned()))?;
    Ok(Report {
        network: model.network().name.clone(),
        batch: args.batch,
        threads,
        isa,
        rows: steps.rows(plan),
        times,
        peaks: best(before, peaks(threads, isa)?),
        arena_bytes: session.arena_bytes(),
        packed_bytes: model.packed_bytes() + model.mapped_bytes(),
        peak_rss_mb: measure::peak_rss_mb(),
    })
}

/// Measures a training step.
fn training(args: &MeasureArgs, out: &mut Out) -> Result<Report, Failure> {
    let mut training = TrainingStep::open(args, out)?;
    let (isa, threads) = (training.isa, training.threads);
    let before = peaks(threads, isa)?;
    let mut steps = StepTimes::default();
    let times = args.rounds(|counts| {
        steps.begin(counts);
        let start = Instant::now();
        let mut in_steps = Duration::ZERO;
        let optimizer = training.run_timed(|_, time| {
            in_steps += time;
            steps.add(time);
        })?;
        // what the session does besides its steps is packing
        steps.add(start.elapsed().saturating_sub(in_steps + optimizer));
        steps.add(optimizer);
        Ok(())
    })?;
    let parameters = training.parameters();
    let network = training.network.clone();
    let (plan, [arena_bytes, packed_bytes]) = training.plan()?;
    let packed = plan.weights.iter().map(|w| w.len()).sum();
    let extra = [("weights", "pack", packed, 2), ("optimizer", "update", parameters, 5)];
    let mut rows = steps.rows(plan);
    rows.extend(extra.into_iter().enumerate().map(|(index, (name, kernel, floats, passes))| {
        let times = steps.series(plan.steps.len() + index);
        Row {
            name: name.to_owned(),
            kernel: kernel.to_owned(),
            family: Family::Train,
            shape: vec![floats],
            us: times.median(),
            best_us: times.min(),
            macs: 0,
            bytes: (floats * passes * size_of::<f32>()) as u64,
        }
    }));
    let peaks = best(before, peaks(threads, isa)?);
    let batch = args.batch;
    let peak_rss_mb = measure::peak_rss_mb();
    Ok(Report { network, batch, threads, isa, rows, times, peaks, arena_bytes, packed_bytes, peak_rss_mb })
}

/// The times of each step over many runs, in microseconds.
#[derive(Default)]
struct StepTimes {
    of: Vec<Vec<f64>>,
    /// The step whose time comes next; `None` while nothing counts.
    next: Option<usize>,
}

impl StepTimes {
    /// Before a run, whose times count or not.
    fn begin(&mut self, counts: bool) {
        self.next = counts.then_some(0);
    }

    fn add(&mut self, time: Duration) {
        let Some(step) = &mut self.next else { return };
        if self.of.len() == *step {
            self.of.push(Vec::new());
        }
        self.of[*step].push(time.as_secs_f64() * 1e6);
        *step += 1;
    }

    fn series(&self, step: usize) -> Series {
        Series::new(self.of.get(step).cloned().unwrap_or_default())
    }

    /// A row for each step of the plan.
    fn rows(&self, plan: &Plan) -> Vec<Row> {
        let row = |(index, step): (usize, &Step)| {
            let times = self.series(index);
            Row {
                name: step.name.clone(),
                kernel: step.kernel.to_string(),
                family: step.kernel.family(),
                shape: step.shape.clone(),
                us: times.median(),
                best_us: times.min(),
                macs: step.macs(),
                bytes: plan.bytes_moved(step),
            }
        };
        plan.steps.iter().enumerate().map(row).collect()
    }
}

/// The peaks of two measurements: the clock rate may have changed in the meantime.
fn best(before: Vec<Peak>, after: Vec<Peak>) -> Vec<Peak> {
    before.into_iter().zip(after).map(|(a, b)| Peak { threads: a.threads, gflops: a.gflops.max(b.gflops) }).collect()
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
