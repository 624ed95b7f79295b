//! The rows and element types that operators demand of their operands, and the rows of their results.

use super::ShapeError;
use crate::base::tensor::DType;
use crate::ir::{Op, Rows, TensorType, Train};

/// The rows of an operator's result. Its operands are f32, and have equal rows, except for those of the whole batch.
pub(super) fn rows(op: &Op, operands: &[TensorType]) -> Result<Rows, ShapeError> {
    let mut common = None;
    for (slot, operand) in operands.iter().enumerate() {
        if operand.dtype != DType::F32 {
            return Err(ShapeError::DType { op: op.word().into(), needs: DType::F32, got: operand.dtype });
        }
        let needs = match op {
            Op::Train(train) if takes_whole_batch(train, slot) => Rows::PerBatch,
            // no training step has counted rows yet
            Op::Train(_) => Rows::PerSample,
            _ => *common.get_or_insert(operand.rows),
        };
        if operand.rows != needs {
            return Err(ShapeError::Rows { op: op.word().into(), needs, got: operand.rows });
        }
    }
    Ok(match op {
        Op::Train(train) if yields_whole_batch(train) => Rows::PerBatch,
        _ => common.unwrap_or(Rows::PerSample),
    })
}

/// Whether the operand in a slot belongs to the whole batch.
fn takes_whole_batch(op: &Train, slot: usize) -> bool {
    match op {
        Train::StandardizeGrad { .. } => true,
        Train::BatchNorm { .. } => slot == 1,
        Train::NormGradParams { .. } | Train::NormGradInput { .. } => slot >= 2,
        _ => false,
    }
}

/// Whether the result belongs to the whole batch.
fn yields_whole_batch(op: &Train) -> bool {
    match op {
        Train::Reduce(broadcast) => broadcast.is_learned(),
        _ => matches!(
            op,
            Train::NormStats
                | Train::NormGradParams { .. }
                | Train::SampleNormGradParams(_)
                | Train::ConvGradWeight(_)
                | Train::StandardizeGrad { .. }
                | Train::BiasGrad
                | Train::LinearGradWeight
        ),
    }
}
