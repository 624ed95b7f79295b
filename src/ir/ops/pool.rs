//! Pools: over windows, to a fixed size, and of the whole feature map.

use super::schema::{Alone, Attribute, Kind, Operator, Rule, Schema, Shown};
use super::value::{AttrValue, Attributes, Invalid};
use crate::ir::attrs::{Pair, Pool, PoolKind};
use crate::ir::op::Op;

const GLOBAL: &str = "global";

const OWN_KERNEL: Rule = Rule { text: "the kernel", value: |others| others.value("kernel"), missing: "" };

/// The padding that keeps the size at stride 1.
const SAME: Rule = Rule {
    text: "(kernel - 1) / 2 for an odd kernel, 0 for an even one",
    value: |others| Some(Pool::default_padding(others.find("kernel")?, [1, 1]).into()),
    missing: "",
};

/// As [`SAME`], with a dilation.
const SAME_DILATED: Rule = Rule {
    text: "dilation * (kernel - 1) / 2 for an odd kernel, 0 for an even one",
    value: |others| Some(Pool::default_padding(others.find("kernel")?, others.find("dilation")?).into()),
    missing: "",
};

const STRIDE: Attribute<'_> =
    Attribute::with_rule("stride", Kind::Size, &OWN_KERNEL, "the step of the window").shown(Shown::Always);
const CEIL: Attribute<'_> =
    Attribute::with_default("ceil_mode", Kind::Flag, AttrValue::Flag(false), "whether the output size is rounded up");

const fn padding(rule: &'static Rule) -> Attribute<'static> {
    let shown = Shown::Unless(AttrValue::Sides([[0; 2]; 2]));
    Attribute::with_rule("padding", Kind::Sides, rule, "padding around the feature map").shown(shown)
}

pub(super) const OPERATORS: &[Operator] = &[
    Operator {
        schema: Schema::new(
            "maxpool",
            "Largest value of each window; padding never wins. Of the whole feature map with `global`.",
            &[
                Attribute::required("kernel", Kind::WindowOr(GLOBAL), "the window").positional(),
                STRIDE,
                padding(&SAME_DILATED),
                Attribute::with_default("dilation", Kind::Size, AttrValue::Size([1, 1]), "the distance between kernel elements"),
                CEIL,
            ],
        )
        .alone(&[Alone { key: "kernel", word: Some(GLOBAL) }])
        .examples(&["maxpool 3x3, stride: 2", "maxpool global"]),
        read: |given, _| {
            if given.find("kernel") == Some(GLOBAL) {
                return Ok(Op::GlobalMaxPool);
            }
            window(given, PoolKind::Max { dilation: given.get("dilation")? })
        },
        write: |op| match op {
            Op::GlobalMaxPool => Some(Attributes::from([("kernel", GLOBAL.into())])),
            Op::Pool(pool @ Pool { kind: PoolKind::Max { dilation }, .. }) => Some(Attributes::from([
                ("kernel", pool.kernel.into()),
                ("stride", pool.stride.into()),
                ("padding", pool.pad.into()),
                ("dilation", (*dilation).into()),
                ("ceil_mode", pool.ceil.into()),
            ])),
            _ => None,
        },
    },
    Operator {
        schema: Schema::new(
            "avgpool",
            "Mean of each window; of the whole feature map with `global`; to a fixed size with `output_size`.",
            &[
                Attribute::required_unless("kernel", Kind::WindowOr(GLOBAL), "none, where `output_size` is given", "the window")
                    .positional(),
                Attribute::optional(
                    "output_size",
                    Kind::Window,
                    "none",
                    "the size of the result, whatever the input's; PyTorch's adaptive pool",
                ),
                STRIDE,
                padding(&SAME),
                CEIL,
                Attribute::with_default(
                    "count_include_pad",
                    Kind::Flag,
                    AttrValue::Flag(true),
                    "whether padding counts in the divisor",
                ),
            ],
        )
        .alone(&[Alone { key: "kernel", word: Some(GLOBAL) }, Alone { key: "output_size", word: None }])
        .examples(&["avgpool global", "avgpool 2x2", "avgpool output_size: 7x7"]),
        read: |given, _| {
            if given.find("kernel") == Some(GLOBAL) {
                return Ok(Op::AdaptiveAvgPool([1, 1]));
            }
            if let Some(size) = given.find("output_size") {
                return Ok(Op::AdaptiveAvgPool(size));
            }
            window(given, PoolKind::Avg { count_pad: given.get("count_include_pad")? })
        },
        write: |op| match op {
            Op::AdaptiveAvgPool([1, 1]) => Some(Attributes::from([("kernel", GLOBAL.into())])),
            Op::AdaptiveAvgPool(size) => Some(Attributes::from([("output_size", (*size).into())])),
            Op::Pool(pool @ Pool { kind: PoolKind::Avg { count_pad }, .. }) => Some(Attributes::from([
                ("kernel", pool.kernel.into()),
                ("stride", pool.stride.into()),
                ("padding", pool.pad.into()),
                ("ceil_mode", pool.ceil.into()),
                ("count_include_pad", (*count_pad).into()),
            ])),
            _ => None,
        },
    },
];

fn window(given: &Attributes<'_>, kind: PoolKind) -> Result<Op, Invalid> {
    let kernel: Pair = given.get("kernel")?;
    let (stride, pad, ceil) = (given.get("stride")?, given.get("padding")?, given.get("ceil_mode")?);
    Ok(Op::Pool(Pool { kind, kernel, stride, pad, ceil }))
}
