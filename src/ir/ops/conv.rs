//! Convolution.

use super::schema::{Attribute, Kind, Operator, Rule, Schema, Shown};
use super::value::{AttrValue, Attributes};
use crate::ir::attrs::{Conv, Epilogue};
use crate::ir::op::Op;

/// The padding that keeps the size at stride 1.
const SAME: Rule = Rule {
    text: "dilation * (kernel - 1) / 2 for an odd kernel",
    value: |others| Conv::default_padding(others.find("kernel")?, others.find("dilation")?).map(AttrValue::Sides),
    missing: "no symmetric padding of an even kernel keeps the size, so `padding` must be given",
};

pub(super) const OPERATORS: &[Operator] = &[Operator {
    schema: Schema::new(
        "conv",
        "Convolution.",
        &[
            Attribute::required("kernel", Kind::Window, "the window").positional(),
            Attribute::required("filters", Kind::Count, "output channels").shown(Shown::Bare),
            Attribute::with_default("stride", Kind::Size, AttrValue::Size([1, 1]), "the step of the window"),
            Attribute::with_rule("padding", Kind::Sides, &SAME, "zeros around the feature map"),
            Attribute::with_default("dilation", Kind::Size, AttrValue::Size([1, 1]), "the distance between kernel elements"),
            Attribute::with_default("groups", Kind::Count, AttrValue::Count(1), "channel groups, each convolved by itself"),
            Attribute::with_default("bias", Kind::Flag, AttrValue::Flag(false), "whether a learned bias is added"),
        ],
    )
    .examples(&["conv 3x3, filters: 64, stride: 2"]),
    read: |given, _| {
        Ok(Op::Conv(Conv {
            filters: given.get("filters")?,
            kernel: given.get("kernel")?,
            stride: given.get("stride")?,
            pad: given.get("padding")?,
            dilation: given.get("dilation")?,
            groups: given.get("groups")?,
            bias: given.get("bias")?,
            epilogue: Epilogue::default(),
        }))
    },
    write: |op| {
        let Op::Conv(conv) = op else { return None };
        Some(Attributes::from([
            ("kernel", conv.kernel.into()),
            ("filters", conv.filters.into()),
            ("stride", conv.stride.into()),
            ("padding", conv.pad.into()),
            ("dilation", conv.dilation.into()),
            ("groups", conv.groups.into()),
            ("bias", conv.bias.into()),
        ]))
    },
}];
