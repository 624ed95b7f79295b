//! The loop: epochs of steps, validation, checkpoints, and the log.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::checkpoint::{self, State};
use super::log::{Line, Log};
use super::schedule::Rates;
use super::sgd::{self, Optimizer};
use super::{BatchStats, Engine, Feed, TrainError, report, sanity};
use crate::base::file::remove_leftovers;
use crate::ir::{Count, Recipe, Schedule};
use crate::runtime::{NotFinite, of_tensor};

/// The files of a run.
#[derive(Clone, Debug)]
pub struct RunDir {
    path: PathBuf,
}

impl RunDir {
    /// A folder that is a run's.
    pub fn new(path: impl Into<PathBuf>) -> RunDir {
        RunDir { path: path.into() }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A line a step and an epoch.
    pub fn log(&self) -> PathBuf {
        self.path.join("train.jsonl")
    }

    /// All that is needed to go on.
    pub fn checkpoint(&self) -> PathBuf {
        self.path.join("checkpoint.safetensors")
    }

    /// The parameters in the end.
    pub fn weights(&self) -> PathBuf {
        self.path.join("weights.safetensors")
    }

    /// The curves.
    pub fn report(&self) -> PathBuf {
        self.path.join("report.html")
    }

    /// Held by the process that writes to the folder.
    pub fn lock(&self) -> PathBuf {
        self.path.join(".lock")
    }

    /// What was trained, on what.
    pub fn about(&self) -> PathBuf {
        self.path.join("run.json")
    }
}

/// What an observer is told.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A line was written to the log.
    Logged(&'a Line),
    /// A checkpoint was written.
    Checkpoint,
    /// Something worth a look.
    Notice(&'a str),
}

/// What an observer wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// To go on.
    Continue,
    /// To write a checkpoint and leave.
    Stop,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With its last step.
    Finished,
    /// As an observer wanted.
    Stopped,
}

/// What a run is made of.
pub struct Run<'a> {
    /// Computes gradients, and holds the parameters.
    pub engine: &'a mut dyn Engine,
    /// The training data.
    pub train: &'a mut dyn Feed,
    /// The validation data.
    pub valid: Option<&'a mut dyn Feed>,
    /// The network's name, for the log.
    pub network: &'a str,
    /// The network's classes.
    pub classes: usize,
    /// Where all is written.
    pub dir: &'a RunDir,
    /// Threads of the optimizer.
    pub threads: usize,
}

