//! Lowers loops over counted rows, and the operators that the program gives.

use super::Lowering;
use crate::ir::{self, CustomOp, NodeId, Rows, Value};
use crate::plan::row_loop::chunk_rows;
use crate::plan::{BufferId, Kernel, Place, PlanError, RowLoop, Step};

impl Lowering<'_> {
    /// Lowers the operators of a loop, whose values have room for a chunk of rows: `rows` of them, or as many as suit their size.
    pub(super) fn row_loop(&mut self, of: &ir::RowLoop, rows: Option<usize>) -> Result<(), PlanError> {
        let most = self.plan.options.batch.saturating_mul(of.bound);
        let rows = rows.map_or_else(|| chunk_rows(self.row_bytes(of), most), |rows| rows.clamp(1, most.max(1)));
        let start = self.plan.steps.len();
        self.chunk = Some(rows);
        for &id in &of.nodes {
            self.node(id)?;
        }
        self.chunk = None;
        let counts = self.operand(of.counts)?;
        self.plan.loops.push(RowLoop { steps: start..self.plan.steps.len(), counts, bound: of.bound, rows });
        Ok(())
    }

    /// Bytes of a row of the largest value in a loop.
    fn row_bytes(&self, of: &ir::RowLoop) -> usize {
        let results = of.nodes.iter().flat_map(|&id| self.network.types.results(id));
        let counted = results.filter(|of| matches!(of.rows, Rows::Counted(_)));
        let bytes = counted.filter_map(|of| {
            let elements = of.shape.sizes()?.into_iter().try_fold(1usize, usize::checked_mul)?;
            elements.checked_mul(of.dtype.size())
        });
        bytes.max().unwrap_or(1)
    }

    /// Lowers an operator that the program gives.
    pub(super) fn custom(&mut self, id: NodeId, op: &CustomOp, inputs: Vec<BufferId>) -> Result<(), PlanError> {
        let mut outputs = Vec::new();
        for port in 0..self.network.types.results(id).len() {
            let result = Value { node: id, port: u8::try_from(port).unwrap_or(u8::MAX) };
            let buffer = self.buffer(result, Place::Arena(0))?;
            self.set(result, buffer);
            outputs.push(buffer);
        }
        self.plan.steps.push(Step {
            name: self.name(id.into()).to_owned(),
            kernel: Kernel::Custom(op.clone()),
            inputs,
            outputs,
            weights: Vec::new(),
            scratch: 0,
            shape: self.shape(id.into())?,
            why: String::new(),
        });
        Ok(())
    }
}
