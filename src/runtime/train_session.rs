//! Runs the graph of a training step, with parameters that change between steps.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::arena::{self, Memory};
use super::error::RunError;
use super::exec;
use super::finite::{self, NotFinite};
use super::session::SessionOptions;
use super::train_weights::TrainWeights;
use crate::grad::TrainingStep;
use crate::kernels::{Aligned, Isa, Pool};
use crate::plan::{Plan, PlanOptions, Settings, Step, plan};

/// Plans that are kept: one for full batches, one for the last batch of an epoch.
const PLANS: usize = 2;

/// A training step that can be run repeatedly, by one thread.
pub struct TrainSession {
    network: TrainingStep,
    /// Names and lengths of the parameters, in the order in which runs pass them.
    params: Vec<(String, usize)>,
    settings: Settings,
    isa: Isa,
    pool: Pool,
    arena: Aligned,
    /// Most recently used first.
    plans: Vec<Planned>,
}

struct Planned {
    plan: Plan,
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
        let isa = options.isa.map_or_else(Isa::chosen, Isa::available)?;
        let pool = Pool::new(options.threads)?;
        Ok(TrainSession { network, params, settings, isa, pool, arena: Aligned::default(), plans: Vec::new() })
    }

    /// The graph.
    pub fn network(&self) -> &TrainingStep {
        &self.network
    }

    /// The thread pool that runs it.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The instruction set of its kernels.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Runs a step.
    pub fn run(&mut self, inputs: &StepInputs<'_>) -> Result<(), RunError> {
        self.run_with(inputs, |_, run, _, _| run())
    }

    /// Like [`TrainSession::run`], and reports the time of each step of the plan.
    pub fn run_timed(&mut self, inputs: &StepInputs<'_>, mut observe: impl FnMut(&Step, Duration)) -> Result<(), RunError> {
        self.run_with(inputs, |step, run, _, _| {
            let start = Instant::now();
            run();
            observe(step, start.elapsed());
        })
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
        let looked = |name: &str| {
            let at = names.iter().position(|known| known == name)?;
            finite::of_tensor(name, given.params[at])
        };
        let mut first = None;
        self.run_with(given, |step, run, memory, own| {
            run();
            if first.is_none() && !finite::all_finite(memory.read(step.output)) {
                first = Some(finite::of_step(memory.plan(), step, own, looked));
            }
        })?;
        Ok(first)
    }

    fn run_with(
        &mut self,
        given: &StepInputs<'_>,
        mut around: impl FnMut(&Step, &mut dyn FnMut(), &Memory<'_>, &[&[f32]]),
    ) -> Result<(), RunError> {
        let fits = given.params.iter().map(|p| p.len()).eq(self.params.iter().map(|(_, len)| *len));
        if !fits {
            return Err(RunError::Internal("the parameters are not those of the session".to_owned()));
        }
        self.bring(given.batch)?;
        let Some(Planned { plan, weights, outputs }) = self.plans.first_mut() else {
            return Err(RunError::Internal("no plan".to_owned()));
        };
        let pool = &self.pool;
        let packed = catch_unwind(AssertUnwindSafe(|| weights.pack(pool, given.params)));
        packed.map_err(|_| RunError::Panicked { step: "packing the weights".to_owned() })?;
        let outputs = outputs.iter_mut().map(Vec::as_mut_slice).collect();
        let memory = Memory::new(plan, &mut self.arena, given.inputs.to_vec(), outputs);
        let mut memory = memory.ok_or_else(|| RunError::Internal("a buffer is not as long as planned".to_owned()))?;
        memory.noise = given.noise;
        let mut own: Vec<&[f32]> = Vec::new();
        for step in &plan.steps {
            own.clear();
            own.extend(step.weights.iter().map(|id| weights.values(id.0, given.params)));
            let mut run = || exec::run(step, &own, &memory, pool);
            if catch_unwind(AssertUnwindSafe(|| around(step, &mut run, &memory, &own))).is_err() {
                return Err(RunError::Panicked { step: step.name.clone() });
            }
        }
        Ok(())
    }

    /// An output of the last run. The caller may take its memory by swapping in a vector of the same length.
    pub fn output(&mut self, name: &str) -> Option<&mut Vec<f32>> {
        let Planned { plan, outputs, .. } = self.plans.first_mut()?;
        let index = plan.outputs.iter().position(|port| port.name == name)?;
        outputs.get_mut(index)
    }

    /// The plan of the last run.
    pub fn plan(&self) -> Option<&Plan> {
        self.plans.first().map(|p| &p.plan)
    }

    /// Bytes of the arena and of packed weights.
    pub fn bytes(&self) -> usize {
        size_of_val::<[f32]>(&self.arena) + self.plans.iter().map(|p| p.weights.bytes()).sum::<usize>()
    }

    /// Moves the plan for a batch size to the front, planning if needed, and grows the arena to its size.
    fn bring(&mut self, batch: usize) -> Result<(), RunError> {
        if let Some(index) = self.plans.iter().position(|p| p.plan.options.batch == batch) {
            self.plans[..=index].rotate_right(1);
            return Ok(());
        }
        let options = PlanOptions::new(batch, self.pool.threads(), self.isa);
        let plan = plan(&self.network, &options, &self.settings)?;
        arena::verify(&plan)?;
        let params = &self.params;
        let find = |name: &str| params.iter().position(|(n, _)| n == name).map(|at| (at, params[at].1));
        self.plans.truncate(PLANS - 1);
        let weights = TrainWeights::new(&plan, &find)?;
        if self.arena.len() < plan.arena {
            self.arena = Aligned::default();
            let memory = || RunError::Memory { bytes: plan.arena.saturating_mul(size_of::<f32>()) };
            self.arena = Aligned::zeroed(plan.arena).map_err(|_| memory())?;
        }
        let outputs = plan.outputs.iter().map(|port| vec![0.0; port.shape.iter().product()]).collect();
        self.plans.insert(0, Planned { plan, weights, outputs });
        Ok(())
    }
}
