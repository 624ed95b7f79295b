//! Pools, and operators that only move values.

use std::ops::Range;

use super::{Differentiation, GradError};
use crate::ir::{NodeId, Op, Pad, Pair, Pool, PoolKind, Rearrange, Sides, Train, Upsample, Value};

impl Differentiation<'_> {
    pub(super) fn pool(&mut self, id: NodeId, name: &str, pool: &Pool, dy: Value) -> Result<(), GradError> {
        let x = self.operand(id, 0)?;
        let [_, h, w] = self.map(x.node)?;
        let (op, operands) = match pool.kind {
            PoolKind::Max { .. } => (Train::MaxPoolGrad(*pool), vec![x, dy]),
            PoolKind::Avg { .. } => (Train::AvgPoolGrad { pool: *pool, input: [h, w] }, vec![dy]),
        };
        let dx = self.train(id, &format!("{name}.x.grad"), op, &operands)?;
        self.accumulate(x, dx);
        Ok(())
    }

    pub(super) fn adaptive(&mut self, id: NodeId, name: &str, dy: Value) -> Result<(), GradError> {
        let x = self.operand(id, 0)?;
        let [_, h, w] = self.map(x.node)?;
        let dx = self.train(id, &format!("{name}.x.grad"), Train::AdaptiveAvgPoolGrad { input: [h, w] }, &[dy])?;
        self.accumulate(x, dx);
        Ok(())
    }

    pub(super) fn flatten(&mut self, id: NodeId, name: &str, dy: Value) -> Result<(), GradError> {
        let x = self.operand(id, 0)?;
        let dx = match self.sizes(x.node)[..] {
            [c, h, w] => self.train(id, &format!("{name}.x.grad"), Train::Unflatten([c, h, w]), &[dy])?,
            // flattening a vector is the identity
            _ => dy,
        };
        self.accumulate(x, dx);
        Ok(())
    }

    pub(super) fn concat(&mut self, id: NodeId, name: &str, dy: Value) -> Result<(), GradError> {
        let mut start = 0;
        for (slot, x) in self.network.graph().operands(id).into_iter().enumerate() {
            let count = self.sizes(x.node).first().copied().unwrap_or(0);
            if self.needs(x) {
                let dx = self.add(id, &format!("{name}.x{slot}.grad"), Op::Slice(start..start + count), &[dy], Vec::new())?;
                self.accumulate(x, dx);
            }
            start += count;
        }
        Ok(())
    }

    /// The gradient is zero in the other channels.
    pub(super) fn slice(&mut self, id: NodeId, name: &str, range: &Range<usize>, dy: Value) -> Result<(), GradError> {
        let x = self.operand(id, 0)?;
        let sizes = self.sizes(x.node);
        let after = sizes.first().map_or(0, |all| all - range.end);
        let (pad, whole) = (Op::Pad(Pad::channels([range.start, after])), format!("{name}.x.grad"));
        let dx = if sizes.len() == 3 {
            self.add(id, &whole, pad, &[dy], Vec::new())?
        } else {
            // a vector is padded as a 1 x 1 feature map
            let map = self.train(id, &format!("{name}.map.grad"), Train::Unflatten([range.len(), 1, 1]), &[dy])?;
            let padded = self.add(id, &format!("{name}.pad.grad"), pad, &[map], Vec::new())?;
            self.add(id, &whole, Op::Flatten, &[padded], Vec::new())?
        };
        self.accumulate(x, dx);
        Ok(())
    }

    /// The gradient is rearranged back.
    pub(super) fn rearrange(&mut self, id: NodeId, name: &str, rearrange: &Rearrange, dy: Value) -> Result<(), GradError> {
        let x = self.operand(id, 0)?;
        let back = match self.sizes(x.node)[..] {
            [c, h, w] => Op::Rearrange(rearrange.inverse([c, h, w])),
            // only a reshape reads a vector
            _ => Op::Flatten,
        };
        let dx = self.add(id, &format!("{name}.x.grad"), back, &[dy], Vec::new())?;
        self.accumulate(x, dx);
        Ok(())
    }

    pub(super) fn pad(&mut self, id: NodeId, name: &str, pad: &Pad, dy: Value) -> Result<(), GradError> {
        let x = self.operand(id, 0)?;
        let dx = self.train(id, &format!("{name}.x.grad"), Train::Unpad(*pad), &[dy])?;
        self.accumulate(x, dx);
        Ok(())
    }

    /// The gradient is zero where nothing was left.
    pub(super) fn crop(&mut self, id: NodeId, name: &str, sides: Sides, dy: Value) -> Result<(), GradError> {
        let x = self.operand(id, 0)?;
        let dx = self.add(id, &format!("{name}.x.grad"), Op::Pad(Pad::zeros(sides)), &[dy], Vec::new())?;
        self.accumulate(x, dx);
        Ok(())
    }

    pub(super) fn upsample(&mut self, id: NodeId, name: &str, upsample: Upsample, dy: Value) -> Result<(), GradError> {
        // only the size of a second operand matters
        let x = self.operand(id, 0)?;
        if self.needs(x) {
            let [_, h, w] = self.map(x.node)?;
            let grad = Train::UpsampleGrad { upsample, input: [h, w] };
            let dx = self.train(id, &format!("{name}.x.grad"), grad, &[dy])?;
            self.accumulate(x, dx);
        }
        Ok(())
    }

    pub(super) fn subsample(&mut self, id: NodeId, name: &str, stride: Pair, dy: Value) -> Result<(), GradError> {
        let x = self.operand(id, 0)?;
        let [_, h, w] = self.map(x.node)?;
        let dx = self.train(id, &format!("{name}.x.grad"), Train::SubsampleGrad { stride, input: [h, w] }, &[dy])?;
        self.accumulate(x, dx);
        Ok(())
    }
}
