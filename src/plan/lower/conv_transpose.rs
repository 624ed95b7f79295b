//! Lowers transposed convolutions.

use std::sync::Arc;

use super::Lowering;
use crate::ir::{ConvTranspose, NodeId, ParamRole};
use crate::plan::{PlanError, Weight, WeightId, WeightLayout, WeightSource};

impl Lowering<'_> {
    /// A transposed convolution is the gradient of a convolution with respect to its operand, with the same weight.
    pub(super) fn conv_transpose(&mut self, id: NodeId, conv: &ConvTranspose) -> Result<(), PlanError> {
        let graph = self.network.graph();
        let node = graph.node(id);
        let operands = graph.operands(id);
        let (x, result) = (self.shape(operands[0])?, self.shape(id.into())?);
        let bias = node.params.iter().find(|param| param.role == ParamRole::Bias).map(|param| {
            self.plan.weights.push(Weight {
                name: format!("{}.bias", node.name),
                source: WeightSource::Param(param.source.clone()),
                shape: param.shape.clone(),
                layout: WeightLayout::Plain,
            });
            WeightId(self.plan.weights.len() - 1)
        });
        let mut convolution = conv.convolution(x[1]);
        let function = self.following_function(id).map(|(user, function)| (user, Arc::clone(function)));
        convolution.epilogue.act = function.as_ref().map(|(_, function)| Arc::clone(function));
        self.conv_grad_input(id, &convolution, [result[1], result[2], result[3]], &operands, bias)?;
        if let Some((user, _)) = function {
            self.set(user.into(), self.operand(id.into())?);
        }
        Ok(())
    }
}
