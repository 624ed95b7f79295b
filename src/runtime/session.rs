//! A model in use by one thread: its thread pool, arena, plans, and the run loop.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ndarray::{ArrayD, ArrayViewD, CowArray, IxDyn};

use super::arena::{self, Memory};
use super::error::RunError;
use super::exec;
use super::finite::{self, NotFinite};
use super::inputs::{self, Matched};
use super::model::Model;
use super::outputs::Outputs;
use super::weights::BoundWeight;
use crate::kernels::{Aligned, Isa, Pool};
use crate::plan::{Plan, PlanOptions, Step};

/// Plans that a session keeps, one per batch size and input size.
const PLANS: usize = 8;

/// Session options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionOptions {
    /// Number of threads, including the calling one; at least 1.
    pub threads: usize,
    /// The instruction set. By default the one named by `RESNETC_ISA`, or the best available.
    pub isa: Option<Isa>,
}

impl Default for SessionOptions {
    /// As many threads as the process may use: CPU affinity and cgroup limits are respected.
    fn default() -> Self {
        SessionOptions { threads: std::thread::available_parallelism().map_or(1, usize::from), isa: None }
    }
}

/// A model in use by one thread. Runs with the same thread count give the same bits.
pub struct Session {
    model: Model,
    isa: Isa,
    pool: Pool,
    arena: Aligned,
    /// Most recently used first.
    plans: Vec<Planned>,
}

/// A plan with its weights.
struct Planned {
    key: Key,
    plan: Plan,
    /// The weights of all steps, in step order.
    weights: Vec<Arc<BoundWeight>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Key {
    batch: usize,
    size: [Option<usize>; 2],
}

impl Session {
    pub(super) fn new(model: Model, options: SessionOptions) -> Result<Session, RunError> {
        let isa = options.isa.map_or_else(Isa::chosen, Isa::available)?;
        Ok(Session { model, isa, pool: Pool::new(options.threads)?, arena: Aligned::default(), plans: Vec::new() })
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Number of threads, including the calling one.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// Runs the network on named inputs; the first axis of each is the batch. The plan for a new batch size or input size is
    /// kept.
    pub fn run(&mut self, inputs: &[(&str, ArrayViewD<'_, f32>)]) -> Result<Outputs, RunError> {
        self.run_with(inputs, |_, _, _, run| run())
    }

    /// Like [`Session::run`], and reports the time of each step.
    pub fn run_timed(
        &mut self,
        inputs: &[(&str, ArrayViewD<'_, f32>)],
        mut observe: impl FnMut(&Step, Duration),
    ) -> Result<Outputs, RunError> {
        self.run_with(inputs, |step, _, _, run| {
            let start = Instant::now();
            run();
            observe(step, start.elapsed());
        })
    }

    /// Runs the network on inputs that led to NaN or infinity, and finds the first non-finite values in plan order: in an input, a
    /// weight tensor, or the output of a layer that overflows. `None` if all values are finite.
    pub fn first_not_finite(&mut self, inputs: &[(&str, ArrayViewD<'_, f32>)]) -> Result<Option<NotFinite>, RunError> {
        for (name, x) in inputs {
            let samples = x.shape().first().copied().unwrap_or(1);
            if let Some(wrong) = finite::of_input(name, x.as_standard_layout().as_slice().unwrap_or(&[]), samples) {
                return Ok(Some(wrong));
            }
        }
        let model = self.model.clone();
        let params = model.params();
        let looked = |name: &str| finite::of_tensor(name, &params.get(name)?.to_f32());
        let mut first = None;
        self.run_with(inputs, |step, own, memory, run| {
            run();
            if first.is_none() && !finite::all_finite(memory.read(step.output)) {
                first = Some(finite::of_step(memory.plan(), step, own, looked));
            }
        })?;
        Ok(first)
    }

    /// Plans and allocates for a batch size before the first run; `size` is the height and width if the network leaves them free.
    pub fn prepare(&mut self, batch: usize, size: [Option<usize>; 2]) -> Result<(), RunError> {
        self.bring(Key { batch, size })
    }

    /// The instruction set of its kernels.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// The plan of the last run.
    pub fn last_plan(&self) -> Option<&Plan> {
        self.plans.first().map(|p| &p.plan)
    }

    /// Bytes of the arena.
    pub fn arena_bytes(&self) -> usize {
        size_of_val::<[f32]>(&self.arena)
    }

    fn run_with(
        &mut self,
        given: &[(&str, ArrayViewD<'_, f32>)],
        mut around: impl FnMut(&Step, &[&[f32]], &Memory<'_>, &mut dyn FnMut()),
    ) -> Result<Outputs, RunError> {
        let Matched { order, batch, size } = inputs::matched(self.model.optimized(), given)?;
        self.bring(Key { batch, size })?;
        let Some(Planned { plan, weights, .. }) = self.plans.first() else {
            return Err(RunError::Internal("no plan".to_owned()));
        };
        let inputs: Vec<CowArray<'_, f32, IxDyn>> = order.iter().map(|&i| given[i].1.as_standard_layout()).collect();
        let mut outputs: Vec<(String, ArrayD<f32>)> =
            plan.outputs.iter().map(|port| (port.name.clone(), ArrayD::zeros(port.shape.clone()))).collect();
        let memory = Memory::new(
            plan,
            &mut self.arena,
            inputs.iter().filter_map(|x| x.as_slice()).collect(),
            outputs.iter_mut().filter_map(|(_, y)| y.as_slice_mut()).collect(),
        );
        let memory = memory.ok_or_else(|| RunError::Internal("a buffer is not as long as planned".to_owned()))?;
        let pool = &self.pool;
        let weights: Vec<&[f32]> = weights.iter().map(|w| w.values()).collect();
        let mut weights = &weights[..];
        for step in &plan.steps {
            let (own, rest) = weights.split_at(step.weights.len());
            weights = rest;
            let done = catch_unwind(AssertUnwindSafe(|| around(step, own, &memory, &mut || exec::run(step, own, &memory, pool))));
            if done.is_err() {
                return Err(RunError::Panicked { step: step.name.clone() });
            }
        }
        Ok(Outputs::new(outputs))
    }

    /// Moves the plan for `key` to the front, planning if needed, and grows the arena to its size.
    fn bring(&mut self, key: Key) -> Result<(), RunError> {
        if let Some(index) = self.plans.iter().position(|p| p.key == key) {
            self.plans[..=index].rotate_right(1);
            return Ok(());
        }
        let options = PlanOptions::new(key.batch, self.pool.threads(), self.isa);
        let plan = self.model.plan(&options, key.size)?;
        arena::verify(&plan)?;
        let bound = self.model.bind(&plan)?;
        let weights = plan.steps.iter().flat_map(|step| &step.weights).map(|id| Arc::clone(&bound[id.0])).collect();
        if self.arena.len() < plan.arena {
            // free the old arena first: both might not fit
            self.arena = Aligned::default();
            let memory = || RunError::Memory { bytes: plan.arena.saturating_mul(size_of::<f32>()) };
            self.arena = Aligned::zeroed(plan.arena).map_err(|_| memory())?;
        }
        self.plans.truncate(PLANS - 1);
        self.plans.insert(0, Planned { key, plan, weights });
        Ok(())
    }
}
