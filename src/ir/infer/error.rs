//! Why an operator does not fit its operands.

use thiserror::Error;

use crate::base::tensor::DType;
use crate::ir::{Dim, Rows, Shape};

/// Why an operator does not fit its operands.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ShapeError {
    /// Wrong number of operands.
    #[error("`{op}` takes {takes} operands, not {got}")]
    Arity {
        /// The operator.
        op: Box<str>,
        /// The number of operands it takes, in words.
        takes: &'static str,
        /// The number of operands given.
        got: usize,
    },
    /// Needs a feature map or a vector and got the other.
    #[error("`{op}` needs a {needs}, not {got}")]
    Rank {
        /// The operator.
        op: Box<str>,
        /// `feature map (channels x height x width)` or `vector of features`.
        needs: &'static str,
        /// The operand.
        got: Shape,
    },
    /// Operands of `add`, or of `mul`, differ.
    #[error("the operands of `{op}` differ: {left} and {right}")]
    Unequal {
        /// The operator.
        op: Box<str>,
        /// First operand.
        left: Shape,
        /// The operand that differs.
        right: Shape,
        /// Its slot.
        slot: usize,
    },
    /// An operand of an elementwise function does not have its declared shape.
    #[error("`{operand}` of `{op}` must be {needs} next to {}, not {}", shapes[0], shapes[1])]
    Broadcast {
        /// The function.
        op: Box<str>,
        /// The operand's name.
        operand: Box<str>,
        /// The shape that its kind stands for.
        needs: &'static str,
        /// The first operand, and this one; boxed, so that results stay small.
        shapes: Box<[Shape; 2]>,
        /// Its slot.
        slot: usize,
    },
    /// Channels or filters not divisible by groups.
    #[error("{count} {what} cannot be split into {groups} groups")]
    Groups {
        /// `channels` or `filters`.
        what: &'static str,
        /// How many.
        count: usize,
        /// Into how many.
        groups: usize,
    },
    /// The window is larger than the padded feature map.
    #[error("a window of {window} does not fit a feature map of {map} with padding {padding}")]
    Window {
        /// Extent of the (dilated) window along the axis.
        window: usize,
        /// The feature map's size along the axis.
        map: Dim,
        /// Total padding of both sides.
        padding: usize,
    },
    /// A pool's padding is as large as its window, so a window would see only padding.
    #[error("padding {padding} is as large as the window {window}")]
    PoolPadding {
        /// Padding of a side.
        padding: usize,
        /// The window, from its first to its last value.
        window: usize,
    },
    /// A dilated window that can fall entirely in the padding.
    #[error("a window with dilation {dilation} can fall entirely in the padding ({padding}) around a feature map of {map}")]
    WindowInPadding {
        /// Distance between kernel elements.
        dilation: usize,
        /// The feature map's size along the axis.
        map: Dim,
        /// Padding before the feature map.
        padding: usize,
    },
    /// Reflection padding that is not smaller than the feature map.
    #[error("reflection padding of {padding} is too large for a feature map of {map}")]
    ReflectPadding {
        /// Padding of a side.
        padding: usize,
        /// The feature map's size along the axis.
        map: Dim,
    },
    /// Channel padding in a mode other than zeros.
    #[error("`{op}` can only pad channels with zeros")]
    PadChannels {
        /// The operator.
        op: Box<str>,
    },
    /// A number that must be at least 1 is 0.
    #[error("{what} must be at least 1")]
    Zero {
        /// The attribute.
        what: &'static str,
    },
    /// Output padding as large as the stride and the dilation of a transposed convolution.
    #[error("`output_padding` {padding} is not less than the stride ({stride}) or the dilation ({dilation})")]
    OutputPadding {
        /// The rows or columns that it adds.
        padding: usize,
        /// The step.
        stride: usize,
        /// Distance between kernel elements.
        dilation: usize,
    },
    /// Padding that leaves out all of a transposed convolution's result.
    #[error("padding {padding} leaves nothing of the {size} rows or columns of the result")]
    NothingLeft {
        /// Padding of both sides.
        padding: usize,
        /// The size without padding.
        size: usize,
    },
    /// A crop that leaves nothing.
    #[error("nothing is left of {size} without {cropped}")]
    Cropped {
        /// What is taken off at both ends.
        cropped: usize,
        /// The size along the axis.
        size: Dim,
    },
    /// `ceil_mode` on a free size where the last window could start in the trailing padding and be dropped: the output size then
    /// has no form as a free [`Dim`].
    #[error("with `ceil_mode`, the output size of `{op}` on {shape} has no closed form")]
    FreeCeil {
        /// The operator.
        op: Box<str>,
        /// The operand.
        shape: Shape,
    },
    /// A stride on a free size that was enlarged by a factor which neither divides it nor is divided by it.
    #[error("the size of a feature map of {map} after a stride of {stride} has no closed form")]
    FreeStride {
        /// The step.
        stride: usize,
        /// The feature map's size along the axis.
        map: Dim,
    },
    /// Needs a fixed size, but height or width is free.
    #[error("`{op}` needs a fixed size, and {shape} is free")]
    Free {
        /// The operator.
        op: Box<str>,
        /// The operand.
        shape: Shape,
    },
    /// A slice exceeds its operand.
    #[error("channels {start} to {} are not in {all}", start.saturating_add(*count))]
    Slice {
        /// The first channel.
        start: usize,
        /// How many.
        count: usize,
        /// Of how many.
        all: usize,
    },
    /// Rows, columns or channels that are no whole number of blocks.
    #[error("{count} {what} are no whole number of blocks of {block}")]
    Blocks {
        /// `rows`, `columns` or `channels`.
        what: &'static str,
        /// How many.
        count: usize,
        /// How many make a block.
        block: usize,
    },
    /// A reshape to another number of values.
    #[error("{from} has {values} values, which {to} cannot hold")]
    Reshape {
        /// The operand.
        from: Shape,
        /// Its values.
        values: usize,
        /// The sizes of the result.
        to: String,
    },
    /// A 2-D window, stride or padding on a 1-D input.
    #[error("`{op}` has 2-D sizes, but its input {shape} is 1-D")]
    OneDimensional {
        /// The operator.
        op: Box<str>,
        /// The operand.
        shape: Shape,
    },
    /// Elements of another type.
    #[error("`{op}` needs elements of type {needs}, not {got}")]
    DType {
        /// The operator.
        op: Box<str>,
        /// The type that it computes with.
        needs: DType,
        /// The operand's.
        got: DType,
    },
    /// Rows of another kind.
    #[error("`{op}` needs {needs}, not {got}")]
    Rows {
        /// The operator.
        op: Box<str>,
        /// The rows that it reads.
        needs: Rows,
        /// The operand's.
        got: Rows,
    },
    /// Too large to count.
    #[error("the value would have more than 2^40 elements")]
    TooLarge,
}
