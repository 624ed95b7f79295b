//! Tests of the loop with a toy engine: a hand-written logistic regression.

use ndarray::{Array4, Axis, s};

use super::{
    Batch, BatchStats, End, Engine, Event, Feed, Flow, LayerKind, Loaded, Run, RunDir, RunningStat, TrainError, TrainedParam,
};
use crate::data::Rng;
use crate::ir::{Count, ParamRole, Recipe, Schedule, Sgd};
use crate::runtime::NotFinite;

const CLASSES: usize = 3;
const FEATURES: usize = 4;

/// `softmax(W x + b)`, with the mean of its inputs as a running statistic.
struct Toy {
    params: Vec<TrainedParam>,
    running_stats: Vec<RunningStat>,
    cleared: bool,
    /// The step at which the loss becomes infinite.
    bad: Option<u64>,
}

impl Toy {
    fn new() -> Toy {
        let param = |name: &str, role, shape: Vec<usize>| {
            let len = shape.iter().product();
            TrainedParam {
                name: name.into(),
                role,
                layer: LayerKind::Linear,
                shape,
                values: vec![0.0; len],
                gradient: vec![0.0; len],
            }
        };
        Toy {
            params: vec![
                param("fc.weight", ParamRole::Weight, vec![CLASSES, FEATURES]),
                param("fc.bias", ParamRole::Bias, vec![CLASSES]),
            ],
            running_stats: vec![RunningStat { name: "bn.running_mean".into(), values: vec![0.0; FEATURES] }],
            cleared: true,
            bad: None,
        }
    }

    fn scores(&self, x: &[f32]) -> Vec<f64> {
        let row = |k: usize| {
            let w = &self.params[0].values[k * FEATURES..][..FEATURES];
            w.iter().zip(x).map(|(&w, &x)| f64::from(w) * f64::from(x)).sum::<f64>() + f64::from(self.params[1].values[k])
        };
        let rows: Vec<f64> = (0..CLASSES).map(row).collect();
        let top = rows.iter().copied().fold(f64::MIN, f64::max);
        let sum: f64 = rows.iter().map(|r| (r - top).exp()).sum();
        rows.iter().map(|r| (r - top).exp() / sum).collect()
    }

    fn each(&self, batch: &Batch<'_>, mut f: impl FnMut(&[f32], usize, &[f64])) -> BatchStats {
        let mut stats = BatchStats::default();
        for (image, &label) in batch.images.axis_iter(Axis(0)).zip(batch.labels) {
            let x: Vec<f32> = image.iter().copied().collect();
            let p = self.scores(&x);
            f(&x, label as usize, &p);
            let best = (0..CLASSES).max_by(|&a, &b| p[a].total_cmp(&p[b])).unwrap();
            stats.add(BatchStats { loss_sum: -p[label as usize].ln(), correct: usize::from(best == label as usize), count: 1 });
        }
        stats
    }
}

impl Engine for Toy {
    fn gradients(&mut self, batch: &Batch<'_>, scale: f32, step: u64) -> Result<BatchStats, TrainError> {
        if std::mem::take(&mut self.cleared) {
            self.params.iter_mut().for_each(|p| p.gradient.fill(0.0));
        }
        let (mut gw, mut gb) = (self.params[0].gradient.clone(), self.params[1].gradient.clone());
        let each = scale / batch.labels.len() as f32;
        let mut stats = self.each(batch, |x, label, p| {
            for k in 0..CLASSES {
                let d = (p[k] - f64::from(u8::from(k == label))) as f32 * each;
                gb[k] += d;
                gw[k * FEATURES..][..FEATURES].iter_mut().zip(x).for_each(|(g, &x)| *g += d * x);
            }
        });
        self.params[0].gradient = gw;
        self.params[1].gradient = gb;
        self.running_stats[0].values[0] = 0.9 * self.running_stats[0].values[0] + 0.1 * batch.images.mean().unwrap();
        if self.bad == Some(step) {
            stats.loss_sum = f64::INFINITY;
        }
        Ok(stats)
    }

    fn clear(&mut self) {
        self.cleared = true;
    }

    fn parameters(&mut self) -> &mut [TrainedParam] {
        &mut self.params
    }

    fn running_stats(&mut self) -> &mut [RunningStat] {
        &mut self.running_stats
    }

    fn evaluate(&mut self, batch: &Batch<'_>) -> Result<BatchStats, TrainError> {
        Ok(self.each(batch, |_, _, _| {}))
    }

    fn first_not_finite(&mut self, _: &Batch<'_>, _: u64) -> Option<NotFinite> {
        Some(NotFinite::Layer { name: "layer1.0.conv1".into() })
    }
}

