//! Convolutions, linear layers, norms.

use super::{Differentiation, GRAD, GradError};
use crate::ir::{BatchNorm, Conv, Linear, NodeId, Op, Param, ParamRole, Train, Value};

impl Differentiation<'_> {
    pub(super) fn conv(&mut self, id: NodeId, name: &str, conv: &Conv, dy: Value) -> Result<(), GradError> {
        let x = self.operand(id, 0)?;
        self.bias(id, name, dy)?;
        if conv.standardize.is_some() {
            self.standardized(id, name, conv, dy)?;
        } else if let Some(weight) = self.trained(id, ParamRole::Weight) {
            let grad = self.train(id, &format!("{name}.weight.grad"), Train::ConvGradWeight(conv.clone()), &[x, dy])?;
            self.outputs.push((format!("{GRAD}{weight}"), grad));
        }
        if self.needs(x) {
            let op = Op::Train(Train::ConvGradInput { conv: conv.clone(), input: self.map(x.node)? });
            let dx = self.add(id, &format!("{name}.x.grad"), op, &[dy], self.weight_and_gain(id))?;
            self.accumulate(x, dx);
        }
        Ok(())
    }

    /// The gradients of a weight that is standardized before it is used, and of its gains.
    fn standardized(&mut self, id: NodeId, name: &str, conv: &Conv, dy: Value) -> Result<(), GradError> {
        let x = self.operand(id, 0)?;
        let channels = self.sizes(x.node).first().copied().unwrap_or(0);
        let roles = [ParamRole::Weight, ParamRole::Gain];
        let trained = roles.map(|role| self.trained(id, role).map(|tensor| (role, tensor)));
        if trained.iter().all(Option::is_none) {
            return Ok(());
        }
        let used = Train::ConvGradWeight(Conv { standardize: None, ..conv.clone() });
        let used = self.train(id, &format!("{name}.standardized.grad"), used, &[x, dy])?;
        for (role, tensor) in trained.into_iter().flatten() {
            let op = Train::StandardizeGrad { conv: conv.clone(), channels, gains: role == ParamRole::Gain };
            let params = self.weight_and_gain(id);
            let grad = self.add(id, &format!("{name}.{}.grad", role.suffix()), Op::Train(op), &[used], params)?;
            self.outputs.push((format!("{GRAD}{tensor}"), grad));
        }
        Ok(())
    }

    /// What the weight that a convolution uses is made from.
    fn weight_and_gain(&self, id: NodeId) -> Vec<Param> {
        [ParamRole::Weight, ParamRole::Gain].into_iter().filter_map(|role| self.param(id, role)).collect()
    }

    pub(super) fn linear(&mut self, id: NodeId, name: &str, _: &Linear, dy: Value) -> Result<(), GradError> {
        let x = self.operand(id, 0)?;
        self.bias(id, name, dy)?;
        if let Some(weight) = self.trained(id, ParamRole::Weight) {
            let grad = self.train(id, &format!("{name}.weight.grad"), Train::LinearGradWeight, &[x, dy])?;
            self.outputs.push((format!("{GRAD}{weight}"), grad));
        }
        if self.needs(x) {
            let inputs = self.sizes(x.node).first().copied().unwrap_or(0);
            let weight = self.param(id, ParamRole::Weight).into_iter().collect();
            let op = Op::Train(Train::LinearGradInput { inputs });
            let dx = self.add(id, &format!("{name}.x.grad"), op, &[dy], weight)?;
            self.accumulate(x, dx);
        }
        Ok(())
    }

    pub(super) fn bias(&mut self, id: NodeId, name: &str, dy: Value) -> Result<(), GradError> {
        if let Some(bias) = self.trained(id, ParamRole::Bias) {
            let grad = self.train(id, &format!("{name}.bias.grad"), Train::BiasGrad, &[dy])?;
            self.outputs.push((format!("{GRAD}{bias}"), grad));
        }
        Ok(())
    }

    pub(super) fn norm(&mut self, id: NodeId, name: &str, norm: BatchNorm, dy: Value) -> Result<(), GradError> {
        let x = self.operand(id, 0)?;
        let stats = self.stats[id.index()].ok_or_else(|| GradError::Internal(format!("`{name}` has no statistics")))?;
        let op = Train::NormGradParams { norm, relu: false };
        let sums = self.train(id, &format!("{name}.params.grad"), op, &[x, dy, stats])?;
        if self.trained(id, ParamRole::Weight).is_some() || self.trained(id, ParamRole::Bias).is_some() {
            self.outputs.push((format!("{GRAD}{name}"), sums));
        }
        if self.needs(x) {
            let op = Op::Train(Train::NormGradInput { norm, relu: false });
            let weight = self.param(id, ParamRole::Weight).into_iter().collect();
            let dx = self.add(id, &format!("{name}.x.grad"), op, &[x, dy, stats, sums], weight)?;
            self.accumulate(x, dx);
        }
        Ok(())
    }
}
