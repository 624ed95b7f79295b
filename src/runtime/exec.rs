//! Executes a step of a plan: calls its kernel on its buffers and weights.

use super::arena::Memory;
use super::exec_train;
use crate::kernels::nchwc::direct::Second;
use crate::kernels::{
    Activation, ConvOperands, Epilogue, Layout, Residual, ThreadPool, elementwise, linear, nchw, nchwc, upsample, winograd,
};
use crate::plan::{BufferId, ConvStrategy, Kernel, ResidualPlan, Step};

/// Operands of a sum that are added in one pass.
const ADDENDS: usize = 8;

/// Runs one step. `weights` are the step's own weights, in its order.
pub(super) fn run(step: &Step, weights: &[&[f32]], memory: &Memory<'_>, pool: &ThreadPool) {
    let read = |slot: usize| memory.read(step.inputs[slot]);
    // if the first input is also the output, it is never borrowed a second time
    let first = || (step.inputs[0] != step.output()).then(|| read(0));
    // SAFETY: the only view of this step's output, which no view made by `read` and `first` overlaps
    let out = unsafe { memory.write(step.output()) };
    let isa = memory.plan().options.isa;
    // decided by the result: an operand with 1x1 pixels in whole blocks is the same in either layout
    let in_blocks = memory.plan().buffer(step.output()).layout != Layout::Nchw;
    let size = |axis: usize| step.shape.get(axis).copied().unwrap_or(1);
    match &step.kernel {
        Kernel::Conv { shape, strategy, residual, act } => {
            let epilogue = epilogue(weights, *residual, *act, step, memory);
            let operands = ConvOperands { x: read(0), weight: weights[0], epilogue };
            match strategy {
                ConvStrategy::Gemm(tiles) => {
                    // SAFETY: the only view of the scratch
                    let scratch = unsafe { memory.scratch() };
                    nchw::gemm::conv(pool, shape, *tiles, &operands, scratch, out);
                }
                ConvStrategy::Depthwise => nchwc::depthwise::conv(pool, isa, shape, &operands, out),
                ConvStrategy::DirectNchw => nchw::depthwise::conv(pool, shape, &operands, out),
                ConvStrategy::Winograd(plan) => {
                    // SAFETY: the only view of the scratch
                    let scratch = unsafe { memory.scratch() };
                    winograd::conv(pool, isa, shape, *plan, &operands, scratch, out);
                }
                ConvStrategy::Direct { plan, plain } => {
                    // SAFETY: the only view of the scratch
                    let scratch = unsafe { memory.scratch() };
                    nchwc::direct::conv(pool, isa, *plain, shape, *plan, &operands, scratch, out);
                }
            }
        }
        Kernel::FusedConvPair { shape, second, plan, act } => {
            let [one, two] = [0, 2].map(|at| (weights[at], weights[at + 1]));
            let epilogue = Epilogue { bias: Some(one.1), residual: Residual::None, act: *act };
            let operands = ConvOperands { x: read(0), weight: one.0, epilogue };
            let second = Second { shape: second, x: read(1), weight: two.0, bias: Some(two.1) };
            // SAFETY: the only view of the scratch
            let scratch = unsafe { memory.scratch() };
            nchwc::direct::pair(pool, isa, shape, *plan, &operands, &second, scratch, out);
        }
        Kernel::Linear { sizes, residual, act } => {
            let epilogue = epilogue(weights, *residual, *act, step, memory);
            linear::linear(pool, isa, *sizes, read(0), weights[0], &epilogue, out);
        }
        Kernel::Add { act } => add(step, *act, first(), memory, pool, out),
        Kernel::Mul { act } => elementwise::mul(pool, first(), read(1), *act, out),
        Kernel::ChannelMul { plane, act } if in_blocks => {
            nchwc::channelwise::channel_mul(pool, isa, first(), read(1), *plane, *act, out);
        }
        Kernel::ScaleShift { plane, act } if in_blocks => {
            let (scale, shift) = (weights[0], weights[1]);
            nchwc::channelwise::scale_shift(pool, isa, first(), scale, shift, *plane, *act, out);
        }
        Kernel::Pool(shape) if in_blocks => nchwc::pool::pool(pool, isa, shape, read(0), out),
        Kernel::AdaptiveAvg { input, output } if in_blocks => {
            nchwc::pool::adaptive_avg(pool, isa, size(0), size(1), *input, *output, read(0), out);
        }
        Kernel::Concat { parts } if in_blocks => {
            let plane = size(2) * size(3);
            let whole = size(1);
            let mut offset = 0;
            for (slot, &part) in parts.iter().enumerate() {
                let channels = part / plane.max(1);
                nchwc::movement::concat_part(pool, isa.lanes(), [channels, offset, whole], plane, read(slot), out);
                offset += channels;
            }
        }
        Kernel::Pad(shape) if in_blocks => nchwc::movement::pad(pool, isa.lanes(), shape, read(0), out),
        Kernel::Subsample { input, stride } if in_blocks => {
            nchwc::movement::subsample(pool, isa.lanes(), *input, *stride, read(0), out);
        }
        Kernel::Upsample { input, output } => {
            upsample::upsample(pool, if in_blocks { isa.lanes() } else { 1 }, *input, *output, read(0), out);
        }
        Kernel::Clamp { limits } => elementwise::clamp(pool, first(), *limits, out),
        Kernel::Scale { times, plus } => elementwise::scale(pool, first(), *times, *plus, out),
        Kernel::Convert { sizes, blocked } => nchwc::convert::convert(pool, isa, *sizes, *blocked, read(0), out),
        Kernel::ChannelMul { plane, act } => nchw::channelwise::channel_mul(pool, first(), read(1), *plane, *act, out),
        Kernel::ScaleShift { plane, act } => {
            nchw::channelwise::scale_shift(pool, first(), weights[0], weights[1], *plane, *act, out);
        }
        Kernel::Activate { act } => elementwise::activate(pool, first(), *act, out),
        Kernel::Concat { parts } => {
            let whole = parts.iter().sum();
            let mut offset = 0;
            for (slot, &part) in parts.iter().enumerate() {
                nchw::movement::concat_part(pool, read(slot), part, offset, whole, out);
                offset += part;
            }
        }
        Kernel::Pool(shape) => nchw::pool::pool(pool, shape, read(0), out),
        Kernel::AdaptiveAvg { input, output } => nchw::pool::adaptive_avg(pool, *input, *output, read(0), out),
        Kernel::Softmax { channels, plane } => nchw::softmax::softmax(pool, first(), *channels, *plane, out),
        Kernel::Pad(shape) => nchw::movement::pad(pool, shape, read(0), out),
        Kernel::Subsample { input, stride } => nchw::movement::subsample(pool, *input, *stride, read(0), out),
        Kernel::Train(kernel) => exec_train::run(kernel, step, weights, memory, pool, out),
    }
}

