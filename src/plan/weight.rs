//! The parameters that a plan needs, and their layouts.

use crate::ir::ParamSource;
use crate::kernels::nchwc::pack;
use crate::kernels::winograd;

/// Index of a [`Weight`] in its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WeightId(pub usize);

/// The layout of a weight for its kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum WeightLayout {
    /// As in the graph.
    Plain,
    /// Panels of the direct convolution ([`crate::kernels::nchwc::pack`]).
    Filters {
        /// Channels per block.
        lanes: usize,
        /// The number of channel groups.
        groups: usize,
        /// Whether the input is in the plain layout.
        plain: bool,
    },
    /// One number per channel, padded to whole blocks.
    Channels {
        /// Channels per block.
        lanes: usize,
    },
    /// Blocks of channels, one kernel element after the other ([`crate::kernels::nchwc::depthwise`]).
    Depthwise {
        /// Channels per block.
        lanes: usize,
    },
    /// Transformed for Winograd convolution ([`crate::kernels::winograd`]).
    Winograd {
        /// Channels per block.
        lanes: usize,
        /// The output size of a tile.
        size: winograd::Size,
    },
}

/// A parameter in the layout that a step needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Weight {
    /// Its name, unique in the network: `layer1.0.conv1.weight`, folded or not.
    pub name: String,
    /// The source of its values.
    pub source: WeightSource,
    /// The sizes of the unpacked tensor.
    pub shape: Vec<usize>,
    /// Its layout.
    pub layout: WeightLayout,
}

impl Weight {
    /// Its length in floats, packed.
    pub fn len(&self) -> usize {
        let [filters, channels, kh, kw] = [0, 1, 2, 3].map(|i| self.shape.get(i).copied().unwrap_or(1));
        match self.layout {
            WeightLayout::Plain => self.shape.iter().product(),
            WeightLayout::Filters { lanes, groups, plain } => pack::packed_len(lanes, [filters, channels, kh, kw], groups, plain),
            WeightLayout::Channels { lanes } => self.shape.iter().product::<usize>().next_multiple_of(lanes),
            WeightLayout::Depthwise { lanes } => filters.next_multiple_of(lanes) * kh * kw,
            WeightLayout::Winograd { lanes, size } => winograd::packed_len(lanes, [filters, channels], size),
        }
    }

    /// Bytes of the unpacked tensor.
    pub(super) fn unpacked_bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * size_of::<f32>()
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The source of a weight's values.
#[derive(Clone, Debug, PartialEq)]
pub enum WeightSource {
    /// A parameter of the graph.
    Param(ParamSource),
    /// The weight for the gradient of a convolution's input: filters and channels of each group are transposed, and the kernel
    /// is flipped along both axes.
    Transposed {
        /// The weight `[filters, channels / groups, height, width]`.
        param: ParamSource,
        /// The number of channel groups.
        groups: usize,
    },
    /// `weight / sqrt(running_var + eps)` of a norm that could not be folded.
    NormScale {
        /// The norm.
        norm: String,
        /// Its epsilon.
        eps: f64,
    },
    /// `bias - running_mean * scale` of that norm.
    NormShift {
        /// The norm.
        norm: String,
        /// Its epsilon.
        eps: f64,
    },
}
