//! Activations, sums, products, softmax, dropout.

use super::{Differentiation, GradError};
use crate::ir::{Act, Clamp, NodeId, Op, Scale, Train, Value};

impl Differentiation<'_> {
    pub(super) fn clamp(&mut self, id: NodeId, name: &str, clamp: Clamp, dy: Value) -> Result<(), GradError> {
        let x = self.operand(id, 0)?;
        let dx = self.train(id, &format!("{name}.x.grad"), Train::ClampGrad(clamp), &[dy, x])?;
        self.accumulate(x, dx);
        Ok(())
    }

    pub(super) fn scale(&mut self, id: NodeId, name: &str, scale: Scale, dy: Value) -> Result<(), GradError> {
        let x = self.operand(id, 0)?;
        let factor = Op::Scale(Scale { times: scale.times, plus: 0.0 });
        let dx = self.add(id, &format!("{name}.x.grad"), factor, &[dy], Vec::new())?;
        self.accumulate(x, dx);
        Ok(())
    }

    pub(super) fn act(&mut self, id: NodeId, name: &str, act: Act, dy: Value) -> Result<(), GradError> {
        let x = self.operand(id, 0)?;
        let dx = self.train(id, &format!("{name}.x.grad"), Train::ActGrad(act), &[dy, id.into()])?;
        self.accumulate(x, dx);
        Ok(())
    }

    pub(super) fn sum(&mut self, id: NodeId, dy: Value) -> Result<(), GradError> {
        for x in self.network.graph().operands(id) {
            if self.needs(x) {
                self.accumulate(x, dy);
            }
        }
        Ok(())
    }

    pub(super) fn product(&mut self, id: NodeId, name: &str, dy: Value) -> Result<(), GradError> {
        let (a, b) = (self.operand(id, 0)?, self.operand(id, 1)?);
        if self.needs(a) {
            let da = self.add(id, &format!("{name}.x.grad"), Op::Mul, &[dy, b], Vec::new())?;
            self.accumulate(a, da);
        }
        if self.needs(b) {
            let name = format!("{name}.gate.grad");
            let db = if self.network.shape(a) == self.network.shape(b) {
                self.add(id, &name, Op::Mul, &[dy, a], Vec::new())?
            } else {
                self.train(id, &name, Train::SumPlane, &[a, dy])?
            };
            self.accumulate(b, db);
        }
        Ok(())
    }

    pub(super) fn softmax(&mut self, id: NodeId, name: &str, dy: Value) -> Result<(), GradError> {
        let x = self.operand(id, 0)?;
        let dx = self.train(id, &format!("{name}.x.grad"), Train::SoftmaxGrad, &[dy, id.into()])?;
        self.accumulate(x, dx);
        Ok(())
    }

    pub(super) fn dropout(&mut self, id: NodeId, name: &str, drop: &Train, dy: Value) -> Result<(), GradError> {
        let x = self.operand(id, 0)?;
        let dx = self.train(id, &format!("{name}.x.grad"), drop.clone(), &[dy])?;
        self.accumulate(x, dx);
        Ok(())
    }
}
