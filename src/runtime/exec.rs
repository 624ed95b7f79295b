//! Executes a step of a plan: calls its kernel on its buffers and weights.

use super::arena::Memory;
use super::exec_norm::Norm;
use super::exec_train;
use crate::ir::{Broadcast, Chunk, CustomOp, Reduction, Slice, SliceMut};
use crate::kernels::elementwise::{self, Geometry, Operand};
use crate::kernels::nchwc::direct::Second;
use crate::kernels::norm::fold::{Fold, fold_channels};
use crate::kernels::norm::l2::l2_norm;
use crate::kernels::train::movement;
use crate::kernels::{
    ConvOperands, Epilogue, Layout, Residual, ThreadPool, interpolate, linear, nchw, nchwc, upsample, winograd,
};
use crate::plan::{ConvStrategy, ElementwiseKernel, FusedFunction, Kernel, ResidualPlan, Step};

/// Runs one step. `weights` are the step's own weights, in its order; `chunk` are the rows to compute in a loop over counted rows.
pub(super) fn run(step: &Step, weights: &[&[f32]], memory: &Memory<'_>, pool: &ThreadPool, chunk: Option<&Chunk<'_>>) {
    if let Kernel::Custom(op) = &step.kernel {
        return custom(op, step, memory, chunk);
    }
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
            let epilogue = epilogue(weights, *residual, act.as_ref(), step, memory);
            let operands = ConvOperands { x: read(0), weight: weights[0], epilogue };
            match strategy {
                ConvStrategy::Gemm(tiles) => {
                    // SAFETY: the only view of the scratch
                    let scratch = unsafe { memory.scratch() };
                    nchw::gemm::conv(pool, isa, shape, *tiles, &operands, scratch, out);
                }
                ConvStrategy::Depthwise => nchwc::depthwise::conv(pool, isa, shape, &operands, out),
                ConvStrategy::DirectNchw => nchw::depthwise::conv(pool, isa, shape, &operands, out),
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
            let epilogue =
                Epilogue { bias: Some(one.1), residual: Residual::None, act: act.as_ref().map(FusedFunction::activation) };
            let operands = ConvOperands { x: read(0), weight: one.0, epilogue };
            let second = Second { shape: second, x: read(1), weight: two.0, bias: Some(two.1) };
            // SAFETY: the only view of the scratch
            let scratch = unsafe { memory.scratch() };
            nchwc::direct::pair(pool, isa, shape, *plan, &operands, &second, scratch, out);
        }
        Kernel::ChannelConv(channels) => nchw::channel_conv::channel_conv(pool, *channels, read(0), weights[0], out),
        Kernel::Linear { sizes, residual, act } => {
            let epilogue = epilogue(weights, *residual, act.as_ref(), step, memory);
            linear::linear(pool, isa, *sizes, read(0), weights[0], &epilogue, out);
        }
        Kernel::Elementwise(function) => function_of_elements(function, step, weights, memory, pool, out),
        Kernel::Copy => elementwise::copy(pool, first(), out),
        Kernel::ScaleShift { plane, act } if in_blocks => {
            let (scale, shift) = (weights[0], weights[1]);
            nchwc::channelwise::scale_shift(
                pool,
                isa,
                first(),
                scale,
                shift,
                *plane,
                act.as_ref().map(FusedFunction::activation),
                out,
            );
        }
        Kernel::Pool(shape) if in_blocks => nchwc::pool::pool(pool, isa, shape, read(0), out),
        Kernel::AdaptiveAvg { input, output } if in_blocks => {
            nchwc::pool::adaptive_avg(pool, isa, size(0), size(1), *input, *output, read(0), out);
        }
        Kernel::OverChannels(reduction) => {
            let buffer = memory.plan().buffer(step.inputs[0]);
            let fold = match reduction {
                Reduction::Mean => Fold::Mean,
                Reduction::Max => Fold::Max,
            };
            fold_channels(pool, isa, buffer.layout, buffer.sizes, fold, read(0), out);
        }
        Kernel::L2Norm { eps } => {
            let buffer = memory.plan().buffer(step.output());
            l2_norm(pool, isa, buffer.layout, buffer.sizes, *eps, first(), None, out);
        }
        Kernel::SampleNorm { norm, act } => {
            let buffer = memory.plan().buffer(step.output());
            let norm = Norm { norm, pool, isa, layout: buffer.layout, sizes: buffer.sizes };
            // SAFETY: the only view of the scratch
            let scratch = unsafe { memory.scratch() };
            norm.forward(weights, first(), act.as_ref().map(FusedFunction::activation), scratch, out);
        }
        Kernel::Concat { parts, .. } if in_blocks => {
            let plane = size(2) * size(3);
            for (slot, part) in parts.iter().enumerate() {
                let [channels, offset] = [part.len(), part.start].map(|floats| floats / plane.max(1));
                nchwc::movement::concat_part(pool, isa.lanes(), [channels, offset, size(1)], plane, read(slot), out);
            }
        }
        Kernel::Pad(shape) if in_blocks => nchwc::movement::pad(pool, isa.lanes(), shape, read(0), out),
        Kernel::Subsample { input, stride } if in_blocks => {
            nchwc::movement::subsample(pool, isa.lanes(), *input, *stride, read(0), out);
        }
        Kernel::Upsample(shape) => upsample::upsample(pool, if in_blocks { isa.lanes() } else { 1 }, shape, read(0), out),
        Kernel::Interpolate(map) => {
            let lanes = if in_blocks { isa.lanes() } else { 1 };
            // SAFETY: the only view of the scratch
            let scratch = unsafe { memory.scratch() };
            interpolate::interpolate(pool, isa, lanes, map, read(0), scratch, out);
        }
        Kernel::Slice { start, of } => {
            let buffer = memory.plan().buffer(step.output());
            movement::slice(pool, buffer.layout, buffer.sizes, *start, *of, read(0), out);
        }
        Kernel::Rearrange { sizes, order } => nchw::rearrange::rearrange(pool, sizes, order, read(0), out),
        Kernel::Shuffle { sizes, groups } if in_blocks => {
            nchwc::shuffle::shuffle(pool, isa.lanes(), *sizes, *groups, read(0), out);
        }
        Kernel::Shuffle { sizes: [batch, channels, plane], groups } => {
            let sizes = [*batch, *groups, channels / groups, *plane];
            nchw::rearrange::rearrange(pool, &sizes, &[0, 2, 1, 3], read(0), out);
        }
        Kernel::Convert { sizes, blocked } => nchwc::convert::convert(pool, isa, *sizes, *blocked, read(0), out),
        Kernel::ScaleShift { plane, act } => {
            nchw::channelwise::scale_shift(
                pool,
                isa,
                first(),
                weights[0],
                weights[1],
                *plane,
                act.as_ref().map(FusedFunction::activation),
                out,
            );
        }
        Kernel::Concat { parts, .. } => {
            let whole = step.shape[1..].iter().product();
            for (slot, part) in parts.iter().enumerate() {
                nchw::movement::concat_part(pool, read(slot), part.len(), part.start, whole, out);
            }
        }
        Kernel::Pool(shape) => nchw::pool::pool(pool, shape, read(0), out),
        Kernel::AdaptiveAvg { input, output } => nchw::pool::adaptive_avg(pool, *input, *output, read(0), out),
        Kernel::Softmax { channels, plane } => nchw::softmax::softmax(pool, first(), *channels, *plane, out),
        Kernel::Pad(shape) => nchw::movement::pad(pool, shape, read(0), out),
        Kernel::Subsample { input, stride } => nchw::movement::subsample(pool, *input, *stride, read(0), out),
        Kernel::Train(kernel) => exec_train::run(kernel, step, weights, memory, pool, out),
        // above: its results may have other types than `out`
        Kernel::Custom(_) => {}
    }
}

