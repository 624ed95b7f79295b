//! The operators. What differs by operator is a fact in `ops::facts`, or an exhaustive `match` in one of the back ends.

use serde::{Deserialize, Serialize};

use super::attrs::{Act, BatchNorm, Clamp, Conv, Linear, Pad, Pair, Pool, Scale};
use super::{Shape, Train};

/// An operator. Operands are ordered by slot; every operator yields one value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Op {
    /// The network's input, of the declared shape. No operand.
    Input(Shape),
    /// Convolution. Operands: `x`, then the residual if the epilogue has one.
    Conv(Conv),
    /// Batch normalization.
    BatchNorm(BatchNorm),
    /// Activation.
    Act(Act),
    /// Element-wise sum of two or more operands of equal shape.
    Add,
    /// Element-wise product of two operands; the second may be `C x 1 x 1` against `C x H x W`.
    Mul,
    /// Concatenation of two or more operands along the channels.
    Concat,
    /// Pooling over windows.
    Pool(Pool),
    /// Average pool to a fixed output size (PyTorch's `AdaptiveAvgPool2d`); `[1, 1]` is the global pool.
    AdaptiveAvgPool(Pair),
    /// Maximum over the whole feature map.
    GlobalMaxPool,
    /// `C x H x W` to `C H W` features.
    Flatten,
    /// Fully connected.
    Linear(Linear),
    /// Softmax over the features, or over the channels of a feature map.
    Softmax,
    /// Dropout with this probability; the identity in inference.
    Dropout(f64),
    /// Padding.
    Pad(Pad),
    /// Every `stride`-th row and column from the first (`x[:, :, ::s, ::s]`).
    Subsample(Pair),
    /// Nearest-neighbor upsampling (PyTorch's `interpolate` in mode `nearest`), by a factor for the rows and
    /// columns, or to the size of a second operand.
    Upsample(Option<Pair>),
    /// `min(max(x, low), high)`, PyTorch's `clamp`.
    Clamp(Clamp),
    /// `times * x + plus`.
    Scale(Scale),
    /// An operator that only training steps use.
    Train(Train),
}
