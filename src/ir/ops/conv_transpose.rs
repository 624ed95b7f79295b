//! Transposed convolutions.

use super::conv::{BIAS, DILATION, GROUPS, KERNEL};
use super::schema::{Attribute, Kind, Operator, Schema, Shown};
use super::value::{AttrValue, Attributes};
use crate::ir::conv_transpose::ConvTranspose;
use crate::ir::op::Op;

pub(super) const OPERATORS: &[Operator] = &[CONV_TRANSPOSE];

const CONV_TRANSPOSE: Operator = Operator {
    schema: Schema::new(
        "conv_transpose",
        "Transposed convolution, which enlarges a feature map by its stride: PyTorch's `nn.ConvTranspose2d`. The size is `(size - 1) * \
         stride - padding on both sides + dilation * (kernel - 1) + output_padding + 1`; `weight` is channels x filters / groups x kernel.",
        &[
            KERNEL,
            Attribute::required("filters", Kind::Count, "output channels").shown(Shown::Bare),
            Attribute::with_default("stride", Kind::Size, AttrValue::Size([1, 1]), "the step between the windows of neighboring values"),
            Attribute::with_default(
                "padding",
                Kind::Sides,
                AttrValue::Sides([[0; 2]; 2]),
                "rows and columns that are left out at the sides of the result",
            ),
            Attribute::with_default(
                "output_padding",
                Kind::Size,
                AttrValue::Size([0, 0]),
                "more rows at the bottom and columns on the right, fewer than `stride` or `dilation`",
            ),
            DILATION,
            GROUPS,
            BIAS,
        ],
    )
    .examples(&["conv_transpose 2x2, filters: 64, stride: 2"]),
    read: |given, _| {
        Ok(Op::ConvTranspose(ConvTranspose {
            filters: given.get("filters")?,
            kernel: given.get("kernel")?,
            stride: given.get("stride")?,
            pad: given.get("padding")?,
            output_padding: given.get("output_padding")?,
            dilation: given.get("dilation")?,
            groups: given.get("groups")?,
            bias: given.get("bias")?,
        }))
    },
    write: |op| {
        let Op::ConvTranspose(conv) = op else { return None };
        Some(Attributes::from([
            ("kernel", conv.kernel.into()),
            ("filters", conv.filters.into()),
            ("stride", conv.stride.into()),
            ("padding", conv.pad.into()),
            ("output_padding", conv.output_padding.into()),
            ("dilation", conv.dilation.into()),
            ("groups", conv.groups.into()),
            ("bias", conv.bias.into()),
        ]))
    },
};
