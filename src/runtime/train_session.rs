//! Runs the graph of a training step, with parameters that change between steps.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::error::RunError;
use super::executor::{Executor, PendingStep, Planned, SessionOptions};
use super::finite::{self, NotFinite};
use super::train_weights::TrainWeights;
use crate::grad::TrainingStep;
use crate::kernels::{Isa, ThreadPool};
use crate::plan::{Plan, Settings, Step, plan};

/// Plans that are kept: one for full batches, one for the last batch of an epoch.
const PLANS: usize = 2;

/// A training step that can be run repeatedly, by one thread.
pub struct TrainSession {
    network: TrainingStep,
    /// Names and lengths of the parameters, in the order in which runs pass them.
    params: Vec<(String, usize)>,
    settings: Settings,
    /// There is a plan for each batch size.
    executor: Executor<usize, Bound>,
}

/// What a plan is bound to.
struct Bound {
    weights: TrainWeights,
    /// One buffer per output of the plan.
    outputs: Vec<Vec<f32>>,
}

/// The inputs of a training step.
#[derive(Clone, Copy, Debug)]
pub struct StepInputs<'a> {
    /// Number of samples.
    pub batch: usize,
    /// The graph's inputs in its order, each with values for the whole batch.
    pub inputs: &'a [&'a [f32]],
    /// The parameters' values, in the order of their names.
    pub params: &'a [&'a [f32]],
    /// The seed and the step number, from which dropout derives its mask.
    pub noise: [u64; 2],
}

impl TrainSession {
    /// For a training step, with parameters of these names and lengths.
    pub fn new(
        network: TrainingStep,
        params: Vec<(String, usize)>,
        settings: Settings,
        options: SessionOptions,
    ) -> Result<TrainSession, RunError> {
        Ok(TrainSession { network, params, settings, executor: Executor::new(options, PLANS)? })
    }

    /// The graph.
    pub fn network(&self) -> &TrainingStep {
        &self.network
    }

    /// The thread pool that runs it.
    pub fn pool(&self) -> &ThreadPool {
        self.executor.pool()
    }

    /// The instruction set of its kernels.
    pub fn isa(&self) -> Isa {
        self.executor.isa()
    }

    /// Runs a step.
    pub fn run(&mut self, inputs: &StepInputs<'_>) -> Result<(), RunError> {
        self.run_with(inputs, |pending| pending.run())
    }

    /// Like [`TrainSession::run`], and reports the time of each step of the plan.
    pub fn run_timed(&mut self, inputs: &StepInputs<'_>, mut observe: impl FnMut(&Step, Duration)) -> Result<(), RunError> {
        let mut spent = HashMap::new();
        self.run_with(inputs, |pending| pending.run_timed(&mut spent, &mut observe))
    }

    /// Runs a step whose loss was not finite, and finds the first non-finite values in plan order: in an input, a parameter, or the
    /// output of a layer that overflows. `None` if all values are finite.
    pub fn first_not_finite(&mut self, given: &StepInputs<'_>) -> Result<Option<NotFinite>, RunError> {
        let graph = self.network.graph();
        let names = graph.inputs().iter().map(|&id| &graph.node(id).name);
        if let Some(wrong) = names.zip(given.inputs).find_map(|(name, x)| finite::of_input(name, x, given.batch)) {
            return Ok(Some(wrong));
        }
        let names: Vec<String> = self.params.iter().map(|(name, _)| name.clone()).collect();
        let check = |name: &str| {
            let at = names.iter().position(|known| known == name)?;
            finite::of_tensor(name, given.params[at])
        };
        let mut first = None;
        self.run_with(given, |pending| match first {
            None => first = pending.run_checked(check),
            Some(_) => pending.run(),
        })?;
        Ok(first)
    }

    fn run_with(&mut self, given: &StepInputs<'_>, run: impl FnMut(&PendingStep<'_>)) -> Result<(), RunError> {
        let TrainSession { network, params, settings, executor } = self;
        if !given.params.iter().map(|p| p.len()).eq(params.iter().map(|(_, len)| *len)) {
            return Err(RunError::Internal("the parameters are not those of the session".to_owned()));
        }
        let (planned, workspace) = executor.prepare(
            given.batch,
            given.batch,
            |options| Ok(plan(network, options, settings)?),
            |plan| Bound::new(plan, params),
        )?;
        let Planned { plan, bound: Bound { weights, outputs }, .. } = planned;
        let packed = catch_unwind(AssertUnwindSafe(|| weights.pack(workspace.pool, given.params)));
        packed.map_err(|_| RunError::Panicked { step: "packing the weights".to_owned() })?;
        let inputs = given.inputs.iter().copied().map(bytemuck::cast_slice).collect();
        let outputs = outputs.iter_mut().map(|y| bytemuck::cast_slice_mut(y)).collect();
        let weight = |id| weights.values(id, given.params);
        workspace.run(plan, inputs, outputs, given.noise, weight, run)
    }

    /// An output of the last run. The caller may take its memory by swapping in a vector of the same length.
    pub fn output(&mut self, name: &str) -> Option<&mut Vec<f32>> {
        let Planned { plan, bound, .. } = self.executor.last_mut()?;
        let index = plan.outputs.iter().position(|port| port.name == name)?;
        bound.outputs.get_mut(index)
    }

    /// The plan of the last run.
    pub fn plan(&self) -> Option<&Plan> {
        self.executor.plans().first().map(|p| &p.plan)
    }

    /// Bytes of the arena.
    pub fn arena_bytes(&self) -> usize {
        self.executor.arena_bytes()
    }

    /// Bytes of the arena and of packed weights.
    pub fn bytes(&self) -> usize {
        self.executor.arena_bytes() + self.executor.plans().iter().map(|p| p.bound.weights.bytes()).sum::<usize>()
    }
}

impl Bound {
    fn new(plan: &Plan, params: &[(String, usize)]) -> Result<Bound, RunError> {
        let find = |name: &str| params.iter().position(|(n, _)| n == name).map(|at| (at, params[at].1));
        let weights = TrainWeights::new(plan, &find)?;
        let outputs = plan.outputs.iter().map(|port| vec![0.0; port.shape.iter().product()]).collect();
        Ok(Bound { weights, outputs })
    }
}