/// Points around three centers, shuffled in each epoch.
struct Points {
    images: Array4<f32>,
    labels: Vec<u32>,
    batch: usize,
    order: Vec<usize>,
}

impl Points {
    fn new(n: usize, batch: usize) -> Points {
        let mut rng = Rng::of(&[5, n as u64]);
        let labels: Vec<u32> = (0..n).map(|i| (i % CLASSES) as u32).collect();
        let images = Array4::from_shape_fn((n, FEATURES, 1, 1), |(i, f, _, _)| {
            (2.0 * f64::from(u8::from(f == i % CLASSES)) + 0.5 * rng.normal()) as f32
        });
        Points { images, labels, batch, order: Vec::new() }
    }
}

impl Feed for Points {
    fn samples(&self) -> usize {
        self.labels.len()
    }

    fn start(&mut self, epoch: u64, batch: u64) -> Result<(), TrainError> {
        self.order = (0..self.labels.len()).collect();
        Rng::of(&[1, epoch]).shuffle(&mut self.order);
        self.order.drain(..(batch as usize * self.batch).min(self.labels.len()));
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Loaded>, TrainError> {
        let indices: Vec<usize> = self.order.drain(..self.batch.min(self.order.len())).collect();
        if indices.is_empty() {
            return Ok(None);
        }
        let mut images = Array4::zeros((indices.len(), FEATURES, 1, 1));
        for (to, &from) in indices.iter().enumerate() {
            images.slice_mut(s![to, .., .., ..]).assign(&self.images.slice(s![from, .., .., ..]));
        }
        Ok(Some(Loaded { images, labels: indices.iter().map(|&i| self.labels[i]).collect(), skipped: Vec::new() }))
    }
}

fn recipe() -> Recipe {
    Recipe {
        batch: 16,
        length: Count::Epochs(6),
        optimizer: Sgd { lr: 0.2, ..Sgd::default() },
        schedule: Schedule::Plateau { patience: 0, factor: 0.5, min_lr: 0.0 },
        ..Recipe::default()
    }
}

/// Trains in a run directory, up to step `stop` if given. Resumes if there is a checkpoint.
fn train(dir: &RunDir, recipe: &Recipe, stop: Option<u64>, toy: &mut Toy) -> Result<End, TrainError> {
    let batch = recipe.batch.max(1);
    let (mut data, mut valid) = (Points::new(100, batch), Points::new(40, 16));
    let run = Run { engine: toy, train: &mut data, valid: Some(&mut valid), network: "toy", classes: CLASSES, dir, threads: 1 };
    let mut observe = |event: Event<'_>| match event {
        Event::Logged(line) if Some(line.step()) == stop => Flow::Stop,
        _ => Flow::Continue,
    };
    if dir.checkpoint().exists() { run.resume(None, &mut observe) } else { run.begin(recipe, &mut observe) }
}

fn folder() -> (tempfile::TempDir, RunDir) {
    let dir = tempfile::tempdir().unwrap();
    let run = RunDir::new(dir.path());
    (dir, run)
}

#[test]
fn a_run_learns_and_writes_its_files() {
    let (_keep, dir) = folder();
    let mut toy = Toy::new();
    assert_eq!(train(&dir, &recipe(), None, &mut toy).unwrap(), End::Finished);
    let lines = super::log::read(&dir.log()).unwrap();
    let valid: Vec<f64> =
        lines.iter().filter_map(|l| if let super::log::Line::Valid { error, .. } = l { Some(*error) } else { None }).collect();
    assert_eq!(valid.len(), 6);
    assert!(valid[5] < 0.1, "{valid:?}");
    // 100 samples in batches of 16 are 7 steps; one line for the start and for each step, epoch and validation
    assert_eq!(lines.len(), 1 + 6 * (7 + 1 + 1));
    let text = std::fs::read_to_string(dir.log()).unwrap();
    assert!(text.contains("\"lr\":0.2") && !text.contains("\"rate\""), "{text}");
    let page = std::fs::read_to_string(dir.report()).unwrap();
    assert!(page.contains("<polyline") && page.contains("prefers-color-scheme: dark") && !page.contains("NaN"));
    let weights = crate::formats::weights::open(&dir.weights()).unwrap();
    assert_eq!(*weights.get("fc.weight").unwrap().to_f32(), toy.params[0].values[..]);
    assert_eq!(weights.len(), 3);
}

