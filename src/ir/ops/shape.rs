//! Operators that pad, thin out or enlarge feature maps, and that join them.

use super::schema::{Attribute, Kind, Operands, Operator, Schema};
use super::upsample;
use super::value::{AttrValue, Attributes};
use crate::ir::attrs::{Pad, PadMode};
use crate::ir::op::Op;

pub(super) const OPERATORS: &[Operator] = &[
    Operator {
        schema: Schema::new(
            "pad",
            "Zeros around the feature map and the channels; or around the map its values reflected at the border (`reflect`), \
             or the border's values repeated (`replicate`): PyTorch's `F.pad`.",
            &[
                Attribute::with_default("sides", Kind::Sides, AttrValue::Sides([[0; 2]; 2]), "rows and columns on each side")
                    .positional(),
                Attribute::with_default("channels", Kind::Ends, AttrValue::Ends([0, 0]), "zero channels before and after"),
                Attribute::with_default(
                    "mode",
                    Kind::Word(PadMode::WORDS),
                    AttrValue::Word(PadMode::Zeros.word()),
                    "what the padding is",
                ),
            ],
        )
        .examples(&["pad 3, mode: reflect", "pad channels: [0, 16]"]),
        read: |given, _| {
            let mode = PadMode::from_word(given.get("mode")?).unwrap_or_default();
            Ok(Op::Pad(Pad { channels: given.get("channels")?, sides: given.get("sides")?, mode }))
        },
        write: |op| {
            let Op::Pad(pad) = op else { return None };
            Some(Attributes::from([
                ("sides", pad.sides.into()),
                ("channels", AttrValue::Ends(pad.channels)),
                ("mode", pad.mode.word().into()),
            ]))
        },
    },
    Operator {
        schema: Schema::new(
            "crop",
            "The feature map without rows and columns at its sides: PyTorch's `F.pad` with negative padding.",
            &[Attribute::required("sides", Kind::Sides, "rows and columns on each side").positional()],
        )
        .examples(&["crop 1", "crop [1, 0, 1, 0]"]),
        read: |given, _| Ok(Op::Crop(given.get("sides")?)),
        write: |op| {
            let Op::Crop(sides) = op else { return None };
            Some(Attributes::from([("sides", (*sides).into())]))
        },
    },
    Operator {
        schema: Schema::new(
            "subsample",
            "Every stride-th row and column, from the first.",
            &[Attribute::required("stride", Kind::Size, "the step").positional()],
        )
        .examples(&["subsample 2"]),
        read: |given, _| Ok(Op::Subsample(given.get("stride")?)),
        write: |op| {
            let Op::Subsample(stride) = op else { return None };
            Some(Attributes::from([("stride", (*stride).into())]))
        },
    },
    upsample::UPSAMPLE,
    Operator {
        schema: Schema::new(
            "slice",
            "Some of the channels of a feature map, or of the features of a vector.",
            &[
                Attribute::required("start", Kind::Count, "the first one, counted from 0"),
                Attribute::required("count", Kind::Count, "how many"),
            ],
        )
        .examples(&["slice start: 0, count: 2"]),
        read: |given, _| {
            let (start, count): (usize, usize) = (given.get("start")?, given.get("count")?);
            Ok(Op::Slice(start..start.saturating_add(count)))
        },
        write: |op| {
            let Op::Slice(range) = op else { return None };
            Some(Attributes::from([("start", range.start.into()), ("count", range.len().into())]))
        },
    },
    Operator {
        schema: Schema::new("concat", "`concat LABEL, …`: the current value's channels, then theirs.", &[])
            .joins(Operands::Several)
            .examples(&["concat LABEL"]),
        read: |_, _| Ok(Op::Concat),
        write: |op| matches!(op, Op::Concat).then(Attributes::default),
    },
];
