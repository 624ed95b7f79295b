//! Fuses a block's last convolution and its shortcut's projection into one step if both are 1x1. The sum over the
//! channels of both stays in registers and cache, and the projected feature map is never written to memory.

use super::strategy::STRIP;
use super::{ConvStrategy, Kernel, Place, Plan, ResidualPlan, Step};
use crate::kernels::ConvShape;
use crate::kernels::nchwc::direct::{self, DirectPlan};

/// Fuses each projection with the convolution that adds it.
pub(super) fn join(plan: &mut Plan) {
    let mut index = 0;
    while let Some(last) = plan.steps.get(index) {
        let joined = projection(plan, index).and_then(|at| Some((at, joined(plan, last, &plan.steps[at])?)));
        if let Some((at, joined)) = joined {
            plan.steps[index] = joined;
            // the projection comes earlier, so the next step moves to `index`
            plan.remove_step(at);
        } else {
            index += 1;
        }
    }
}

/// The step that produces the residual of the step at `index`, if nothing else reads it.
fn projection(plan: &Plan, index: usize) -> Option<usize> {
    let step = &plan.steps[index];
    let Kernel::Conv { residual: ResidualPlan::Operand, .. } = step.kernel else { return None };
    let added = *step.inputs.last()?;
    let uses = plan.steps.iter().flat_map(|s| &s.inputs).filter(|&&id| id == added).count();
    let inner = matches!(plan.buffer(added).place, Place::Arena(_));
    (uses == 1 && inner).then(|| plan.steps[..index].iter().rposition(|s| s.outputs == [added]))?
}

fn joined(plan: &Plan, last: &Step, projection: &Step) -> Option<Step> {
    let direct = |step: &Step| match &step.kernel {
        Kernel::Conv { shape, strategy: ConvStrategy::Direct { plan, plain: false }, residual, act } => {
            Some((*shape, *plan, *residual, act.clone()))
        }
        _ => None,
    };
    let (shape, cut, _, act) = direct(last)?;
    let (second, _, ResidualPlan::None, None) = direct(projection)? else { return None };
    // each has a bias, folded from its norm
    if !direct::pairs(&shape, &second) || last.weights.len() != 2 || projection.weights.len() != 2 {
        return None;
    }
    let cut = rows(&shape, &second, cut);
    Some(Step {
        name: format!("{} + {}", last.name, projection.name),
        kernel: Kernel::FusedConvPair { shape, second, plan: cut, act },
        inputs: vec![last.inputs[0], projection.inputs[0]],
        outputs: last.outputs.clone(),
        weights: last.weights.iter().chain(&projection.weights).copied().collect(),
        scratch: direct::scratch(plan.options.isa, false, &second, cut) * size_of::<f32>(),
        shape: last.shape.clone(),
        why: "a projection and its addition".to_owned(),
    })
}

/// Splits the last convolution by rows, so that a strip of both inputs stays in the cache.
fn rows(shape: &ConvShape, second: &ConvShape, cut: DirectPlan) -> DirectPlan {
    let [lines, width] = shape.output;
    let line = (shape.channels + second.channels) * width;
    let fitting = (STRIP / line).clamp(1, lines);
    let wanted = if cut.shares > 1 { lines } else { cut.rows.div_ceil(width) };
    let rows = lines.div_ceil(lines.div_ceil(fitting.min(wanted)));
    let samples = if rows == lines { cut.samples.min((STRIP / (line * lines)).max(1)) } else { 1 };
    DirectPlan { rows, samples, ..cut }
}