impl Run<'_> {
    /// Trains from the beginning.
    pub fn begin(self, recipe: &Recipe, observe: &mut dyn FnMut(Event<'_>) -> Flow) -> Result<End, TrainError> {
        hold(recipe)?;
        if let Some(cause) = first_bad(self.engine) {
            return Err(TrainError::Start { cause });
        }
        let state = State::new(recipe.clone(), self.train.samples());
        let optimizer = Optimizer::new(recipe.optimizer, self.threads, self.engine.parameters())?;
        // before the first step: a full disk is known at once, and a run that is cut off in its first epoch can go on
        checkpoint::write(&self.dir.checkpoint(), self.engine, &optimizer, &state)?;
        // a log of an earlier run is none of this one's
        let path = self.dir.log();
        if path.exists() {
            std::fs::remove_file(&path).map_err(|source| TrainError::File {
                path: path.clone(),
                what: "cannot replace the log",
                source,
            })?;
        }
        let mut log = Log::behind(&path, 0)?;
        log.write(self.first_line(recipe))?;
        Looping { run: self, state, optimizer, log, started: Instant::now(), observe }.all()
    }

    /// Goes on from the run directory's checkpoint.
    pub fn resume(self, observe: &mut dyn FnMut(Event<'_>) -> Flow) -> Result<End, TrainError> {
        let path = self.dir.checkpoint();
        let state = checkpoint::state(&path)?;
        hold(&state.recipe)?;
        // what the run was writing when it was killed
        remove_leftovers(self.dir.path()).map_err(|source| TrainError::File {
            path: self.dir.path().to_owned(),
            what: "cannot remove temporary files",
            source,
        })?;
        if state.samples != self.train.samples() {
            return Err(TrainError::Recipe(format!(
                "the run was begun on {} samples, and there are {}: the data have changed",
                state.samples,
                self.train.samples()
            )));
        }
        let mut optimizer = Optimizer::new(state.recipe.optimizer, self.threads, self.engine.parameters())?;
        checkpoint::restore(&path, self.engine, &mut optimizer)?;
        let mut log = Log::behind(&self.dir.log(), state.step)?;
        // a run that was killed behind its first checkpoint may have written no line yet
        if log.lines().is_empty() {
            log.write(self.first_line(&state.recipe))?;
        }
        Looping { run: self, state, optimizer, log, started: Instant::now(), observe }.all()
    }

    fn first_line(&self, recipe: &Recipe) -> Line {
        let epoch_steps = self.epoch_steps(recipe);
        Line::Start {
            network: self.network.to_owned(),
            samples: self.train.samples(),
            valid_samples: self.valid.as_ref().map_or(0, |v| v.samples()),
            epoch_steps,
            total_steps: Rates::new(recipe, epoch_steps).total(),
        }
    }

    /// Steps in an epoch.
    fn epoch_steps(&self, recipe: &Recipe) -> u64 {
        self.train.samples().div_ceil(recipe.batch.saturating_mul(recipe.accumulate).max(1)) as u64
    }
}

/// The first parameter or running statistic that no network can have: not finite, or a negative variance.
fn first_bad(engine: &mut dyn Engine) -> Option<NotFinite> {
    let bad = engine.parameters().iter().find_map(|p| of_tensor(&p.name, &p.values));
    bad.or_else(|| engine.state().iter().find_map(|s| of_tensor(&s.name, &s.values)))
}

/// Holds what a recipe that was not read from a source could break.
fn hold(recipe: &Recipe) -> Result<(), TrainError> {
    let wrong = |what: &str| Err(TrainError::Recipe(what.to_owned()));
    let positive = |x: f64| x.is_finite() && x > 0.0;
    match recipe {
        Recipe { batch: 0, .. } => wrong("a batch of 0 samples trains nothing"),
        Recipe { accumulate: 0, .. } => wrong("0 batches make no step"),
        Recipe { length, .. } if length.number() == 0 => wrong("training has 0 steps"),
        Recipe { optimizer, .. } if !positive(optimizer.lr) => wrong("the learning rate must be above 0"),
        _ => Ok(()),
    }
}

/// A run with all that changes.
struct Looping<'a, 'o> {
    run: Run<'a>,
    state: State,
    optimizer: Optimizer,
    log: Log,
    started: Instant,
    observe: &'o mut dyn FnMut(Event<'_>) -> Flow,
}

impl Looping<'_, '_> {
    fn all(mut self) -> Result<End, TrainError> {
        let recipe = self.state.recipe.clone();
        let epoch_steps = self.run.epoch_steps(&recipe);
        let rates = Rates::new(&recipe, epoch_steps);
        let mut sanity = sanity::Watch::new(self.run.classes);
        while self.state.step < rates.total() {
            self.run.train.start(self.state.epoch, self.state.position.saturating_mul(recipe.accumulate as u64))?;
            let (mut stop, before) = (Flow::Continue, self.state.step);
            while self.state.step < rates.total() && stop == Flow::Continue {
                let Some((stats, broken, rate, speed)) = self.step(&recipe, &rates)? else {
                    // all that was left of the epoch could not be read
                    self.state.position = epoch_steps;
                    break;
                };
                let line = Line::Step {
                    step: self.state.step,
                    epoch: self.state.epoch + 1,
                    loss: stats.loss(),
                    error: stats.error(),
                    rate,
                    images_per_s: (speed * 10.0).round() / 10.0,
                    broken,
                };
                stop = self.say(line)?;
                if let Some(text) = sanity.step(stats.loss(), rate) {
                    (self.observe)(Event::Notice(&text));
                }
                if self.state.position >= epoch_steps {
                    break;
                }
                if due(recipe.validate, self.state.step) {
                    self.validate(&rates)?;
                }
                if due(recipe.checkpoint, self.state.step) {
                    self.checkpoint()?;
                }
            }
            if self.state.position >= epoch_steps {
                self.epoch(&recipe, &rates)?;
            }
            if stop == Flow::Stop && self.state.step < rates.total() {
                self.checkpoint()?;
                return Ok(End::Stopped);
            }
            if self.state.step == before {
                return Err(TrainError::Recipe("no sample could be read".to_owned()));
            }
        }
        if recipe.validate.is_some() && self.state.validated != Some(self.state.step) {
            self.validate(&rates)?;
        }
        self.hold_parameters()?;
        checkpoint::write_weights(&self.run.dir.weights(), self.run.engine)?;
        self.checkpoint()?;
        self.hold_validation()?;
        Ok(End::Finished)
    }

