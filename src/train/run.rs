//! The training loop: epochs of steps, validation, checkpoints, and the log.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::checkpoint::{self, Best, State};
use super::log::{Line, Log};
use super::schedule::LrSchedule;
use super::sgd::{self, Optimizer};
use super::{BatchStats, Engine, Feed, TrainError, changes, report, sanity};
use crate::base::file::remove_leftovers;
use crate::ir::{Count, Recipe, Schedule};
use crate::runtime::{NotFinite, of_tensor};

/// A run directory and its files.
#[derive(Clone, Debug)]
pub struct RunDir {
    path: PathBuf,
}

impl RunDir {
    /// The run directory at a path. Creates nothing.
    pub fn new(path: impl Into<PathBuf>) -> RunDir {
        RunDir { path: path.into() }
    }

    /// The path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The log: a line per step, epoch and validation.
    pub fn log(&self) -> PathBuf {
        self.path.join("train.jsonl")
    }

    /// Everything needed to resume.
    pub fn checkpoint(&self) -> PathBuf {
        self.path.join("checkpoint.safetensors")
    }

    /// The final parameters.
    pub fn weights(&self) -> PathBuf {
        self.path.join("weights.safetensors")
    }

    /// The parameters of the best validation, if there was one.
    pub fn best(&self) -> PathBuf {
        self.path.join("best.safetensors")
    }

    /// The report with the curves.
    pub fn report(&self) -> PathBuf {
        self.path.join("report.html")
    }

    /// The lock file, locked by the process that writes to the directory.
    pub fn lock(&self) -> PathBuf {
        self.path.join(".lock")
    }

    /// A description of the run: the network and its data.
    pub fn about(&self) -> PathBuf {
        self.path.join("run.json")
    }
}

/// An event that an observer is notified of.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A line is written to the log.
    Logged(&'a Line),
    /// A checkpoint was written.
    Checkpoint,
    /// A message for the user.
    Notice(&'a str),
}

/// The reply of an observer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Continue.
    Continue,
    /// Write a checkpoint and stop.
    Stop,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The last step is done.
    Finished,
    /// An observer stopped it.
    Stopped,
}

/// The parts of a run.
pub struct Run<'a> {
    /// Computes gradients and owns the parameters.
    pub engine: &'a mut dyn Engine,
    /// The training data.
    pub train: &'a mut dyn Feed,
    /// The validation data.
    pub valid: Option<&'a mut dyn Feed>,
    /// The network's name, for the log.
    pub network: &'a str,
    /// The number of classes.
    pub classes: usize,
    /// The run directory.
    pub dir: &'a RunDir,
    /// Threads of the optimizer.
    pub threads: usize,
}

