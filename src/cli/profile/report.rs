//! What was measured, and what follows from it.

use serde_json::{Value, json};

use super::text::threads;
use crate::cli::measure::Series;
use crate::kernels::Isa;
use crate::plan::Family;

/// A step.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Row {
    pub name: String,
    /// As the plan's dump names it.
    pub kernel: String,
    pub family: Family,
    /// Of the result.
    pub shape: Vec<usize>,
    /// Median over the runs, in microseconds.
    pub us: f64,
    /// The shortest of the runs, in microseconds.
    pub best_us: f64,
    /// Multiply-adds by definition.
    pub macs: u64,
    /// Bytes moved.
    pub bytes: u64,
}

/// The peak of so many threads together.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Peak {
    pub threads: usize,
    pub gflops: f64,
}

/// A profile.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Report {
    pub network: String,
    pub batch: u32,
    pub threads: usize,
    pub isa: Isa,
    /// In the order in which they run.
    pub rows: Vec<Row>,
    /// Of whole runs, in milliseconds.
    pub times: Series,
    /// Of one thread, and of all.
    pub peaks: Vec<Peak>,
    pub arena_bytes: usize,
    /// Of weights in the forms of their kernels: packed by this process, or mapped from an artifact.
    pub packed_bytes: usize,
    pub peak_rss_mb: Option<u64>,
}

/// Some rows together.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::cli) struct Sum {
    pub steps: usize,
    pub us: f64,
    pub macs: u64,
    /// Percent of the peak, each step counting by its multiply-adds.
    pub weighted: f64,
    /// The same of the shortest times: the peak is the best of several measurements too, and on a machine that others use the
    /// median says as much of them.
    pub weighted_best: f64,
}

/// Operations a nanosecond.
pub(super) fn gflops(macs: u64, us: f64) -> f64 {
    if us > 0.0 { 2.0 * macs as f64 / us / 1e3 } else { 0.0 }
}

impl Row {
    pub fn gflops(&self) -> f64 {
        gflops(self.macs, self.us)
    }

    pub fn gb_per_s(&self) -> f64 {
        if self.us > 0.0 { self.bytes as f64 / self.us / 1e3 } else { 0.0 }
    }

    pub fn shape(&self) -> String {
        self.shape.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ")
    }
}

impl Report {
    /// GFLOP/s of all threads that took part.
    pub fn peak(&self) -> f64 {
        self.peaks.last().map_or(0.0, |p| p.gflops)
    }

    pub fn percent(&self, gflops: f64) -> f64 {
        if self.peak() > 0.0 { 100.0 * gflops / self.peak() } else { 0.0 }
    }

    /// A row's part of the time of all steps.
    pub fn share(&self, row: &Row) -> f64 {
        row.us / self.sum(|_| true).us.max(f64::MIN_POSITIVE)
    }

    /// The rows that are chosen.
    pub fn sum(&self, chosen: impl Fn(&Row) -> bool) -> Sum {
        let mut sum = Sum::default();
        for row in self.rows.iter().filter(|r| chosen(r)) {
            sum.steps += 1;
            sum.us += row.us;
            sum.macs += row.macs;
            sum.weighted += row.macs as f64 * self.percent(row.gflops());
            sum.weighted_best += row.macs as f64 * self.percent(gflops(row.macs, row.best_us));
        }
        sum.weighted /= sum.macs.max(1) as f64;
        sum.weighted_best /= sum.macs.max(1) as f64;
        sum
    }

    /// The convolutions that do all multiplications of the definition.
    pub fn non_winograd(&self) -> Sum {
        self.sum(|r| matches!(r.family, Family::Direct | Family::Gemm | Family::Depthwise))
    }

    /// The kinds that occur.
    pub fn families(&self) -> impl Iterator<Item = (Family, Sum)> {
        Family::ALL.into_iter().map(|f| (f, self.sum(|r| r.family == f))).filter(|(_, sum)| sum.steps > 0)
    }

    /// How it was measured, in a sentence.
    pub(in crate::cli) fn made(&self) -> String {
        let (batch, isa, runs) = (self.batch, self.isa, self.times.runs());
        format!("batch {batch}, {}, {isa}, median of {runs} runs on random input", threads(self.threads))
    }

    /// Of whole runs, in milliseconds.
    pub(in crate::cli) fn median_ms(&self) -> f64 {
        self.times.median()
    }

    /// Each step's name and kernel, and its time in microseconds.
    pub(in crate::cli) fn steps(&self) -> impl Iterator<Item = (String, String, f64)> + '_ {
        self.rows.iter().map(|row| (row.name.clone(), row.kernel.clone(), row.us))
    }

    pub fn images_per_s(&self) -> f64 {
        f64::from(self.batch) / self.times.median() * 1e3
    }

    /// One object; its keys are documented in the command's help.
    pub fn json(&self) -> Value {
        let all = self.sum(|_| true);
        let others = self.non_winograd();
        let total = gflops(all.macs, self.times.median() * 1e3);
        let gflop = |macs: u64| 2.0 * macs as f64 / 1e9;
        json!({
            "network": self.network,
            "batch": self.batch,
            "threads": self.threads,
            "isa": self.isa,
            "runs": self.times.runs(),
            "median_ms": self.times.median(),
            "min_ms": self.times.min(),
            "steps_ms": all.us / 1e3,
            "images_per_s": self.images_per_s(),
            "gflop": gflop(all.macs),
            "gflops": total,
            "percent_of_peak": self.percent(total),
            "peaks": self.peaks.iter().map(|p| json!({"threads": p.threads, "gflops": p.gflops})).collect::<Vec<_>>(),
            "non_winograd": {
                "steps": others.steps,
                "gflop": gflop(others.macs),
                "ms": others.us / 1e3,
                "percent_of_peak": others.weighted,
                "percent_of_peak_best": others.weighted_best,
                "percent_of_peak_overall": self.percent(gflops(others.macs, others.us)),
            },
            "families": self.families().map(|(family, sum)| json!({
                "name": family.name(),
                "steps": sum.steps,
                "ms": sum.us / 1e3,
                "share": sum.us / all.us.max(f64::MIN_POSITIVE),
                "gflop": gflop(sum.macs),
            })).collect::<Vec<_>>(),
            "arena_bytes": self.arena_bytes,
            "packed_bytes": self.packed_bytes,
            "peak_rss_mb": self.peak_rss_mb,
            "steps": self.rows.iter().map(|row| json!({
                "name": row.name,
                "kernel": row.kernel,
                "family": row.family.name(),
                "shape": row.shape,
                "us": row.us,
                "best_us": row.best_us,
                "share": self.share(row),
                "macs": row.macs,
                "gflops": row.gflops(),
                "percent_of_peak": self.percent(row.gflops()),
                "bytes": row.bytes,
                "gb_per_s": row.gb_per_s(),
            })).collect::<Vec<_>>(),
        })
    }
}
