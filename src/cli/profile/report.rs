//! The measurements of a profile, and the values derived from them.

use serde_json::{Value, json};

use crate::cli::measure::Series;
use crate::kernels::Isa;
use crate::plan::Family;

/// The measurements of a step.
#[derive(Clone, Debug)]
pub(in crate::internal::cli) struct Row {
    pub name: String,
    /// As in the plan's dump.
    pub kernel: String,
    pub family: Family,
    /// Of the output.
    pub shape: Vec<usize>,
    /// Median over the runs, in microseconds.
    pub us: f64,
    /// Minimum over the runs, in microseconds.
    pub best_us: f64,
    /// Multiply-adds, by the operator's definition.
    pub macs: u64,
    /// Bytes moved.
    pub bytes: u64,
}

/// The peak of a number of threads together.
#[derive(Clone, Copy, Debug)]
pub(in crate::internal::cli) struct Peak {
    pub threads: usize,
    pub gflops: f64,
}

/// A profile.
#[derive(Clone, Debug)]
pub(in crate::internal::cli) struct Report {
    pub network: String,
    pub batch: u32,
    pub threads: usize,
    pub isa: Isa,
    /// In execution order.
    pub rows: Vec<Row>,
    /// Of whole runs, in milliseconds.
    pub times: Series,
    /// Of one thread, and of all threads.
    pub peaks: Vec<Peak>,
    pub arena_bytes: usize,
    /// Of packed weights, whether packed by this process or mapped from an artifact.
    pub packed_bytes: usize,
    pub peak_rss_mb: Option<u64>,
}

/// The sum of several rows.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::internal::cli) struct Sum {
    pub steps: usize,
    pub us: f64,
    pub macs: u64,
    /// Percentage of the peak, weighted by each step's multiply-adds.
    pub weighted: f64,
    /// The same for the minimum times: the peak is the best of several measurements too, and on a shared machine the median
    /// depends on other users' load.
    pub weighted_best: f64,
}

/// Operations per nanosecond.
pub(super) fn gflops(macs: u64, us: f64) -> f64 {
    if us > 0.0 { 2.0 * macs as f64 / us / 1e3 } else { 0.0 }
}

/// `1 thread`, `2 threads`.
pub(super) fn threads(count: usize) -> String {
    format!("{count} thread{}", if count == 1 { "" } else { "s" })
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
    /// Peak GFLOP/s of all threads used.
    pub fn peak(&self) -> f64 {
        self.peaks.last().map_or(0.0, |p| p.gflops)
    }

    pub fn percent(&self, gflops: f64) -> f64 {
        if self.peak() > 0.0 { 100.0 * gflops / self.peak() } else { 0.0 }
    }

    /// A row's fraction of the time of all steps.
    pub fn share(&self, row: &Row) -> f64 {
        row.us / self.sum(|_| true).us.max(f64::MIN_POSITIVE)
    }

    /// The sum of the rows that satisfy a predicate.
    pub fn sum(&self, includes: impl Fn(&Row) -> bool) -> Sum {
        let mut sum = Sum::default();
        for row in self.rows.iter().filter(|r| includes(r)) {
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

    /// The convolutions that do every multiplication of the definition.
    pub fn non_winograd(&self) -> Sum {
        self.sum(|r| matches!(r.family, Family::Direct | Family::Gemm | Family::Depthwise))
    }

    /// The kernel families that occur.
    pub fn families(&self) -> impl Iterator<Item = (Family, Sum)> {
        Family::ALL.into_iter().map(|f| (f, self.sum(|r| r.family == f))).filter(|(_, sum)| sum.steps > 0)
    }

    /// The conditions of the measurement.
    pub(in crate::internal::cli) fn conditions(&self) -> String {
        let (batch, isa, runs) = (self.batch, self.isa, self.times.runs());
        format!("batch {batch}, {}, {isa}, median of {runs} runs on random input", threads(self.threads))
    }

    /// The median of whole runs, in milliseconds.
    pub(in crate::internal::cli) fn median_ms(&self) -> f64 {
        self.times.median()
    }

    /// Each step's name and kernel, and its time in microseconds.
    pub(in crate::internal::cli) fn steps(&self) -> impl Iterator<Item = (String, String, f64)> + '_ {
        self.rows.iter().map(|row| (row.name.clone(), row.kernel.clone(), row.us))
    }

    pub fn images_per_s(&self) -> f64 {
        f64::from(self.batch) / self.times.median() * 1e3
    }

    /// The JSON object; its keys are documented in the command's help.
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
