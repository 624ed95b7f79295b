//! Convolutions.

use super::channel_conv::CHANNEL_CONV;
use super::schema::{Attribute, Kind, Operator, Rule, Schema, Shown};
use super::value::{AttrValue, Attributes, Invalid};
use crate::ir::attrs::{Conv, Epilogue, Standardize};
use crate::ir::dim::Shape;
use crate::ir::op::Op;

/// The padding that keeps the size at stride 1.
const SAME: Rule = Rule {
    text: "dilation * (kernel - 1) / 2 for an odd kernel",
    value: |others| Conv::default_padding(others.find("kernel")?, others.find("dilation")?).map(AttrValue::Sides),
    missing: "no symmetric padding of an even kernel keeps the size, so `padding` must be given",
};

pub(super) const KERNEL: Attribute<'static> = Attribute::required("kernel", Kind::Window, "the window").positional();
const STRIDE: Attribute<'static> =
    Attribute::with_default("stride", Kind::Size, AttrValue::Size([1, 1]), "the step of the window");
const PADDING: Attribute<'static> = Attribute::with_rule("padding", Kind::Sides, &SAME, "zeros around the feature map");
pub(super) const DILATION: Attribute<'static> =
    Attribute::with_default("dilation", Kind::Size, AttrValue::Size([1, 1]), "the distance between kernel elements");
pub(super) const GROUPS: Attribute<'static> =
    Attribute::with_default("groups", Kind::Count, AttrValue::Count(1), "channel groups, each convolved by itself");
pub(super) const BIAS: Attribute<'static> =
    Attribute::with_default("bias", Kind::Flag, AttrValue::Flag(false), "whether a learned bias is added");

/// The convolution of these attributes.
fn conv(given: &Attributes<'_>, filters: usize, groups: usize) -> Result<Op, Invalid> {
    Ok(Op::Conv(Conv {
        filters,
        kernel: given.get("kernel")?,
        stride: given.get("stride")?,
        pad: given.get("padding")?,
        dilation: given.get("dilation")?,
        groups,
        bias: given.get("bias")?,
        standardize: standardize(given)?,
        epilogue: Epilogue::default(),
    }))
}

/// The standardization of the weight; a `gain` only goes with one.
fn standardize(given: &Attributes<'_>) -> Result<Option<Standardize>, Invalid> {
    match (given.find("standardize"), given.find("gain")) {
        (None, Some::<f64>(_)) => {
            Err(Invalid::new("`gain` scales standardized filters, and needs `standardize`", "there is no `standardize: 1e-6`"))
        }
        (eps, gain) => Ok(eps.map(|eps| Standardize { eps, gain })),
    }
}

pub(super) const OPERATORS: &[Operator] = &[
    Operator {
        schema: Schema::new(
            "conv",
            "Convolution.",
            &[
                KERNEL,
                Attribute::required("filters", Kind::Count, "output channels").shown(Shown::Bare),
                STRIDE,
                PADDING,
                DILATION,
                GROUPS,
                BIAS,
                Attribute::optional(
                    "standardize",
                    Kind::Number,
                    "none",
                    "each filter is shifted and scaled to mean 0 and variance 1 first; the number is added to the variance",
                ),
                Attribute::optional(
                    "gain",
                    Kind::Number,
                    "none",
                    "with `standardize`: filters are multiplied by a learned `gain`, and by this number over the square root of their size",
                ),
            ],
        )
        .examples(&["conv 3x3, filters: 64, stride: 2", "conv 3x3, filters: 8, standardize: 1e-6"]),
        read: |given, _| conv(given, given.get("filters")?, given.get("groups")?),
        write: |op| {
            let Op::Conv(conv) = op else { return None };
            let mut list = Attributes::from([
                ("kernel", conv.kernel.into()),
                ("filters", conv.filters.into()),
                ("stride", conv.stride.into()),
                ("padding", conv.pad.into()),
                ("dilation", conv.dilation.into()),
                ("groups", conv.groups.into()),
                ("bias", conv.bias.into()),
            ]);
            if let Some(Standardize { eps, gain }) = conv.standardize {
                list.push("standardize", eps);
                gain.into_iter().for_each(|gain| list.push("gain", gain));
            }
            Some(list)
        },
    },
    DEPTHWISE,
    CHANNEL_CONV,
];

/// A convolution of each channel by itself, which is a `conv` once the channels are known.
const DEPTHWISE: Operator = Operator {
    schema: Schema::new(
        "depthwise",
        "Depthwise convolution: `conv` with a filter, and a group, for each channel.",
        &[
            KERNEL,
            Attribute::with_default("multiplier", Kind::Count, AttrValue::Count(1), "filters for each channel"),
            STRIDE,
            PADDING,
            DILATION,
            BIAS,
        ],
    )
    .examples(&["depthwise 3x3, stride: 2"]),
    read: |given, operands| {
        // without known channels there is an error already, and no node
        let channels = operands.first().and_then(Shape::channels).unwrap_or(1);
        let multiplier: usize = given.get("multiplier")?;
        let Some(filters) = channels.checked_mul(multiplier) else {
            let message = format!("{multiplier} filters for each of {channels} channels are too many");
            return Err(Invalid::new(message, "out of range"));
        };
        conv(given, filters, channels)
    },
    write: |_| None,
};

impl Conv {
    /// `depthwise` and its attributes, if each of several channels is convolved by itself.
    pub(super) fn depthwise(&self, channels: usize) -> Option<(&'static Schema<'static>, Attributes<'static>)> {
        let multiplier = self.filters.checked_div(channels)?;
        let is_depthwise = channels > 1
            && self.standardize.is_none()
            && self.groups == channels
            && multiplier > 0
            && self.filters == channels * multiplier;
        is_depthwise.then(|| {
            let attributes = Attributes::from([
                ("kernel", self.kernel.into()),
                ("multiplier", multiplier.into()),
                ("stride", self.stride.into()),
                ("padding", self.pad.into()),
                ("dilation", self.dilation.into()),
                ("bias", self.bias.into()),
            ]);
            (&DEPTHWISE.schema, attributes)
        })
    }
}