    /// One step of the optimizer. `None` where the epoch has no more samples.
    fn step(&mut self, recipe: &Recipe, rates: &Rates<'_>) -> Result<Option<(BatchStats, usize, f64, f64)>, TrainError> {
        let start = Instant::now();
        let rate = rates.at(self.state.step, &self.state.plateau);
        let group = recipe.batch.saturating_mul(recipe.accumulate);
        let before = usize::try_from(self.state.position).unwrap_or(usize::MAX).saturating_mul(group);
        // the group's last batch may be smaller, and the epoch's last group
        let planned = self.run.train.samples().saturating_sub(before).min(group).max(1);
        let (mut stats, mut broken) = (BatchStats::default(), 0);
        self.run.engine.clear();
        for k in 0..recipe.accumulate {
            let Some(loaded) = self.run.train.next()? else { break };
            broken += loaded.broken.len();
            for name in &loaded.broken {
                (self.observe)(Event::Notice(&format!("left out: {name}")));
            }
            if loaded.labels.is_empty() {
                continue;
            }
            let of_batch = planned.saturating_sub(k * recipe.batch).min(recipe.batch);
            let scale = of_batch as f32 / planned as f32;
            let batch = loaded.batch();
            let of = self.run.engine.gradients(&batch, scale, self.state.step)?;
            if !of.loss_sum.is_finite() {
                let cause = self.run.engine.first_not_finite(&batch, self.state.step);
                let (step, loss, rate) = (self.state.step + 1, of.loss(), recipe.optimizer.lr);
                return Err(TrainError::NotFinite { step, loss, cause, rate });
            }
            stats.add(of);
        }
        if stats.count == 0 {
            return Ok(None);
        }
        let params = self.run.engine.parameters();
        if let Some(most) = recipe.clip_grad_norm {
            sgd::clip(params, most);
        }
        self.optimizer.step(params, rate);
        self.state.step += 1;
        self.state.position += 1;
        self.state.broken += broken as u64;
        let mut sums = self.state.sums();
        sums.add(stats);
        self.state.set_sums(sums);
        Ok(Some((stats, broken, rate, stats.count as f64 / start.elapsed().as_secs_f64().max(1e-9))))
    }

    fn epoch(&mut self, recipe: &Recipe, rates: &Rates<'_>) -> Result<(), TrainError> {
        let sums = self.state.sums();
        self.state.epoch += 1;
        self.state.position = 0;
        self.state.set_sums(BatchStats::default());
        let (epoch, step) = (self.state.epoch, self.state.step);
        let seconds = (self.seconds() * 10.0).round() / 10.0;
        self.say(Line::Epoch { epoch, step, loss: sums.loss(), error: sums.error(), seconds })?;
        if due_epoch(recipe.validate, epoch) || due(recipe.validate, step) {
            self.validate(rates)?;
        }
        if self.run.valid.is_none() && matches!(recipe.schedule, Schedule::Plateau { .. }) {
            rates.measured(sums.loss(), &mut self.state.plateau);
        }
        if due_epoch(recipe.checkpoint, epoch) || due(recipe.checkpoint, step) {
            self.checkpoint()?;
        }
        Ok(())
    }

