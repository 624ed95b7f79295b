//! A model in use by one thread.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ndarray::{ArrayViewD, CowArray, IxDyn};

use super::bound_weight::BoundWeight;
use super::error::RunError;
use super::executor::{Executor, PendingStep, Planned, SessionOptions, Workspace};
use super::finite::{self, NotFinite};
use super::inputs::{self, Matched};
use super::model::Model;
use super::outputs::{OutputArray, Outputs};
use crate::kernels::Isa;
use crate::plan::{Plan, Port, Step};

/// Plans that a session keeps, one per batch size and input size.
const PLANS: usize = 8;

/// A model in use by one thread. Runs with the same thread count give the same bits.
pub struct Session {
    model: Model,
    executor: Executor<Key, BoundWeights>,
}

/// The weights of a plan, in its order.
type BoundWeights = Vec<Arc<BoundWeight>>;

#[derive(Clone, Copy, PartialEq, Eq)]
struct Key {
    batch: usize,
    size: [Option<usize>; 2],
}

impl Model {
    /// A session with as many threads as the process may use.
    pub fn session(&self) -> Result<Session, RunError> {
        self.session_with(SessionOptions::default())
    }

    /// A session with the given options.
    pub fn session_with(&self, options: SessionOptions) -> Result<Session, RunError> {
        Ok(Session { model: self.clone(), executor: Executor::new(options, PLANS)? })
    }
}

impl Session {
    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Number of threads, including the calling one.
    pub fn threads(&self) -> usize {
        self.executor.pool().threads()
    }

    /// Runs the network on named inputs; the first axis of each is the batch. The plan for a new batch size or input size is
    /// kept.
    pub fn run(&mut self, inputs: &[(&str, ArrayViewD<'_, f32>)]) -> Result<Outputs, RunError> {
        self.run_with(inputs, |pending| pending.run())
    }

    /// Like [`Session::run`], and reports the time of each step.
    pub fn run_timed(
        &mut self,
        inputs: &[(&str, ArrayViewD<'_, f32>)],
        mut observe: impl FnMut(&Step, Duration),
    ) -> Result<Outputs, RunError> {
        let mut spent = HashMap::new();
        self.run_with(inputs, |pending| pending.run_timed(&mut spent, &mut observe))
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
        let check = |name: &str| finite::of_tensor(name, &model.params().get(name)?.to_f32());
        let mut first = None;
        self.run_with(inputs, |pending| match first {
            None => first = pending.run_checked(check),
            Some(_) => pending.run(),
        })?;
        Ok(first)
    }

    /// Plans and allocates for a batch size before the first run; `size` is the height and width if the network leaves them free.
    pub fn prepare(&mut self, batch: usize, size: [Option<usize>; 2]) -> Result<(), RunError> {
        prepare(&self.model, &mut self.executor, Key { batch, size }).map(drop)
    }

    /// The instruction set of its kernels.
    pub fn isa(&self) -> Isa {
        self.executor.isa()
    }

    /// The plan of the last run.
    pub fn last_plan(&self) -> Option<&Plan> {
        self.executor.plans().first().map(|p| &p.plan)
    }

    /// Bytes of the arena.
    pub fn arena_bytes(&self) -> usize {
        self.executor.arena_bytes()
    }

    fn run_with(
        &mut self,
        given: &[(&str, ArrayViewD<'_, f32>)],
        run: impl FnMut(&PendingStep<'_>),
    ) -> Result<Outputs, RunError> {
        let Matched { order, batch, size } = inputs::matched(self.model.optimized(), given)?;
        let (planned, workspace) = prepare(&self.model, &mut self.executor, Key { batch, size })?;
        let Planned { plan, bound: weights, .. } = &*planned;
        let inputs: Vec<CowArray<'_, f32, IxDyn>> = order.iter().map(|&i| given[i].1.as_standard_layout()).collect();
        let zeros = |port: &Port| Some((port.name.clone(), OutputArray::zeros(port.dtype, &port.shape)?));
        let mut outputs: Vec<(String, OutputArray)> = plan.outputs.iter().filter_map(zeros).collect();
        workspace.run(
            plan,
            inputs.iter().filter_map(|x| x.as_slice()).map(bytemuck::cast_slice).collect(),
            outputs.iter_mut().filter_map(|(_, y)| y.bytes_mut()).collect(),
            // inference has no dropout
            [0; 2],
            |id| weights[id.0].values(),
            run,
        )?;
        Outputs::new(outputs).ok_or_else(|| RunError::Internal("the main output is not f32".to_owned()))
    }
}

/// The plan for a batch size and input size, with its weights.
fn prepare<'a>(
    model: &Model,
    executor: &'a mut Executor<Key, BoundWeights>,
    key: Key,
) -> Result<(&'a mut Planned<Key, BoundWeights>, Workspace<'a>), RunError> {
    executor.prepare(key, key.batch, |options| model.plan(options, key.size), |plan| model.bind(plan))
}
