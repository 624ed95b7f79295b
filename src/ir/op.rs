//! The operators. What differs by operator is a fact in `ops::facts`, or an exhaustive `match` in one of the back ends.

use std::sync::Arc;

use super::attrs::{BatchNorm, Conv, Gem, Linear, Pad, Pair, Pool, Reduction, SampleNorm, Sides};
use super::{Broadcast, ConvTranspose, CustomOp, Elementwise, Rearrange, Shape, Train, Upsample};
use crate::elementwise::Program;

/// An operator. Operands are ordered by slot; every operator yields one value.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// The network's input, of the declared shape. No operand.
    Input(Shape),
    /// Convolution. Operands: `x`, then the residual if the epilogue has one.
    Conv(Conv),
    /// Convolution of the channels of a 1 x 1 feature map, or of the features of a vector, by one filter with this many elements. Weight
    /// `[1, 1, kernel]`, zero padding that keeps the size.
    ChannelConv(usize),
    /// Transposed convolution.
    ConvTranspose(ConvTranspose),
    /// Batch normalization.
    BatchNorm(BatchNorm),
    /// Normalization of each sample on its own: layer norm, group norm, instance norm.
    SampleNorm(SampleNorm),
    /// A function of each element: an activation, a sum or product of values, an expression.
    Elementwise(Arc<Elementwise>),
    /// Concatenation of two or more operands along the channels.
    Concat,
    /// Pooling over windows.
    Pool(Pool),
    /// Average pool to a fixed output size (PyTorch's `AdaptiveAvgPool2d`); `[1, 1]` is the global pool.
    AdaptiveAvgPool(Pair),
    /// Maximum over the whole feature map.
    GlobalMaxPool,
    /// One value for the channels of each place: `C x H x W` to `1 x H x W`, and features to one.
    OverChannels(Reduction),
    /// The channels of each place over their Euclidean norm (PyTorch's `F.normalize`), or over this number where the norm is smaller.
    L2Norm(f64),
    /// Generalized-mean pooling of the whole feature map.
    Gem(Gem),
    /// `C x H x W` to `C H W` features.
    Flatten,
    /// Fully connected.
    Linear(Linear),
    /// Softmax over the features, or over the channels of a feature map; or over this many groups of them, so that the values of a
    /// channel add up to 1 over the groups.
    Softmax(Option<usize>),
    /// Dropout with this probability; the identity in inference.
    Dropout(f64),
    /// Padding.
    Pad(Pad),
    /// A feature map without these rows and columns at its sides.
    Crop(Sides),
    /// Every `stride`-th row and column from the first (`x[:, :, ::s, ::s]`).
    Subsample(Pair),
    /// A feature map at another size. A second operand may have the size.
    Upsample(Upsample),
    /// The channels (or features) of this range.
    Slice(std::ops::Range<usize>),
    /// Channels, rows and columns in another order: shuffles, transpositions, squares of pixels as channels.
    Rearrange(Rearrange),
    /// An operator that only training steps use.
    Train(Train),
    /// An operator that is given by the program around this crate: no source declares it, and no file has it.
    Custom(CustomOp),
}

impl Op {
    /// `max(x, 0)`.
    pub fn relu() -> Op {
        Elementwise::relu().into()
    }

    /// The sum of two values.
    pub fn add() -> Op {
        Elementwise::new("add", vec![Broadcast::Full; 2], Program::sum(2)).into()
    }

    /// The elementwise function, if it is one.
    pub fn as_elementwise(&self) -> Option<&Arc<Elementwise>> {
        match self {
            Op::Elementwise(function) => Some(function),
            _ => None,
        }
    }

    /// Whether it is a sum of values, `add`.
    pub fn is_add(&self) -> bool {
        self.as_elementwise().is_some_and(|function| function.name == "add")
    }

    /// Whether it is a product of two values, `mul`.
    pub fn is_mul(&self) -> bool {
        self.as_elementwise().is_some_and(|function| function.name == "mul")
    }

    /// Whether it is a function of one value: an activation.
    pub fn is_activation(&self) -> bool {
        self.as_elementwise().is_some_and(|function| function.values().count() == 1)
    }
}

impl From<Elementwise> for Op {
    fn from(function: Elementwise) -> Op {
        Op::Elementwise(Arc::new(function))
    }
}
