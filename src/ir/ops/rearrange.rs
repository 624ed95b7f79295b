//! Operators that reorder values.

use super::schema::{Attribute, Kind, Operator, Schema};
use super::value::{AttrValue, Attributes, Invalid};
use crate::ir::op::Op;
use crate::ir::rearrange::{Rearrange, SquareOrder, Squares};

const SIDE: &[Attribute<'static>] =
    &[Attribute::required("block_size", Kind::Count, "rows and columns of a square of pixels").positional()];

/// The operator that turns squares into channels, or back.
fn squares(given: &Attributes<'_>, order: SquareOrder, of: fn(Squares) -> Rearrange) -> Result<Op, Invalid> {
    Ok(Op::Rearrange(of(Squares { side: given.get("block_size")?, order })))
}

/// Its attributes, if it is in this order.
fn side(squares: Squares, order: SquareOrder) -> Option<Attributes<'static>> {
    (squares.order == order).then(|| Attributes::from([("block_size", squares.side.into())]))
}

pub(super) const OPERATORS: &[Operator] = &[
    Operator {
        schema: Schema::new(
            "shuffle",
            "Interleaves groups of channels: the first of every group, then the second of every group (Zhang et al. 2018, \
             \"ShuffleNet\"): PyTorch's `ChannelShuffle`.",
            &[Attribute::required("groups", Kind::Count, "how many groups, which divide the channels").positional()],
        )
        .examples(&["shuffle groups: 2"]),
        read: |given, _| Ok(Op::Rearrange(Rearrange::Shuffle(given.get("groups")?))),
        write: |op| {
            let Op::Rearrange(Rearrange::Shuffle(groups)) = op else { return None };
            Some(Attributes::from([("groups", (*groups).into())]))
        },
    },
    Operator {
        schema: Schema::new(
            "space_to_depth",
            "Each square of pixels becomes one pixel with more channels: all channels of the square's first pixel, then those of \
             the next (ONNX's `SpaceToDepth`).",
            SIDE,
        )
        .examples(&["space_to_depth 2"]),
        read: |given, _| squares(given, SquareOrder::ByPixel, Rearrange::SpaceToDepth),
        write: |op| {
            let Op::Rearrange(Rearrange::SpaceToDepth(squares)) = op else { return None };
            side(*squares, SquareOrder::ByPixel)
        },
    },
    Operator {
        schema: Schema::new(
            "depth_to_space",
            "Undoes `space_to_depth`: channels become the pixels of squares (ONNX's `DepthToSpace` in mode `DCR`).",
            SIDE,
        )
        .examples(&["depth_to_space 2"]),
        read: |given, _| squares(given, SquareOrder::ByPixel, Rearrange::DepthToSpace),
        write: |op| {
            let Op::Rearrange(Rearrange::DepthToSpace(squares)) = op else { return None };
            side(*squares, SquareOrder::ByPixel)
        },
    },
    Operator {
        schema: Schema::new(
            "pixel_unshuffle",
            "Each square of pixels becomes one pixel with more channels: all pixels of the first channel, then those of the next \
             (PyTorch's `PixelUnshuffle`).",
            SIDE,
        )
        .examples(&["pixel_unshuffle 2"]),
        read: |given, _| squares(given, SquareOrder::ByChannel, Rearrange::SpaceToDepth),
        write: |op| {
            let Op::Rearrange(Rearrange::SpaceToDepth(squares)) = op else { return None };
            side(*squares, SquareOrder::ByChannel)
        },
    },
    Operator {
        schema: Schema::new(
            "pixel_shuffle",
            "Undoes `pixel_unshuffle` (Shi et al. 2016, \"Real-Time Single Image and Video Super-Resolution\"): PyTorch's \
             `PixelShuffle`.",
            SIDE,
        )
        .examples(&["pixel_shuffle 2"]),
        read: |given, _| squares(given, SquareOrder::ByChannel, Rearrange::DepthToSpace),
        write: |op| {
            let Op::Rearrange(Rearrange::DepthToSpace(squares)) = op else { return None };
            side(*squares, SquareOrder::ByChannel)
        },
    },
    Operator {
        schema: Schema::new(
            "transpose",
            "The axes channels, height and width in another order: `transpose hwc` makes the rows the channels of the result.",
            &[Attribute::required("axes", Kind::Word(Rearrange::PERMUTATIONS), "the axes of the result").positional()],
        )
        .examples(&["transpose hcw"]),
        read: |given, _| {
            let axes = Rearrange::transpose(given.get("axes")?);
            axes.map(Op::Rearrange).ok_or_else(|| Invalid::new("`transpose` needs a permutation of `chw`", "not a permutation"))
        },
        write: |op| {
            let Op::Rearrange(Rearrange::Transpose(axes)) = op else { return None };
            let name =
                Rearrange::PERMUTATIONS.iter().find(|name| Rearrange::transpose(name) == Some(Rearrange::Transpose(*axes)))?;
            Some(Attributes::from([("axes", (*name).into())]))
        },
    },
    Operator {
        schema: Schema::new(
            "reshape",
            "The same values in the same order (row by row, channel by channel) in a feature map of other sizes.",
            &[Attribute::required("shape", Kind::Shape, "channels, height and width; one may be -1: what the others leave")
                .positional()],
        )
        .examples(&["reshape [8, 2, -1]"]),
        read: |given, _| Ok(Op::Rearrange(Rearrange::Reshape(given.get("shape")?))),
        write: |op| {
            let Op::Rearrange(Rearrange::Reshape(sizes)) = op else { return None };
            Some(Attributes::from([("shape", AttrValue::Shape(*sizes))]))
        },
    },
];