impl Run<'_> {
    /// Trains from the first step.
    pub fn begin(self, recipe: &Recipe, observe: &mut dyn FnMut(Event<'_>) -> Flow) -> Result<End, TrainError> {
        check(recipe)?;
        if let Some(cause) = first_invalid(self.engine) {
            return Err(TrainError::Start { cause });
        }
        let state = State::new(recipe.clone(), self.train.samples());
        let optimizer = Optimizer::new(recipe.optimizer, self.threads, self.engine.parameters())?;
        // written before the first step, so that a full disk is detected at once and an interrupted first epoch can be resumed
        checkpoint::write(&self.dir.checkpoint(), self.engine, &optimizer, &state)?;
        // files of an earlier run are discarded
        for path in [self.dir.log(), self.dir.best()].iter().filter(|path| path.exists()) {
            std::fs::remove_file(path).map_err(|source| TrainError::File {
                path: path.clone(),
                what: "cannot replace a file of an earlier run",
                source,
            })?;
        }
        let mut log = Log::continue_after(&self.dir.log(), 0)?;
        let first = self.first_line(recipe);
        log.write(first.clone())?;
        observe(Event::Logged(&first));
        RunLoop { run: self, state, optimizer, log, started: Instant::now(), observe }.run_all()
    }

    /// Checks that the run can go on with another recipe.
    pub fn check_change(&self, other: &Recipe) -> Result<(), TrainError> {
        let state = checkpoint::state(&self.dir.checkpoint())?;
        changes::check(&state.recipe, other)?;
        changes::goes_on(state.step, LrSchedule::new(other, self.epoch_steps(other)).total())
    }

    /// Resumes from the checkpoint in the run directory, with another recipe if one is given.
    pub fn resume(self, other: Option<&Recipe>, observe: &mut dyn FnMut(Event<'_>) -> Flow) -> Result<End, TrainError> {
        let path = self.dir.checkpoint();
        let mut state = checkpoint::state(&path)?;
        if let Some(other) = other {
            self.check_change(other)?;
            state.recipe = other.clone();
        }
        check(&state.recipe)?;
        // temporary files of a killed run
        remove_leftovers(self.dir.path()).map_err(|source| TrainError::File {
            path: self.dir.path().to_owned(),
            what: "cannot remove temporary files",
            source,
        })?;
        if state.samples != self.train.samples() {
            return Err(TrainError::Recipe(format!(
                "the run started with {} samples, but there are {} now: the data has changed",
                state.samples,
                self.train.samples()
            )));
        }
        let mut optimizer = Optimizer::new(state.recipe.optimizer, self.threads, self.engine.parameters())?;
        let first = self.first_line(&state.recipe);
        checkpoint::restore(&path, self.engine, &mut optimizer)?;
        let mut log = Log::continue_after(&self.dir.log(), state.step)?;
        if other.is_some() {
            // from here on, the run resumes with this recipe
            checkpoint::write(&path, self.engine, &optimizer, &state)?;
            log.begin_with(first.clone())?;
        }
        // a run that was killed after its first checkpoint may not have written any lines
        if log.lines().is_empty() {
            log.write(first.clone())?;
        }
        observe(Event::Logged(&first));
        RunLoop { run: self, state, optimizer, log, started: Instant::now(), observe }.run_all()
    }

    fn first_line(&self, recipe: &Recipe) -> Line {
        let epoch_steps = self.epoch_steps(recipe);
        Line::Start {
            network: self.network.to_owned(),
            samples: self.train.samples(),
            valid_samples: self.valid.as_ref().map_or(0, |v| v.samples()),
            epoch_steps,
            total_steps: LrSchedule::new(recipe, epoch_steps).total(),
        }
    }

    /// Steps per epoch.
    fn epoch_steps(&self, recipe: &Recipe) -> u64 {
        self.train.samples().div_ceil(recipe.batch.saturating_mul(recipe.accumulate).max(1)) as u64
    }
}

/// The first parameter or running statistic with an invalid value: not finite, or a negative variance.
fn first_invalid(engine: &mut dyn Engine) -> Option<NotFinite> {
    let invalid = engine.parameters().iter().find_map(|p| of_tensor(&p.name, &p.values));
    invalid.or_else(|| engine.running_stats().iter().find_map(|s| of_tensor(&s.name, &s.values)))
}

/// Checks a recipe that may not come from a source file, which is checked when it is compiled.
fn check(recipe: &Recipe) -> Result<(), TrainError> {
    let wrong = |what: &str| Err(TrainError::Recipe(what.to_owned()));
    let positive = |x: f64| x.is_finite() && x > 0.0;
    match recipe {
        Recipe { batch: 0, .. } => wrong("`batch` must be at least 1"),
        Recipe { accumulate: 0, .. } => wrong("`accumulate` must be at least 1"),
        Recipe { length, .. } if length.number() == 0 => wrong("training has 0 steps"),
        Recipe { optimizer, .. } if !positive(optimizer.lr) => wrong("the learning rate must be above 0"),
        _ => Ok(()),
    }
}

/// A run and its mutable state.
struct RunLoop<'a, 'o> {
    run: Run<'a>,
    state: State,
    optimizer: Optimizer,
    log: Log,
    started: Instant,
    observe: &'o mut dyn FnMut(Event<'_>) -> Flow,
}