/// A run that is stopped after any step, also within an epoch, and resumed gives bit-identical results.
#[test]
fn a_resumed_run_ends_with_the_same_bits() {
    let (_keep, whole) = folder();
    train(&whole, &recipe(), None, &mut Toy::new()).unwrap();
    let weights = std::fs::read(whole.weights()).unwrap();
    for stop in [1, 3, 7, 8, 20, 41] {
        let (_keep, dir) = folder();
        assert_eq!(train(&dir, &recipe(), Some(stop), &mut Toy::new()).unwrap(), End::Stopped);
        assert!(!dir.weights().exists());
        assert_eq!(train(&dir, &recipe(), None, &mut Toy::new()).unwrap(), End::Finished);
        assert_eq!(std::fs::read(dir.weights()).unwrap(), weights, "stopped after {stop}");
        let strip = |dir: &RunDir| {
            let lines = super::log::read(&dir.log()).unwrap();
            lines
                .into_iter()
                .map(|l| format!("{l:?}").split("images_per_s").next().unwrap().split("seconds").next().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(strip(&dir), strip(&whole));
    }
}

/// After a kill between two checkpoints, the steps after the last checkpoint are dropped from the log and run again. Logs in former words are read.
#[test]
fn steps_after_the_last_checkpoint_are_run_again() {
    let (_keep, whole) = folder();
    train(&whole, &recipe(), None, &mut Toy::new()).unwrap();
    let (_keep, dir) = folder();
    train(&dir, &recipe(), Some(10), &mut Toy::new()).unwrap();
    let line = "{\"event\":\"step\",\"step\":11,\"epoch\":2,\"loss\":9.0,\"error\":1.0,\"rate\":0.1,\"images_per_s\":1.0}\n{\"event\":\"st";
    let log = std::fs::read_to_string(dir.log()).unwrap() + line;
    std::fs::write(dir.log(), log).unwrap();
    train(&dir, &recipe(), None, &mut Toy::new()).unwrap();
    assert_eq!(std::fs::read(dir.weights()).unwrap(), std::fs::read(whole.weights()).unwrap());
    let lines = super::log::read(&dir.log()).unwrap();
    assert_eq!(lines.len(), super::log::read(&whole.log()).unwrap().len());
    // resuming a finished run changes nothing
    assert_eq!(train(&dir, &recipe(), None, &mut Toy::new()).unwrap(), End::Finished);
    assert_eq!(std::fs::read(dir.weights()).unwrap(), std::fs::read(whole.weights()).unwrap());
}

#[test]
fn accumulated_batches_equal_one_large_batch() {
    let weights = |batch, accumulate| {
        let (_keep, dir) = folder();
        let mut toy = Toy::new();
        train(&dir, &Recipe { batch, accumulate, length: Count::Steps(9), ..recipe() }, None, &mut toy).unwrap();
        toy.params[0].values.clone()
    };
    // 100 samples in groups of 24; the last group has 4
    let (one, three) = (weights(24, 1), weights(8, 3));
    assert!(one.iter().zip(&three).all(|(a, b)| (a - b).abs() < 1e-5), "{one:?} {three:?}");
}

#[test]
fn a_loss_that_is_not_finite_ends_the_run_and_keeps_the_checkpoint() {
    let (_keep, dir) = folder();
    let mut toy = Toy { bad: Some(9), ..Toy::new() };
    let error = train(&dir, &recipe(), None, &mut toy).unwrap_err().to_string();
    assert!(error.contains("step 10") && error.contains("`layer1.0.conv1`") && error.contains("lr=0.02"), "{error}");
    assert_eq!(super::checkpoint::state(&dir.checkpoint()).unwrap().step, 7);
}

#[test]
fn an_invalid_recipe_is_an_error_before_the_first_step() {
    for wrong in [
        Recipe { batch: 0, ..recipe() },
        Recipe { length: Count::Steps(0), ..recipe() },
        Recipe { accumulate: 0, ..recipe() },
        Recipe { optimizer: Sgd { lr: f64::NAN, ..Sgd::default() }, ..recipe() },
    ] {
        let (_keep, dir) = folder();
        let error = train(&dir, &wrong, None, &mut Toy::new()).unwrap_err();
        assert!(matches!(error, TrainError::Recipe(_)), "{error}");
        assert!(!dir.checkpoint().exists());
    }
}

#[test]
fn other_networks_and_damaged_checkpoints_cannot_be_resumed() {
    let (_keep, dir) = folder();
    train(&dir, &recipe(), Some(3), &mut Toy::new()).unwrap();
    let whole = std::fs::read(dir.checkpoint()).unwrap();
    for len in [0, 7, 40, whole.len() / 2, whole.len() - 1] {
        std::fs::write(dir.checkpoint(), &whole[..len]).unwrap();
        assert!(train(&dir, &recipe(), None, &mut Toy::new()).is_err(), "cut to {len}");
    }
    std::fs::write(dir.checkpoint(), &whole).unwrap();
    let mut other = Toy::new();
    other.params[1].name = "head.bias".into();
    let error = train(&dir, &recipe(), None, &mut other).unwrap_err().to_string();
    assert!(error.contains("head.bias"), "{error}");
}
