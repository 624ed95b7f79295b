//! What inference and training sessions share: the thread pool, the arena, the plans of the last batch sizes, and the loop over a
//! plan's steps.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::arena::{self, Memory};
use super::error::RunError;
use super::exec;
use super::finite::{self, NotFinite};
use crate::ir::{Chunk, Slice};
use crate::kernels::{Aligned, Isa, ThreadPool};
use crate::plan::{Plan, PlanOptions, RowLoop, Step, WeightId};

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

/// Plans and runs steps. `K` tells plans apart, and `B` is what a plan is bound to: its weights, for example.
pub(super) struct Executor<K, B> {
    isa: Isa,
    pool: ThreadPool,
    arena: Aligned,
    /// Most recently used first.
    plans: Vec<Planned<K, B>>,
    /// The number of plans that are kept.
    capacity: usize,
}

/// A plan with what it is bound to.
pub(super) struct Planned<K, B> {
    key: K,
    pub plan: Plan,
    pub bound: B,
}

/// Where a plan runs.
pub(super) struct Workspace<'a> {
    pub pool: &'a ThreadPool,
    arena: &'a mut Aligned,
}

/// A step in the run loop, before it has run.
pub(super) struct PendingStep<'a> {
    pub step: &'a Step,
    /// The position of the step in its plan.
    index: usize,
    /// The rows to compute, in a loop over counted rows.
    chunk: Option<Chunk<'a>>,
    /// The values of the step's weights, in its order.
    weights: &'a [&'a [f32]],
    memory: &'a Memory<'a>,
    pool: &'a ThreadPool,
}

impl<K: PartialEq, B> Executor<K, B> {
    /// An executor that keeps up to `capacity` plans.
    pub fn new(options: SessionOptions, capacity: usize) -> Result<Executor<K, B>, RunError> {
        let isa = options.isa.map_or_else(Isa::chosen, Isa::available)?;
        Ok(Executor { isa, pool: ThreadPool::new(options.threads)?, arena: Aligned::default(), plans: Vec::new(), capacity })
    }

    /// The thread pool.
    pub fn pool(&self) -> &ThreadPool {
        &self.pool
    }

    /// The instruction set of the kernels.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// The plans that are kept, the last one used first.
    pub fn plans(&self) -> &[Planned<K, B>] {
        &self.plans
    }

    /// The last plan used, mutably.
    pub fn last_mut(&mut self) -> Option<&mut Planned<K, B>> {
        self.plans.first_mut()
    }

    /// Bytes of the arena.
    pub fn arena_bytes(&self) -> usize {
        size_of_val::<[f32]>(&self.arena)
    }

    /// The plan for `key`, and where to run it. Makes and binds the plan if it is not kept, and grows the arena to its size.
    pub fn prepare(
        &mut self,
        key: K,
        batch: usize,
        plan: impl FnOnce(&PlanOptions) -> Result<Plan, RunError>,
        bind: impl FnOnce(&Plan) -> Result<B, RunError>,
    ) -> Result<(&mut Planned<K, B>, Workspace<'_>), RunError> {
        match self.plans.iter().position(|p| p.key == key) {
            Some(index) => self.plans[..=index].rotate_right(1),
            None => {
                let plan = plan(&PlanOptions::new(batch, self.pool.threads(), self.isa))?;
                arena::verify(&plan)?;
                // free the oldest plan first: there might not be memory for one more
                self.plans.truncate(self.capacity - 1);
                let bound = bind(&plan)?;
                self.plans.insert(0, Planned { key, plan, bound });
            }
        }
        let planned = &mut self.plans[0];
        let floats = planned.plan.arena.div_ceil(size_of::<f32>());
        if self.arena.len() < floats {
            // free the old arena first: there might not be memory for both
            self.arena = Aligned::default();
            let memory = |_| RunError::Memory { bytes: floats.saturating_mul(size_of::<f32>()) };
            self.arena = Aligned::zeroed(floats).map_err(memory)?;
        }
        Ok((planned, Workspace { pool: &self.pool, arena: &mut self.arena }))
    }
}