    fn validate(&mut self, rates: &Rates<'_>) -> Result<(), TrainError> {
        let Some(valid) = &mut self.run.valid else { return Ok(()) };
        let mut cause = None;
        let stats = evaluate_and_look(self.run.engine, &mut **valid, &mut |_| {}, &mut cause)?;
        let (step, loss) = (self.state.step, stats.loss());
        self.state.validated = Some(step);
        rates.measured(stats.error(), &mut self.state.plateau);
        let epoch = self.state.epoch + u64::from(self.state.position > 0);
        self.say(Line::Valid { epoch, step, loss, error: stats.error() })?;
        if loss.is_finite() {
            return Ok(());
        }
        match cause {
            // neither data nor parameters get better by themselves
            cause @ Some(NotFinite::Input { .. } | NotFinite::Weight { .. }) => Err(TrainError::Validation { step, loss, cause }),
            // the next steps may bring running statistics to where they belong; in the end it is an error
            cause @ (Some(NotFinite::Layer { .. }) | None) => {
                let error = TrainError::Validation { step, loss, cause };
                (self.observe)(Event::Notice(&error.to_string()));
                Ok(())
            }
        }
    }

    /// The error of a run whose last validation gave no finite loss.
    fn hold_validation(&self) -> Result<(), TrainError> {
        let last = self.log.lines().iter().rev().find_map(|line| match line {
            Line::Valid { step, loss, .. } => Some((*step, *loss)),
            Line::Start { .. } | Line::Step { .. } | Line::Epoch { .. } => None,
        });
        match last {
            Some((step, loss)) if !loss.is_finite() => Err(TrainError::Validation { step, loss, cause: None }),
            Some(_) | None => Ok(()),
        }
    }

    /// Holds that the parameters and running statistics are finite numbers: a step may spoil them after its loss was measured.
    fn hold_parameters(&mut self) -> Result<(), TrainError> {
        let wrong = first_bad(self.run.engine);
        let (step, rate) = (self.state.step, self.state.recipe.optimizer.lr);
        wrong.map_or(Ok(()), |cause| Err(TrainError::Diverged { step, cause, rate }))
    }

    fn say(&mut self, line: Line) -> Result<Flow, TrainError> {
        let flow = (self.observe)(Event::Logged(&line));
        self.log.write(line)?;
        Ok(flow)
    }

    fn seconds(&self) -> f64 {
        self.state.seconds + self.started.elapsed().as_secs_f64()
    }

    /// The log and the report go first: what a checkpoint counts is written by then.
    ///
    /// Parameters that are no numbers are never written over those of an earlier step.
    fn checkpoint(&mut self) -> Result<(), TrainError> {
        self.log.flush()?;
        self.hold_parameters()?;
        self.state.seconds = self.seconds();
        self.started = Instant::now();
        let curves = [report::Curves::of(self.run.network, self.log.lines())];
        report::write(&self.run.dir.report(), &curves)?;
        checkpoint::write(&self.run.dir.checkpoint(), self.run.engine, &self.optimizer, &self.state)?;
        (self.observe)(Event::Checkpoint);
        Ok(())
    }
}

fn due(every: Option<Count>, step: u64) -> bool {
    matches!(every, Some(Count::Steps(n)) if n > 0 && step.is_multiple_of(n))
}

fn due_epoch(every: Option<Count>, epoch: u64) -> bool {
    matches!(every, Some(Count::Epochs(n)) if n > 0 && epoch.is_multiple_of(n))
}

/// The loss and the error over a whole dataset. `tick` is told the samples of each batch.
pub fn evaluate(engine: &mut dyn Engine, feed: &mut dyn Feed, tick: &mut dyn FnMut(usize)) -> Result<BatchStats, TrainError> {
    evaluate_and_look(engine, feed, tick, &mut None)
}

/// As [`evaluate`], and looks for the cause in the first batch whose loss is not finite.
fn evaluate_and_look(
    engine: &mut dyn Engine,
    feed: &mut dyn Feed,
    tick: &mut dyn FnMut(usize),
    cause: &mut Option<NotFinite>,
) -> Result<BatchStats, TrainError> {
    let mut stats = BatchStats::default();
    feed.start(0, 0)?;
    while let Some(loaded) = feed.next()? {
        if !loaded.labels.is_empty() {
            let batch = loaded.batch();
            let of = engine.evaluate(&batch)?;
            if stats.loss_sum.is_finite() && !of.loss_sum.is_finite() {
                *cause = engine.first_not_finite_evaluating(&batch);
            }
            stats.add(of);
        }
        tick(loaded.labels.len());
    }
    Ok(stats)
}