/// Runs an operator that the program gives.
fn custom(op: &CustomOp, step: &Step, memory: &Memory<'_>, chunk: Option<&Chunk<'_>>) {
    let operands: Vec<Slice<'_>> = step.inputs.iter().map(|&id| memory.slice(id)).collect();
    // SAFETY: views of this step's outputs, each of another one; they overlap no input
    let mut results: Vec<SliceMut<'_>> = step.outputs.iter().map(|&id| unsafe { memory.slice_mut(id) }).collect();
    op.0.run(&operands, &mut results, chunk);
}

fn epilogue<'a>(
    weights: &[&'a [f32]],
    residual: ResidualPlan,
    act: Option<&'a FusedFunction>,
    step: &Step,
    memory: &'a Memory<'_>,
) -> Epilogue<'a> {
    let residual = match residual {
        ResidualPlan::None => Residual::None,
        ResidualPlan::InPlace => Residual::InPlace,
        ResidualPlan::Operand => Residual::From(memory.read(step.inputs[step.inputs.len() - 1])),
    };
    Epilogue { bias: weights.get(1).copied(), residual, act: act.map(FusedFunction::activation) }
}

fn function_of_elements(
    function: &ElementwiseKernel,
    step: &Step,
    weights: &[&[f32]],
    memory: &Memory<'_>,
    pool: &ThreadPool,
    out: &mut [f32],
) {
    let (mut inputs, mut weights) = (step.inputs.iter(), weights.iter());
    let mut operands: Vec<Operand<'_>> = Vec::with_capacity(function.operands.len());
    for broadcast in &function.operands {
        // an operand that is also the output is never borrowed a second time
        let mut value = || inputs.next().filter(|&&id| id != step.output()).map(|&id| memory.read(id));
        let mut weight = || weights.next().copied().unwrap_or_default();
        operands.push(match broadcast {
            Broadcast::Full => value().map_or(Operand::InPlace, Operand::Full),
            Broadcast::Channel => Operand::Channel(value().unwrap_or_default()),
            Broadcast::Pixel => Operand::Pixel(value().unwrap_or_default()),
            Broadcast::Scalar => Operand::Sample(value().unwrap_or_default()),
            Broadcast::Parameter { .. } => Operand::Parameter(weight()),
            Broadcast::Shared { .. } => Operand::Shared(weight()),
        });
    }
    let plan = memory.plan();
    let buffer = plan.buffer(step.output());
    let geometry = Geometry { sizes: buffer.sizes, layout: buffer.layout };
    elementwise::elementwise(pool, plan.options.isa, &function.code, geometry, &operands, out);
}
