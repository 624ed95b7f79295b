//! Lets steps overwrite an operand that is not read afterwards: elementwise steps any of the result's size, fused steps their
//! residual.

use super::{BufferId, ConvStrategy, Kernel, Place, Plan, ResidualPlan};
use crate::kernels::nchwc::direct;
use crate::kernels::{ConvShape, Isa};

/// Whether a convolution with this strategy writes only final results to its output, no partial sums.
fn overwrites(isa: Isa, shape: &ConvShape, strategy: &ConvStrategy) -> bool {
    match strategy {
        ConvStrategy::Gemm(_) | ConvStrategy::DirectNchw => false,
        ConvStrategy::Direct { plain, .. } => direct::allows_residual_in_place(isa, *plain, shape),
        ConvStrategy::Winograd(_) | ConvStrategy::Depthwise => true,
    }
}

/// Finds operands that can be overwritten, and merges the two buffers.
pub(super) fn overwrite(plan: &mut Plan) {
    let isa = plan.options.isa;
    for index in 0..plan.steps.len() {
        let lives = plan.lifetimes();
        let step = &plan.steps[index];
        let output = step.output();
        let free = |id: BufferId| {
            let (from, to) = (plan.buffer(id), plan.buffer(output));
            // inputs belong to the caller, and outputs of the network must keep their values
            matches!(from.place, Place::Arena(_))
                && lives[id.0].is_some_and(|(_, last)| last == index)
                && from.len == to.len
                && from.layout == to.layout
        };
        let once = |id: BufferId| step.inputs.iter().filter(|&&other| other == id).count() == 1;
        let joined = match &step.kernel {
            // partial sums in the output would overwrite the residual
            Kernel::Conv { shape, strategy, residual: ResidualPlan::Operand, .. } if !overwrites(isa, shape, strategy) => None,
            Kernel::Conv { residual: ResidualPlan::Operand, .. } | Kernel::Linear { residual: ResidualPlan::Operand, .. } => {
                // the residual must not also be the convolution's input
                let (rest, residual) = (&step.inputs[..step.inputs.len() - 1], step.inputs[step.inputs.len() - 1]);
                (free(residual) && !rest.contains(&residual)).then_some(residual)
            }
            kernel => {
                let fits = |&slot: &usize| kernel.may_overwrite(slot) && free(step.inputs[slot]) && once(step.inputs[slot]);
                (0..step.inputs.len()).find(fits).map(|slot| step.inputs[slot])
            }
        };
        let Some(operand) = joined else { continue };
        let step = &mut plan.steps[index];
        if let Kernel::Conv { residual: residual @ ResidualPlan::Operand, .. }
        | Kernel::Linear { residual: residual @ ResidualPlan::Operand, .. } = &mut step.kernel
        {
            *residual = ResidualPlan::InPlace;
            step.inputs.pop();
        }
        join(plan, operand, output);
    }
}

/// Merges `old` into `kept`, which may be an output of the network.
fn join(plan: &mut Plan, old: BufferId, kept: BufferId) {
    for step in &mut plan.steps {
        for id in step.inputs.iter_mut().chain(&mut step.outputs) {
            if *id == old {
                *id = kept;
            }
        }
    }
}
