//! Batch norms that keep their running statistics in training: functions of one value and constants of each channel.

use std::sync::Arc;

use super::Differentiation;
use crate::elementwise::{Binary, Builder, Program, Unary};
use crate::ir::{BatchNorm, Broadcast, Elementwise, NodeId, Op, ParamRole, is_within};

/// The operands after `x`, and the parameters that they are.
const OPERANDS: [ParamRole; 4] = [ParamRole::RunningMean, ParamRole::RunningVar, ParamRole::Weight, ParamRole::Bias];

impl Differentiation<'_> {
    /// Whether a norm of this name computes as in inference: its layer is frozen, and so are the statistics of such layers.
    pub(super) fn keeps_stats(&self, name: &str) -> bool {
        self.options.keep_stats && self.options.frozen.iter().any(|frozen| is_within(name, frozen))
    }

    /// Turns a norm into the function that it is in inference. Its parameters are not trained: what names the norm names them too.
    pub(super) fn keep_stats(&mut self, id: NodeId, norm: BatchNorm) {
        let node = self.network.graph_mut().node_mut(id);
        let Some(program) = program(norm) else { return };
        let mut params = std::mem::take(&mut node.params);
        for param in &mut params {
            let slot = OPERANDS.iter().position(|role| *role == param.role).unwrap_or(0);
            param.role = ParamRole::Operand(slot as u8 + 1);
        }
        params.sort_by_key(|param| match param.role {
            ParamRole::Operand(slot) => slot,
            _ => 0,
        });
        node.params = params;
        let parameter = Broadcast::Parameter { init: 0.0 };
        let operands = [Broadcast::Full].into_iter().chain(OPERANDS.map(|_| parameter)).collect();
        node.op = Op::Elementwise(Arc::new(Elementwise::new("norm", operands, program)));
    }
}

/// `(x - mean) / sqrt(variance + eps) * weight + bias`.
fn program(norm: BatchNorm) -> Option<Program> {
    let mut builder = Builder::new(OPERANDS.len() + 1);
    let [x, mean, variance, weight, bias] = [0, 1, 2, 3, 4].map(|slot| builder.operand(slot));
    // the lanes of channels that do not exist have a variance of 0
    let eps = builder.constant((norm.eps as f32).max(f32::MIN_POSITIVE));
    let variance = builder.binary(Binary::Add, variance, eps);
    let deviation = builder.unary(Unary::Sqrt, variance);
    let centered = builder.binary(Binary::Sub, x, mean);
    let scale = builder.binary(Binary::Div, weight, deviation);
    let scaled = builder.binary(Binary::Mul, centered, scale);
    let result = builder.binary(Binary::Add, scaled, bias);
    builder.finish(result).ok()
}
