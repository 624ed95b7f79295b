//! Attributes of operators as kernels take them.

use crate::ir::{NormOver, PadMode, Pair, Pool, PoolKind, SampleNorm, Upsample};
use crate::kernels::norm::groups;
use crate::kernels::norm::strips::{self, Over};
use crate::kernels::pad::Edge;
use crate::kernels::pool::{PoolKind as KernelPool, PoolShape};
use crate::kernels::upsample::Nearest;
use crate::kernels::{Isa, Layout};

/// A pool over `maps` channels in total.
pub(super) fn pool_shape(pool: &Pool, maps: usize, input: [usize; 2], output: [usize; 2]) -> PoolShape {
    let kind = match pool.kind {
        PoolKind::Max { .. } => KernelPool::Max,
        PoolKind::Avg { count_pad } => KernelPool::Avg { count_pad },
    };
    let Pool { kernel, stride, pad, .. } = *pool;
    PoolShape { kind, maps, input, output, kernel, stride, pad, dilation: pool.dilation() }
}

/// The values that a norm of channels or of all normalizes together.
pub(crate) fn together(over: NormOver) -> Over {
    if over == NormOver::All { Over::All } else { Over::Channels }
}

/// Scratch floats of a norm of each sample, or of its gradients; `params` for those of its parameters.
pub(super) fn norm_scratch(norm: &SampleNorm, isa: Isa, layout: Layout, sizes: [usize; 4], params: bool) -> usize {
    if norm.over.groups(sizes[1]).is_some() {
        groups::scratch(sizes)
    } else if params {
        strips::scratch(isa, layout, together(norm.over), sizes)
    } else {
        0
    }
}

/// The kernel's padding mode.
pub(super) fn edge(mode: PadMode) -> Edge {
    match mode {
        PadMode::Zeros => Edge::Zeros,
        PadMode::Reflect => Edge::Reflect,
        PadMode::Replicate => Edge::Replicate,
    }
}

/// The sizes and steps of an upsampling that copies values.
pub(super) fn nearest(upsample: &Upsample, input: Pair, output: Pair) -> Nearest {
    let step = [0, 1].map(|axis| upsample.step(axis, input[axis], output[axis]) as f32);
    Nearest { input, output, step, offset: upsample.mode.offset() as f32 }
}
