//! Joins of values, element by element. Functions of one value are those of `std.activations`, and a file's own.

use super::schema::{Attribute, Kind, Operands, Operator, Schema};
use super::value::Invalid;
use crate::base::codes;
use crate::elementwise::MAX_OPERANDS;
use crate::ir::elementwise::{Broadcast, Elementwise};

pub(super) const OPERATORS: &[Operator] = &[
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
        schema: Schema::new("mul", "`mul LABEL`: the product, element by element or channel by channel. A gate of one channel is a parameter `gate: pixel` of an elementwise function.", &[])
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
