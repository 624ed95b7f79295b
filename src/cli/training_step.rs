//! A training step on random input, for the commands that measure one.

use std::time::{Duration, Instant};

use ndarray::{Array4, Ix4};

use super::failure::Failure;
use super::measure::{self, MeasureArgs};
use super::output::Out;
use super::{open, train as command};
use crate::driver::Weights;
use crate::ir::Recipe;
use crate::kernels::Isa;
use crate::plan::{Plan, Step};
use crate::train::{self, Batch, Engine, GraphEngine, Optimizer};

/// A learning rate so small that the network does not fit the random input.
const LEARNING_RATE: f64 = 1e-6;

/// Forward and backward pass and the optimizer, on random images.
pub(super) struct TrainingStep {
    pub network: String,
    pub isa: Isa,
    pub threads: usize,
    engine: GraphEngine,
    optimizer: Optimizer,
    images: Array4<f32>,
    labels: Vec<u32>,
    step: u64,
}

impl TrainingStep {
    /// That of a source, which may name no data.
    pub fn open(args: &MeasureArgs, out: &mut Out) -> Result<TrainingStep, Failure> {
        let from = args.model.resolved()?;
        if from.precision.precision.is_some() {
            return Err(Failure::Usage("training computes in f32: leave --precision out".into()));
        }
        let (front, checked) = command::checked(&from.file, &from.select, out)?;
        let recipe = Recipe { batch: args.batch as usize, ..checked.network.recipe.clone().unwrap_or_default() };
        let params = match &from.weights {
            Some(weights @ Weights::File(_)) => open::bind(&checked, &front, Some(weights), out)?,
            _ => train::init::initial_params(&checked, &recipe, None).map_err(Failure::input)?.params,
        };
        let threads = from.session_options().threads;
        let mut engine = train::engine(&checked, &params, &recipe, threads).map_err(Failure::input)?;
        let [input] = checked.graph().inputs() else {
            return Err(Failure::Input("a network with several inputs cannot be trained".into()));
        };
        let (_, images) = measure::noise(&checked, *input, recipe.batch)?;
        let images = images.into_dimensionality::<Ix4>().map_err(|_| Failure::Input("training needs images as input".into()))?;
        let classes = train::classes(&checked).unwrap_or(1).max(1);
        let labels = (0..recipe.batch).map(|i| (i % classes) as u32).collect();
        let optimizer = Optimizer::new(recipe.optimizer, threads, engine.parameters()).map_err(Failure::input)?;
        let (network, isa) = (checked.network.name.clone(), Isa::chosen().map_err(Failure::input)?);
        Ok(TrainingStep { network, isa, threads, engine, optimizer, images, labels, step: 0 })
    }

    /// Runs it once.
    pub fn run(&mut self) -> Result<(), Failure> {
        self.engine.clear();
        let batch = Batch { images: self.images.view(), labels: &self.labels };
        self.engine.gradients(&batch, 1.0, self.step).map_err(Failure::input)?;
        self.step += 1;
        self.optimizer.step(self.engine.parameters(), LEARNING_RATE);
        Ok(())
    }

    /// Runs it once, and reports the time of each step of its plan. Returns the time of the optimizer.
    pub fn run_timed(&mut self, observe: impl FnMut(&Step, Duration)) -> Result<Duration, Failure> {
        self.engine.clear();
        let batch = Batch { images: self.images.view(), labels: &self.labels };
        self.engine.gradients_timed(&batch, self.step, observe).map_err(Failure::input)?;
        self.step += 1;
        let start = Instant::now();
        self.optimizer.step(self.engine.parameters(), LEARNING_RATE);
        Ok(start.elapsed())
    }

    /// The number of parameters that the optimizer changes.
    pub fn parameters(&mut self) -> usize {
        self.engine.parameters().iter().map(|p| p.gradient.len()).sum()
    }

    /// The plan of the last run, and the bytes of its arena and of its packed weights.
    pub fn plan(&mut self) -> Result<(&Plan, [usize; 2]), Failure> {
        let session = self.engine.session();
        let bytes = [session.arena_bytes(), session.bytes().saturating_sub(session.arena_bytes())];
        let plan = session.plan().ok_or_else(|| Failure::Input("the step was not planned".to_owned()))?;
        Ok((plan, bytes))
    }
}
