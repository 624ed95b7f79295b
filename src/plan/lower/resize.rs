//! Lowers upsampling and its gradient.

use std::sync::Arc;

use super::Lowering;
use crate::ir::{Interpolation, NodeId, Pair, Upsample, Value};
use crate::kernels::interpolate::{Axis, InterpolationMap};
use crate::plan::attrs::nearest;
use crate::plan::{Kernel, Place, PlanError, Step};

impl Lowering<'_> {
    /// The kernel of an upsampling. `node` is the node's name, for errors.
    pub(super) fn upsample(&self, upsample: &Upsample, input: Pair, output: Pair, node: &str) -> Result<Kernel, PlanError> {
        Ok(match upsample.mode {
            Interpolation::Nearest | Interpolation::NearestExact => Kernel::Upsample(nearest(upsample, input, output)),
            Interpolation::Bilinear => Kernel::Interpolate(Arc::new(self.axes(Axis::linear, upsample, input, output, node)?)),
            Interpolation::Bicubic => Kernel::Interpolate(Arc::new(self.axes(Axis::cubic, upsample, input, output, node)?)),
        })
    }

    fn axes(
        &self,
        axis: impl Fn(usize, usize, f64, bool) -> Option<Axis>,
        upsample: &Upsample,
        input: Pair,
        output: Pair,
        node: &str,
    ) -> Result<InterpolationMap, PlanError> {
        let along = |at: usize| {
            let step = upsample.step(at, input[at], output[at]);
            let too_large = || PlanError::TooLarge { batch: self.plan.options.batch, node: node.to_owned() };
            axis(input[at], output[at], step, upsample.align_corners).ok_or_else(too_large)
        };
        Ok(InterpolationMap { rows: along(0)?, columns: along(1)? })
    }

    /// The gradient of an interpolation, an interpolation with transposed axes. `false` for one that copies values.
    pub(super) fn interpolate_grad(
        &mut self,
        id: NodeId,
        upsample: &Upsample,
        input: Pair,
        dy: Value,
    ) -> Result<bool, PlanError> {
        let name = self.name(id.into()).to_owned();
        let Kernel::Interpolate(forward) = self.upsample(upsample, input, self.map(dy)?, &name)? else { return Ok(false) };
        let map = forward.transposed();
        let output = self.buffer(id.into(), Place::Arena(0))?;
        self.plan.steps.push(Step {
            name,
            inputs: vec![self.operand(dy)?],
            outputs: vec![output],
            weights: Vec::new(),
            scratch: map.scratch(1) * size_of::<f32>(),
            kernel: Kernel::Interpolate(Arc::new(map)),
            shape: self.shape(id.into())?,
            why: String::new(),
        });
        self.set(id.into(), output);
        Ok(true)
    }
}
