//! Shared by the commands that measure: the model, its input, and statistics over many runs.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::ProgressBar;
use ndarray::{ArrayD, IxDyn};

use super::failure::Failure;
use super::open::ModelArgs;
use super::output::Out;
use crate::driver::Weights;
use crate::formats::artifact;
use crate::formats::weights;
use crate::ir::{Axis, NodeId, ShapedNetwork};
use crate::plan::Settings;
use crate::runtime::{Model, SessionOptions, tune};

/// Runs before timing starts.
const WARM_UP: usize = 3;
/// How long runs are timed: at least `MIN_RUNS` and at most `MAX_RUNS` of them.
const MEASURE: Duration = Duration::from_secs(3);
const MIN_RUNS: usize = 8;
const MAX_RUNS: usize = 200;
/// The height and width if the network leaves them free and has no crop.
const FREE_SIZE: usize = 224;

/// What to measure.
#[derive(Clone, Debug, Args)]
pub(super) struct MeasureArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Batch size
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub batch: u32,
    /// Number of measured runs [default: as many as fit into 3 seconds, but 8 to 200]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub runs: Option<u32>,
    /// First choose the strategy of each convolution by measurements
    #[arg(long)]
    pub tune: bool,
}

impl MeasureArgs {
    /// The model. A source that names no weights gets random ones.
    pub fn open(&self, out: &mut Out) -> Result<Model, Failure> {
        let mut from = self.model.resolved()?;
        if !artifact::is_artifact(&from.file) && from.weights.is_none() && !names_weights(&from, out)? {
            from.weights = Some(Weights::Init(0));
        }
        let model = from.model(out)?;
        if model.emulates_bf16() {
            out.note(format_args!(
                "note: bf16 is emulated on this machine, by rounding f32: the results are those of bf16, the speed is that of f32 or less"
            ));
        }
        if !self.tune {
            return Ok(model);
        }
        let settings = tuned(&model, self.batch, from.session_options())?;
        Ok(model.with_settings(settings))
    }

    /// All files that the model is read from.
    pub fn files(&self, out: &mut Out) -> Result<Vec<PathBuf>, Failure> {
        let (_, mut read) = self.model.checked(out)?;
        read.extend(match &self.model.weights {
            Some(Weights::File(path)) => Some(weights::file(path)),
            Some(Weights::Named | Weights::Init(_)) | None => None,
        });
        Ok(read)
    }

    /// Runs some rounds to warm up, and then those that count. Returns their times in milliseconds.
    pub fn rounds(&self, mut run: impl FnMut(bool) -> Result<(), Failure>) -> Result<Series, Failure> {
        for _ in 0..WARM_UP {
            run(false)?;
        }
        let mut times = Vec::new();
        let begin = Instant::now();
        let more = |done: usize| match self.runs {
            Some(runs) => done < runs as usize,
            None => done < MIN_RUNS || (begin.elapsed() < MEASURE && done < MAX_RUNS),
        };
        while more(times.len()) {
            let start = Instant::now();
            run(true)?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        Ok(Series::new(times))
    }
}

/// Times of many runs, shortest first.
#[derive(Clone, Debug)]
pub(super) struct Series {
    sorted: Vec<f64>,
}

impl Series {
    pub fn new(mut times: Vec<f64>) -> Series {
        times.sort_by(f64::total_cmp);
        Series { sorted: times }
    }

    pub fn runs(&self) -> usize {
        self.sorted.len()
    }

    pub fn min(&self) -> f64 {
        self.sorted.first().copied().unwrap_or(0.0)
    }

    /// The median; of an even number of runs, the mean of the middle two.
    pub fn median(&self) -> f64 {
        let (n, at) = (self.sorted.len(), |i: usize| self.sorted.get(i).copied().unwrap_or(0.0));
        if n % 2 == 1 { at(n / 2) } else { (at((n / 2).saturating_sub(1)) + at(n / 2)) / 2.0 }
    }

    pub fn mean(&self) -> f64 {
        self.sorted.iter().sum::<f64>() / self.sorted.len().max(1) as f64
    }

    /// The standard deviation.
    pub fn deviation(&self) -> f64 {
        let mean = self.mean();
        (self.sorted.iter().map(|t| (t - mean).powi(2)).sum::<f64>() / self.sorted.len().max(1) as f64).sqrt()
    }
}

/// Whether the source names its own weights.
fn names_weights(from: &ModelArgs, out: &mut Out) -> Result<bool, Failure> {
    let mut front = super::open::source(&from.file)?;
    Ok(super::open::check(&mut front, &from.select, out)?.network.weights.is_some())
}

/// Settings with the fastest strategy for each convolution, as timed on this machine. Shows a bar on a terminal.
pub(super) fn tuned(model: &Model, batch: u32, options: SessionOptions) -> Result<Settings, Failure> {
    let inputs = inputs(model, batch)?;
    let views: Vec<_> = inputs.iter().map(|(name, x)| (name.as_str(), x.view())).collect();
    let bar = ProgressBar::new(0).with_message("measuring");
    let settings = tune(model, options, &views, |done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    settings.map_err(Failure::input)
}

/// Random values for each input of a model, the same in every run.
pub(super) fn inputs(model: &Model, batch: u32) -> Result<Vec<(String, ArrayD<f32>)>, Failure> {
    model.optimized().graph().inputs().iter().map(|&id| noise(model.optimized(), id, batch as usize)).collect()
}

/// Uniformly distributed values with standard deviation 1, for an input.
pub(super) fn noise(checked: &ShapedNetwork, id: NodeId, batch: usize) -> Result<(String, ArrayD<f32>), Failure> {
    let crop = checked.network.preprocess.as_ref().and_then(|p| p.crop).unwrap_or([FREE_SIZE; 2]);
    let size = |axis| crop[usize::from(axis == Axis::W)];
    let dims = checked.shape(id).dims().unwrap_or(&[]);
    let shape: Vec<usize> = std::iter::once(batch).chain(dims.iter().map(|d| usize::try_from(d.at(size)).unwrap_or(0))).collect();
    let shape = checked.declared_sizes(&shape);
    let len = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).filter(|&n| n <= 1 << 32);
    let len = len.ok_or_else(|| Failure::Input(format!("an input of {batch} images does not fit memory")))?;
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

/// The peak memory of the process, in MiB, where the system reports it.
pub(super) fn peak_rss_mb() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_over_runs() {
        let odd = Series::new(vec![3.0, 1.0, 8.0]);
        assert_eq!((odd.runs(), odd.min(), odd.median(), odd.mean()), (3, 1.0, 3.0, 4.0));
        let even = Series::new(vec![4.0, 2.0]);
        assert_eq!((even.median(), even.deviation()), (3.0, 1.0));
        assert_eq!(Series::new(Vec::new()).median(), 0.0);
    }
}
