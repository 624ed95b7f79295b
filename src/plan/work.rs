//! The cost of a step, from its sizes: multiply-adds, bytes moved, and floats of packed weights.

use super::{ConvStrategy, Kernel, Plan, ResidualPlan, Step};

/// Kernel families, by which a profile sums up steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// Direct convolutions by the micro-kernel.
    Direct,
    /// Winograd convolutions.
    Winograd,
    /// Convolutions as matrix products.
    Gemm,
    /// Depthwise convolutions.
    Depthwise,
    /// Fully connected layers.
    Linear,
    /// Pools.
    Pooling,
    /// Sums, products, activations, softmax.
    Elementwise,
    /// Losses, batch norms with batch statistics, gradients.
    Train,
    /// Data movement: layout conversions, padding, concatenation.
    Movement,
}

impl Family {
    /// All families, in the order above.
    pub const ALL: [Family; 9] = [
        Family::Direct,
        Family::Winograd,
        Family::Gemm,
        Family::Depthwise,
        Family::Linear,
        Family::Pooling,
        Family::Elementwise,
        Family::Train,
        Family::Movement,
    ];

    /// Its name: `direct`.
    pub fn name(self) -> &'static str {
        match self {
            Family::Direct => "direct",
            Family::Winograd => "winograd",
            Family::Gemm => "gemm",
            Family::Depthwise => "depthwise",
            Family::Linear => "linear",
            Family::Pooling => "pooling",
            Family::Elementwise => "elementwise",
            Family::Train => "train",
            Family::Movement => "movement",
        }
    }
}

impl ConvStrategy {
    /// Whether it needs fewer multiplications than direct convolution.
    pub fn is_winograd(&self) -> bool {
        self.family() == Family::Winograd
    }

    fn family(&self) -> Family {
        match self {
            ConvStrategy::Gemm(_) => Family::Gemm,
            ConvStrategy::DirectNchw | ConvStrategy::Depthwise => Family::Depthwise,
            ConvStrategy::Direct { .. } => Family::Direct,
            ConvStrategy::Winograd(_) => Family::Winograd,
        }
    }
}

impl Kernel {
    /// Its family.
    pub fn family(&self) -> Family {
        match self {
            Kernel::Conv { strategy, .. } => strategy.family(),
            Kernel::FusedConvPair { .. } => Family::Direct,
            Kernel::ChannelConv(_) | Kernel::Linear { .. } => Family::Linear,
            Kernel::Pool(_) | Kernel::AdaptiveAvg { .. } => Family::Pooling,
            Kernel::Elementwise(_)
            | Kernel::ScaleShift { .. }
            | Kernel::SampleNorm { .. }
            | Kernel::L2Norm { .. }
            | Kernel::OverChannels { .. }
            | Kernel::Copy
            | Kernel::Softmax { .. } => Family::Elementwise,
            Kernel::Train(_) => Family::Train,
            Kernel::Custom(_)
            | Kernel::Concat { .. }
            | Kernel::Pad(_)
            | Kernel::Convert { .. }
            | Kernel::Subsample { .. }
            | Kernel::Slice { .. }
            | Kernel::Rearrange { .. }
            | Kernel::Shuffle { .. }
            | Kernel::Upsample(_)
            | Kernel::Interpolate(_) => Family::Movement,
        }
    }
}

impl Step {
    /// Nominal multiply-adds of a convolution or linear layer, or of a gradient of one, regardless of the strategy; 0 for others.
    pub fn macs(&self) -> u64 {
        match &self.kernel {
            Kernel::Conv { shape, .. } => shape.macs(),
            Kernel::FusedConvPair { shape, second, .. } => shape.macs() + second.macs(),
            Kernel::Linear { sizes, .. } => sizes.iter().map(|&n| n as u64).product(),
            Kernel::Train(kernel) => kernel.macs(),
            _ => 0,
        }
    }
}

impl Plan {
    /// Bytes that a step must move: its inputs and output once each, and its packed weights. A result that
    /// accumulates in place is read and written; of a concatenation, only the parts that are copied are written.
    pub fn bytes_moved(&self, step: &Step) -> u64 {
        let residual = match &step.kernel {
            Kernel::Conv { residual, .. } | Kernel::Linear { residual, .. } => *residual,
            _ => ResidualPlan::None,
        };
        let mut read = step.inputs.clone();
        if residual == ResidualPlan::InPlace {
            read.push(step.output());
        }
        read.sort_unstable();
        read.dedup();
        let written = if let Kernel::Concat { .. } = step.kernel { &step.inputs } else { &step.outputs };
        let values: usize = read.iter().chain(written).map(|&id| self.buffer(id).len).sum();
        let weights: usize = step.weights.iter().map(|w| self.weights[w.0].len() * size_of::<f32>()).sum();
        (values + weights) as u64
    }
}
