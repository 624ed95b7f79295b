//! Functions of each element.

use super::schema::{Attribute, Kind, Operands, Operator, Schema};
use super::value::{AttrValue, Invalid};
use crate::base::codes;
use crate::elementwise::MAX_OPERANDS;
use crate::ir::elementwise::{Broadcast, Elementwise};

pub(super) const OPERATORS: &[Operator] = &[
    Operator {
        schema: Schema::new("relu", "max(x, 0).", &[]).examples(&["relu"]),
        read: |_, _| Ok(Elementwise::relu().into()),
        write: |_| None,
    },
    Operator {
        schema: Schema::new("sigmoid", "1 / (1 + exp(-x)).", &[]).examples(&["sigmoid"]),
        read: |_, _| Ok(Elementwise::sigmoid().into()),
        write: |_| None,
    },
    Operator {
        schema: Schema::new(
            "clamp",
            "min(max(x, min), max); `clamp min: 0, max: 6` is ReLU6.",
            &[
                Attribute::optional("min", Kind::Real, "no limit", "the minimum"),
                Attribute::optional("max", Kind::Real, "no limit", "the maximum"),
            ],
        )
        .examples(&["clamp min: 0, max: 6"]),
        read: |given, _| {
            let low = given.find("min").unwrap_or(f32::NEG_INFINITY);
            let high = given.find("max").unwrap_or(f32::INFINITY);
            if low > high {
                return Err(Invalid::new(format!("nothing lies between {low} and {high}"), "`min` is above `max`"));
            }
            Ok(Elementwise::clamp(low, high).into())
        },
        write: |_| None,
    },
    Operator {
        schema: Schema::new(
            "scale",
            "times * x + plus; `scale -1, plus: 1` is 1 - x.",
            &[
                Attribute::required("times", Kind::Real, "the factor").positional(),
                Attribute::with_default("plus", Kind::Real, AttrValue::Number(0.0), "what is added to the product"),
            ],
        )
        .examples(&["scale -1, plus: 1"]),
        read: |given, _| Ok(Elementwise::affine(given.get("times")?, given.get("plus")?).into()),
        write: |_| None,
    },
    Operator {
        schema: Schema::new(
            "add",
            "`add shortcut`, or `add LABEL, …`: the sum of the current value and those.",
            &[Attribute::optional("project_from", Kind::Label, "the block's input", "the value that a shortcut projects")],
        )
        .joins(Operands::Several)
        .examples(&["add shortcut", "add LABEL"]),
        // too few operands are reported by the shape rule
        read: |_, operands| match Elementwise::add(operands.len().max(2)) {
            Some(sum) => Ok(sum.into()),
            None => {
                let message = format!("`add` joins {} values; at most {MAX_OPERANDS} are added at once", operands.len());
                Err(Invalid { code: codes::LIMIT, ..Invalid::new(message, "too many") })
            }
        },
        write: |_| None,
    },
    Operator {
        schema: Schema::new("mul", "`mul LABEL`: the product, element by element or channel by channel.", &[])
            .joins(Operands::Two)
            .examples(&["mul LABEL"]),
        read: |_, operands| {
            let factor = match operands {
                [x, factor, ..] => Broadcast::of_factor(x, factor),
                _ => Broadcast::Full,
            };
            Ok(Elementwise::mul(factor).into())
        },
        write: |_| None,
    },
];
