//! Transposed convolutions: gradients of convolutions, so that their own gradients are convolutions again.

use super::{Differentiation, GRAD, GradError};
use crate::ir::{ConvTranspose, NodeId, Op, Pad, ParamRole, Train, Value};

impl Differentiation<'_> {
    pub(super) fn conv_transpose(
        &mut self,
        id: NodeId,
        name: &str,
        transposed: &ConvTranspose,
        dy: Value,
    ) -> Result<(), GradError> {
        let x = self.operand(id, 0)?;
        self.bias(id, name, dy)?;
        let conv = transposed.convolution(self.map(x.node)?[0]);
        let surplus = Pad::zeros(transposed.surplus());
        let has_surplus = surplus.sides != [[0; 2]; 2];
        if let Some(weight) = self.trained(id, ParamRole::Weight) {
            let mut x = x;
            if has_surplus {
                x = self.add(id, &format!("{name}.x.padded"), Op::Pad(surplus), &[x], Vec::new())?;
            }
            // what this convolution yields is the operand, and what it reads is the gradient
            let grad = self.train(id, &format!("{name}.weight.grad"), Train::ConvGradWeight(conv.clone()), &[dy, x])?;
            self.outputs.push((format!("{GRAD}{weight}"), grad));
        }
        if self.needs(x) {
            let weight = self.param(id, ParamRole::Weight).into_iter().collect();
            let mut dx = self.add(id, &format!("{name}.x.grad"), Op::Conv(conv), &[dy], weight)?;
            if has_surplus {
                dx = self.train(id, &format!("{name}.x.grad.cropped"), Train::Unpad(surplus), &[dx])?;
            }
            self.accumulate(x, dx);
        }
        Ok(())
    }
}
