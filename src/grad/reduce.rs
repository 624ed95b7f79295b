//! What becomes of the channels of a place.

use super::{Differentiation, GradError};
use crate::elementwise::{Binary, Builder};
use crate::ir::{Broadcast, Elementwise, NodeId, Reduction, Train, Value};

impl Differentiation<'_> {
    /// A mean is divided among its channels; a maximum belongs to the first of the largest ones.
    pub(super) fn over_channels(&mut self, id: NodeId, name: &str, reduction: Reduction, dy: Value) -> Result<(), GradError> {
        let (x, name) = (self.operand(id, 0)?, format!("{name}.x.grad"));
        let dx = match reduction {
            Reduction::Max => self.train(id, &name, Train::MaxOverChannelsGrad, &[x, dy])?,
            Reduction::Mean => {
                let sizes = self.sizes(x.node);
                let mut builder = Builder::new(2);
                let (share, dy_at) = (builder.constant(1.0 / sizes.first().copied().unwrap_or(1) as f32), builder.operand(1));
                let result = builder.binary(Binary::Mul, dy_at, share);
                let program = builder.finish(result).map_err(|error| GradError::Internal(error.to_string()))?;
                // the first operand only has the result's shape
                let repeated = if sizes.len() > 1 { Broadcast::Pixel } else { Broadcast::Scalar };
                let divide = Elementwise::new("mean-grad", vec![Broadcast::Full, repeated], program);
                self.add(id, &name, divide.into(), &[x, dy], Vec::new())?
            }
        };
        self.accumulate(x, dx);
        Ok(())
    }
}
