//! Norms of each sample.

use super::{Differentiation, GRAD, GradError};
use crate::ir::{NodeId, Op, ParamRole, SampleNorm, Train, Value};

impl Differentiation<'_> {
    pub(super) fn sample_norm(&mut self, id: NodeId, name: &str, norm: SampleNorm, dy: Value) -> Result<(), GradError> {
        let x = self.operand(id, 0)?;
        if self.trained(id, ParamRole::Weight).is_some() || self.trained(id, ParamRole::Bias).is_some() {
            let sums = self.train(id, &format!("{name}.params.grad"), Train::SampleNormGradParams(norm), &[x, dy])?;
            self.outputs.push((format!("{GRAD}{name}"), sums));
        }
        if self.needs(x) {
            let weight = self.param(id, ParamRole::Weight).into_iter().collect();
            let op = Op::Train(Train::SampleNormGradInput(norm));
            let dx = self.add(id, &format!("{name}.x.grad"), op, &[x, dy], weight)?;
            self.accumulate(x, dx);
        }
        Ok(())
    }

    pub(super) fn l2_norm(&mut self, id: NodeId, name: &str, eps: f64, dy: Value) -> Result<(), GradError> {
        let x = self.operand(id, 0)?;
        let dx = self.train(id, &format!("{name}.x.grad"), Train::L2NormGrad { eps }, &[x, dy])?;
        self.accumulate(x, dx);
        Ok(())
    }
}
