//! Functions of each element.

use super::schema::{Attribute, Kind, Operands, Operator, Schema};
use super::value::{AttrValue, Attributes, Invalid};
use crate::ir::attrs::{Act, Clamp, Scale};
use crate::ir::op::Op;

pub(super) const OPERATORS: &[Operator] = &[
    Operator {
        schema: Schema::new("relu", "max(x, 0).", &[]),
        read: |_| Ok(Op::Act(Act::Relu)),
        write: |op| matches!(op, Op::Act(Act::Relu)).then(Attributes::default),
    },
    Operator {
        schema: Schema::new("sigmoid", "1 / (1 + exp(-x)).", &[]),
        read: |_| Ok(Op::Act(Act::Sigmoid)),
        write: |op| matches!(op, Op::Act(Act::Sigmoid)).then(Attributes::default),
    },
    Operator {
        schema: Schema::new(
            "clamp",
            "min(max(x, min), max); `clamp min: 0, max: 6` is ReLU6.",
            &[
                Attribute::optional("min", Kind::Real, "no limit", "the minimum"),
                Attribute::optional("max", Kind::Real, "no limit", "the maximum"),
            ],
        ),
        read: |given| {
            let clamp = Clamp { min: given.find("min"), max: given.find("max") };
            match clamp.limits() {
                [low, high] if low > high => Err(Invalid {
                    message: format!("nothing lies between {low} and {high}"),
                    label: "`min` is above `max`".to_owned(),
                }),
                _ => Ok(Op::Clamp(clamp)),
            }
        },
        write: |op| {
            let Op::Clamp(clamp) = op else { return None };
            let mut list = Attributes::default();
            for (key, limit) in [("min", clamp.min), ("max", clamp.max)] {
                if let Some(limit) = limit {
                    list.push(key, limit);
                }
            }
            Some(list)
        },
    },
    Operator {
        schema: Schema::new(
            "scale",
            "times * x + plus; `scale -1, plus: 1` is 1 - x.",
            &[
                Attribute::required("times", Kind::Real, "the factor").positional(),
                Attribute::with_default("plus", Kind::Real, AttrValue::Number(0.0), "what is added to the product"),
            ],
        ),
        read: |given| Ok(Op::Scale(Scale { times: given.get("times")?, plus: given.get("plus")? })),
        write: |op| {
            let Op::Scale(scale) = op else { return None };
            Some(Attributes::from([("times", scale.times.into()), ("plus", scale.plus.into())]))
        },
    },
    Operator {
        schema: Schema::new(
            "add",
            "`add shortcut`, or `add LABEL, …`: the sum of the current value and those.",
            &[Attribute::optional("project_from", Kind::Label, "the block's input", "the value that a shortcut projects")],
        )
        .joins(Operands::Several),
        read: |_| Ok(Op::Add),
        write: |op| matches!(op, Op::Add).then(Attributes::default),
    },
    Operator {
        schema: Schema::new("mul", "`mul LABEL`: the product, element by element or channel by channel.", &[])
            .joins(Operands::Two),
        read: |_| Ok(Op::Mul),
        write: |op| matches!(op, Op::Mul).then(Attributes::default),
    },
];
