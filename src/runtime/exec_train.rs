//! Executes the training steps of a plan: see [`super::exec`].

use super::arena::Memory;
use super::exec_norm::Norm;
use crate::ir::{Broadcast, Train};
use crate::kernels::norm::fold::max_grad;
use crate::kernels::norm::l2::l2_norm;
use crate::kernels::train::norm::BatchNormParams;
use crate::kernels::train::reduce::{self, SumOver};
use crate::kernels::train::{channel_mul, conv_weight, dropout, linear, loss, movement, norm, pool as pool_grad, softmax};
use crate::kernels::upsample::upsample_grad;
use crate::kernels::{Isa, Layout, Residual, ThreadPool};
use crate::plan::{FusedFunction, Step, TrainKernel};

/// Runs one step. `weights` are the operator's own weights, in its order.
pub(super) fn run(
    kernel: &TrainKernel,
    step: &Step,
    weights: &[&[f32]],
    memory: &Memory<'_>,
    pool: &ThreadPool,
    out: &mut [f32],
) {
    let read = |slot: usize| memory.read(step.inputs[slot]);
    // an operand that is also the output is never borrowed a second time
    let apart = |slot: usize| (step.inputs[slot] != step.output()).then(|| read(slot));
    // SAFETY: the only view of the scratch
    let scratch = || unsafe { memory.scratch() };
    let (isa, layout) = (memory.plan().options.isa, kernel.layout);
    let sizes = kernel.sizes(0);
    let norm_params = |stats, eps| {
        let (weight, bias) = match *weights {
            [weight, bias] => (weight, bias),
            // parameters that a kernel ignores still need the right length
            [weight] => (weight, weight),
            _ => (&read(stats)[..sizes[1]], &read(stats)[..sizes[1]]),
        };
        BatchNormParams { stats: read(stats), weight, bias, eps }
    };
    match &kernel.op {
        Train::NormStats => norm::stats(pool, isa, layout, sizes, read(0), scratch(), out),
        Train::BatchNorm { norm, .. } => {
            let residual = match step.inputs.get(2) {
                None => Residual::None,
                Some(_) => apart(2).map_or(Residual::InPlace, Residual::From),
            };
            let act = kernel.act.as_ref().map(FusedFunction::activation);
            norm::forward(pool, isa, layout, sizes, &norm_params(1, norm.eps), read(0), residual, act, out);
        }
        Train::NormGradParams { norm, relu } => {
            let params = norm_params(2, norm.eps);
            norm::grad_params(pool, isa, layout, sizes, &params, *relu, read(0), read(1), scratch(), out);
        }
        Train::NormGradInput { norm, relu } => {
            let params = norm_params(2, norm.eps);
            norm::grad_input(pool, isa, layout, sizes, &params, *relu, read(3), apart(0), apart(1), out);
        }
        Train::L2NormGrad { eps } => l2_norm(pool, isa, layout, sizes, *eps, apart(0), Some(apart(1)), out),
        Train::MaxOverChannelsGrad => max_grad(pool, sizes, read(0), read(1), out),
        Train::SampleNormGradParams(norm) => {
            Norm { norm, pool, isa, layout, sizes }.grad_params(read(0), read(1), scratch(), out);
        }
        Train::SampleNormGradInput(norm) => {
            Norm { norm, pool, isa, layout, sizes }.grad_input(weights, apart(0), apart(1), scratch(), out);
        }
        // lowered to a convolution
        Train::ConvGradInput { .. } => {}
        Train::ConvGradWeight(_) => {
            let isa = if layout == Layout::Nchw { Isa::Portable } else { isa };
            if let Some(shape) = kernel.conv() {
                conv_weight::conv_weight(pool, isa, kernel.plain, kernel.precise, &shape, read(0), read(1), scratch(), out);
            }
        }
        Train::StandardizeGrad { gains, .. } => {
            if let (Some(of), Some(&weight)) = (kernel.standardization(), weights.first()) {
                match gains {
                    true => of.grad_gains(weight, read(0), out),
                    false => of.grad_weight(pool, weight, weights.get(1).copied(), read(0), out),
                }
            }
        }
        Train::BiasGrad => linear::grad_bias(pool, layout, sizes, read(0), out),
        Train::LinearGradInput { inputs } => {
            linear::grad_input(pool, [sizes[0], *inputs, sizes[1]], read(0), weights[0], out);
        }
        Train::LinearGradWeight => {
            linear::grad_weight(pool, [sizes[0], sizes[1], kernel.sizes(1)[1]], read(0), read(1), out);
        }
        Train::MaxPoolGrad(_) | Train::AvgPoolGrad { .. } => {
            let is_max = matches!(kernel.op, Train::MaxPoolGrad(_));
            let (x, dy) = if is_max { (Some(read(0)), read(1)) } else { (None, read(0)) };
            if let Some(shape) = kernel.pool() {
                pool_grad::pool_grad(pool, isa, layout, [sizes[0], sizes[1]], &shape, x, dy, out);
            }
        }
        Train::AdaptiveAvgPoolGrad { .. } => {
            pool_grad::adaptive_avg_grad(pool, isa, layout, kernel.result_sizes(), [sizes[2], sizes[3]], read(0), out);
        }
        Train::Unpad(pad) => {
            let pad = kernel.pad(pad);
            movement::unpad(pool, layout, &pad, read(0), out);
        }
        Train::SubsampleGrad { stride, .. } => {
            movement::upsample(pool, layout, kernel.result_sizes(), *stride, read(0), out);
        }
        Train::UpsampleGrad { .. } => {
            let lanes = if layout == Layout::Nchw { 1 } else { isa.lanes() };
            if let Some(shape) = kernel.upsample() {
                upsample_grad(pool, lanes, &shape, read(0), out);
            }
        }
        Train::SumPlane => channel_mul::sum_plane(pool, isa, layout, sizes, read(0), read(1), out),
        Train::Reduce(broadcast) => reduce::reduce(pool, layout, sizes, over(*broadcast), read(0), out),
        Train::Unflatten(_) => out.copy_from_slice(read(0)),
        Train::SoftmaxGrad => softmax::softmax_grad(pool, layout, sizes, apart(0), read(1), out),
        Train::Dropout { p, per_sample, key } => {
            let [seed, at] = memory.noise;
            dropout::dropout(pool, layout, sizes, *p, *per_sample, dropout::key(seed, at, *key), apart(0), out);
        }
        Train::CrossEntropy { smoothing, weight } => {
            loss::cross_entropy(pool, layout, [sizes[0], sizes[1]], [*smoothing, *weight], read(0), read(1), out);
        }
        Train::CrossEntropyGrad { smoothing, weight } => {
            loss::cross_entropy_grad(pool, layout, [sizes[0], sizes[1]], [*smoothing, *weight], read(0), read(1), out);
        }
    }
}

fn over(broadcast: Broadcast) -> SumOver {
    match broadcast {
        // no operand repeats a full one
        Broadcast::Full | Broadcast::Channel => SumOver::Pixels,
        Broadcast::Pixel => SumOver::Channels,
        Broadcast::Scalar => SumOver::Sample,
        Broadcast::Parameter { .. } | Broadcast::Shared { .. } => SumOver::Everything,
    }
}