fn epilogue<'a>(
    weights: &[&'a [f32]],
    residual: ResidualPlan,
    act: Option<Activation>,
    step: &Step,
    memory: &'a Memory<'_>,
) -> Epilogue<'a> {
    let residual = match residual {
        ResidualPlan::None => Residual::None,
        ResidualPlan::InPlace => Residual::InPlace,
        ResidualPlan::Operand => Residual::From(memory.read(step.inputs[step.inputs.len() - 1])),
    };
    Epilogue { bias: weights.get(1).copied(), residual, act }
}

/// A sum of any number of operands, up to [`ADDENDS`] per pass.
fn add(step: &Step, act: Option<Activation>, mut first: Option<&[f32]>, memory: &Memory<'_>, pool: &ThreadPool, out: &mut [f32]) {
    let others: &[BufferId] = &step.inputs[1..];
    let groups = others.len().div_ceil(ADDENDS);
    for (index, group) in others.chunks(ADDENDS).enumerate() {
        let mut views: [&[f32]; ADDENDS] = [&[]; ADDENDS];
        for (view, &id) in views.iter_mut().zip(group) {
            *view = memory.read(id);
        }
        let act = act.filter(|_| index + 1 == groups);
        elementwise::add(pool, first.take(), &views[..group.len()], act, out);
    }
}