impl RunLoop<'_, '_> {
    fn run_all(mut self) -> Result<End, TrainError> {
        let recipe = self.state.recipe.clone();
        let epoch_steps = self.run.epoch_steps(&recipe);
        let schedule = LrSchedule::new(&recipe, epoch_steps);
        let mut sanity = sanity::Watch::new(self.run.classes);
        while self.state.step < schedule.total() {
            self.run.train.start(self.state.epoch, self.state.position.saturating_mul(recipe.accumulate as u64))?;
            let (mut stop, before) = (Flow::Continue, self.state.step);
            while self.state.step < schedule.total() && stop == Flow::Continue {
                let Some((stats, skipped, lr, speed)) = self.step(&recipe, &schedule)? else {
                    // no remaining sample of the epoch could be read
                    self.state.position = epoch_steps;
                    break;
                };
                let line = Line::Step {
                    step: self.state.step,
                    epoch: self.state.epoch + 1,
                    loss: stats.loss(),
                    error: stats.error(),
                    lr,
                    images_per_s: (speed * 10.0).round() / 10.0,
                    skipped,
                };
                stop = self.log_line(line)?;
                if let Some(text) = sanity.step(stats.loss(), lr) {
                    (self.observe)(Event::Notice(&text));
                }
                if self.state.position >= epoch_steps {
                    break;
                }
                if due(recipe.validate, self.state.step) {
                    self.validate(&schedule)?;
                }
                if due(recipe.checkpoint, self.state.step) {
                    self.checkpoint()?;
                }
            }
            if self.state.position >= epoch_steps {
                self.epoch(&recipe, &schedule)?;
            }
            if stop == Flow::Stop && self.state.step < schedule.total() {
                self.checkpoint()?;
                return Ok(End::Stopped);
            }
            if self.state.step == before {
                return Err(TrainError::Recipe("no sample could be read".to_owned()));
            }
        }
        if recipe.validate.is_some() && self.state.validated != Some(self.state.step) {
            self.validate(&schedule)?;
        }
        self.check_parameters()?;
        checkpoint::write_weights(&self.run.dir.weights(), self.run.engine)?;
        self.checkpoint()?;
        self.check_validation()?;
        Ok(End::Finished)
    }

    /// Runs one optimizer step; `None` if the epoch has no more samples. Returns the batch statistics, skipped samples, learning rate, and samples
    /// per second.
    fn step(&mut self, recipe: &Recipe, schedule: &LrSchedule<'_>) -> Result<Option<(BatchStats, usize, f64, f64)>, TrainError> {
        let start = Instant::now();
        let lr = schedule.at(self.state.step, &self.state.plateau);
        let group = recipe.batch.saturating_mul(recipe.accumulate);
        let before = usize::try_from(self.state.position).unwrap_or(usize::MAX).saturating_mul(group);
        // the last batch of a group, and the last group of an epoch, may be smaller
        let planned = self.run.train.samples().saturating_sub(before).min(group).max(1);
        let (mut stats, mut skipped) = (BatchStats::default(), 0);
        self.run.engine.clear();
        for k in 0..recipe.accumulate {
            let Some(loaded) = self.run.train.next()? else { break };
            skipped += loaded.skipped.len();
            for reason in &loaded.skipped {
                (self.observe)(Event::Notice(&format!("skipped: {reason}")));
            }
            if loaded.labels.is_empty() {
                continue;
            }
            let of_batch = planned.saturating_sub(k * recipe.batch).min(recipe.batch);
            let scale = of_batch as f32 / planned as f32;
            let batch = loaded.batch();
            let batch_stats = self.run.engine.gradients(&batch, scale, self.state.step)?;
            if !batch_stats.loss_sum.is_finite() {
                let cause = self.run.engine.first_not_finite(&batch, self.state.step);
                let (step, loss, lr) = (self.state.step + 1, batch_stats.loss(), recipe.optimizer.lr);
                return Err(TrainError::NotFinite { step, loss, cause, lr });
            }
            stats.add(batch_stats);
        }
        if stats.count == 0 {
            return Ok(None);
        }
        let params = self.run.engine.parameters();
        if let Some(max_norm) = recipe.clip_grad_norm {
            sgd::clip_grad_norm(params, max_norm);
        }
        self.optimizer.step(params, lr);
        self.state.step += 1;
        self.state.position += 1;
        self.state.skipped += skipped as u64;
        let mut sums = self.state.sums();
        sums.add(stats);
        self.state.set_sums(sums);
        Ok(Some((stats, skipped, lr, stats.count as f64 / start.elapsed().as_secs_f64().max(1e-9))))
    }

    fn epoch(&mut self, recipe: &Recipe, schedule: &LrSchedule<'_>) -> Result<(), TrainError> {
        let sums = self.state.sums();
        self.state.epoch += 1;
        self.state.position = 0;
        self.state.set_sums(BatchStats::default());
        let (epoch, step) = (self.state.epoch, self.state.step);
        let seconds = (self.seconds() * 10.0).round() / 10.0;
        self.log_line(Line::Epoch { epoch, step, loss: sums.loss(), error: sums.error(), seconds })?;
        if due_epoch(recipe.validate, epoch) || due(recipe.validate, step) {
            self.validate(schedule)?;
        }
        if self.run.valid.is_none() && matches!(recipe.schedule, Schedule::Plateau { .. }) {
            schedule.record(sums.loss(), &mut self.state.plateau);
        }
        if due_epoch(recipe.checkpoint, epoch) || due(recipe.checkpoint, step) {
            self.checkpoint()?;
        }
        Ok(())
    }