impl Workspace<'_> {
    /// Runs a plan's steps in order. `weight` returns the values of a weight, `noise` is the seed and the step number of dropout's
    /// masks, and `run` runs each step. A panic in a step is returned as an error.
    pub fn run<'a>(
        self,
        plan: &'a Plan,
        inputs: Vec<&'a [u8]>,
        outputs: Vec<&'a mut [u8]>,
        noise: [u64; 2],
        weight: impl Fn(WeightId) -> &'a [f32],
        mut run: impl FnMut(&PendingStep<'_>),
    ) -> Result<(), RunError>
    where
        Self: 'a,
    {
        let Workspace { pool, arena } = self;
        let memory = Memory::new(plan, arena, inputs, outputs, noise);
        let memory = memory.ok_or_else(|| RunError::Internal("a buffer is not as long as planned".to_owned()))?;
        let mut weights: Vec<&[f32]> = Vec::new();
        let mut step = |index: usize, chunk: Option<Chunk<'_>>| {
            let step = &plan.steps[index];
            weights.clear();
            weights.extend(step.weights.iter().map(|&id| weight(id)));
            let pending = PendingStep { step, index, chunk, weights: &weights, memory: &memory, pool };
            catch_unwind(AssertUnwindSafe(|| run(&pending))).map_err(|_| RunError::Panicked { step: step.name.clone() })
        };
        let mut next = 0;
        for rows in &plan.loops {
            (next..rows.steps.start).try_for_each(|index| step(index, None))?;
            let counts = counts(rows, &memory)?;
            for chunk in chunks(&counts, rows.rows) {
                rows.steps.clone().try_for_each(|index| step(index, Some(chunk)))?;
            }
            next = rows.steps.end;
        }
        (next..plan.steps.len()).try_for_each(|index| step(index, None))
    }
}

/// The number of rows of each sample, of a loop whose counts are computed.
fn counts(rows: &RowLoop, memory: &Memory<'_>) -> Result<Vec<usize>, RunError> {
    let count = |&count: &i32| {
        let fits = usize::try_from(count).ok().filter(|&count| count <= rows.bound);
        fits.ok_or_else(|| RunError::Internal(format!("{count} rows are counted in a sample, which has {} at most", rows.bound)))
    };
    memory.read::<i32>(rows.counts).iter().map(count).collect()
}

/// The rows in chunks. If there are none at all, there is one chunk, so that the loop sets up its results.
fn chunks(counts: &[usize], size: usize) -> impl Iterator<Item = Chunk<'_>> {
    let all: usize = counts.iter().sum();
    let starts = (0..all.max(1)).step_by(size);
    starts.map(move |start| Chunk { counts, start, rows: size.min(all - start) })
}

impl PendingStep<'_> {
    /// Runs the step.
    pub fn run(&self) {
        exec::run(self.step, self.weights, self.memory, self.pool, self.chunk.as_ref());
    }

    /// Runs the step, and reports to `observe` the time it took, in all chunks together. `spent` keeps the times of steps that run again.
    pub fn run_timed(&self, spent: &mut HashMap<usize, Duration>, observe: impl FnOnce(&Step, Duration)) {
        let start = Instant::now();
        self.run();
        let time = start.elapsed() + spent.remove(&self.index).unwrap_or_default();
        if self.is_last() {
            observe(self.step, time);
        } else {
            spent.insert(self.index, time);
        }
    }

    /// Whether the step does not run again in this run: in a loop over counted rows, whether this is the last chunk.
    pub fn is_last(&self) -> bool {
        self.chunk.is_none_or(|Chunk { counts, start, rows }| start + rows == counts.iter().sum::<usize>())
    }

    /// Runs the step and explains its outputs if they are not finite. `check` finds what is not finite in the tensor with a given
    /// name.
    pub fn run_checked(&self, check: impl Fn(&str) -> Option<NotFinite>) -> Option<NotFinite> {
        self.run();
        let is_finite = self.step.outputs.iter().all(|&id| match self.memory.slice(id) {
            Slice::F32(values) => finite::all_finite(values),
            Slice::I64(_) | Slice::I32(_) => true,
        });
        (!is_finite).then(|| finite::of_step(self.memory.plan(), self.step, self.weights, check))
    }
}
