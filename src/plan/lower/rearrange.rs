//! Values in another order.

use super::Lowering;
use crate::ir::{Rearrange, Value};
use crate::plan::buffer::four;
use crate::plan::{Kernel, PlanError};

impl Lowering<'_> {
    /// The kernel of a rearrangement.
    pub(super) fn rearrange(&self, rearrange: &Rearrange, operand: Value) -> Result<Kernel, PlanError> {
        let [batch, c, h, w] = four(&self.shape(operand)?);
        if let Rearrange::Shuffle(groups) = *rearrange {
            return Ok(Kernel::Shuffle { sizes: [batch, c, h * w], groups });
        }
        let (sizes, order) = rearrange.moves([c, h, w]).simplified();
        // the samples stay in order before everything else
        let order = [0].into_iter().chain(order.iter().map(|axis| axis + 1)).collect();
        Ok(Kernel::Rearrange { sizes: [&[batch], &sizes[..]].concat(), order })
    }
}