    fn validate(&mut self, schedule: &LrSchedule<'_>) -> Result<(), TrainError> {
        let Some(valid) = &mut self.run.valid else { return Ok(()) };
        let mut cause = None;
        let stats = evaluate_with_cause(self.run.engine, &mut **valid, &mut |_| {}, &mut cause)?;
        let (step, loss) = (self.state.step, stats.loss());
        self.state.validated = Some(step);
        schedule.record(stats.error(), &mut self.state.plateau);
        let epoch = self.state.epoch + u64::from(self.state.position > 0);
        self.log_line(Line::Valid { epoch, step, loss, error: stats.error() })?;
        if loss.is_finite() {
            return self.keep_if_best(Best { step, error: stats.error(), loss });
        }
        match cause {
            // invalid data and parameters do not recover
            cause @ Some(NotFinite::Input { .. } | NotFinite::Weight { .. }) => Err(TrainError::Validation { step, loss, cause }),
            // running statistics may recover in the next steps; after the last step, this is an error
            cause @ (Some(NotFinite::Layer { .. }) | None) => {
                let error = TrainError::Validation { step, loss, cause };
                (self.observe)(Event::Notice(&error.to_string()));
                Ok(())
            }
        }
    }

    /// Writes the parameters if no earlier validation was as good.
    fn keep_if_best(&mut self, validation: Best) -> Result<(), TrainError> {
        if self.state.best.is_none_or(|best| best.is_worse_than(validation.error, validation.loss)) {
            checkpoint::write_weights(&self.run.dir.best(), self.run.engine)?;
            self.state.best = Some(validation);
        }
        Ok(())
    }

    /// Fails if the loss of the last validation is not finite.
    fn check_validation(&self) -> Result<(), TrainError> {
        let last = self.log.lines().iter().rev().find_map(|line| match line {
            Line::Valid { step, loss, .. } => Some((*step, *loss)),
            Line::Start { .. } | Line::Step { .. } | Line::Epoch { .. } => None,
        });
        match last {
            Some((step, loss)) if !loss.is_finite() => Err(TrainError::Validation { step, loss, cause: None }),
            Some(_) | None => Ok(()),
        }
    }

    /// Checks that parameters and running statistics are finite: the loss of a step is computed before the step updates them.
    fn check_parameters(&mut self) -> Result<(), TrainError> {
        let invalid = first_invalid(self.run.engine);
        let (step, lr) = (self.state.step, self.state.recipe.optimizer.lr);
        invalid.map_or(Ok(()), |cause| Err(TrainError::Diverged { step, cause, lr }))
    }

    fn log_line(&mut self, line: Line) -> Result<Flow, TrainError> {
        let flow = (self.observe)(Event::Logged(&line));
        self.log.write(line)?;
        Ok(flow)
    }

    fn seconds(&self) -> f64 {
        self.state.seconds + self.started.elapsed().as_secs_f64()
    }

    /// Writes the log, the report and the checkpoint, in this order, so that the log contains all steps of the checkpoint.
    ///
    /// Parameters that are not finite never overwrite those of an earlier step.
    fn checkpoint(&mut self) -> Result<(), TrainError> {
        self.log.flush()?;
        self.check_parameters()?;
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

/// The loss and error over a whole dataset. `tick` is called with the number of samples of each batch.
pub fn evaluate(engine: &mut dyn Engine, feed: &mut dyn Feed, tick: &mut dyn FnMut(usize)) -> Result<BatchStats, TrainError> {
    evaluate_with_cause(engine, feed, tick, &mut None)
}

/// Like [`evaluate`], but also sets the cause for the first batch whose loss is not finite.
fn evaluate_with_cause(
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
            let batch_stats = engine.evaluate(&batch)?;
            if stats.loss_sum.is_finite() && !batch_stats.loss_sum.is_finite() {
                *cause = engine.first_not_finite_in_evaluation(&batch);
            }
            stats.add(batch_stats);
        }
        tick(loaded.labels.len());
    }
    Ok(stats)
}
