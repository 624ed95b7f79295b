//! Vectors of features: fully connected layers, flattening, softmax.

use super::schema::{Attribute, Kind, Operator, Schema};
use super::value::{AttrValue, Attributes};
use crate::ir::attrs::{Epilogue, Linear};
use crate::ir::op::Op;

pub(super) const OPERATORS: &[Operator] = &[
    Operator {
        schema: Schema::new(
            "linear",
            "Fully connected; a feature map is flattened first.",
            &[
                Attribute::required("features", Kind::Count, "output features").positional(),
                Attribute::with_default("bias", Kind::Flag, AttrValue::Flag(true), "whether a learned bias is added"),
            ],
        )
        .examples(&["linear 1000"]),
        read: |given, _| {
            let (features, bias) = (given.get("features")?, given.get("bias")?);
            Ok(Op::Linear(Linear { features, bias, epilogue: Epilogue::default() }))
        },
        write: |op| {
            let Op::Linear(linear) = op else { return None };
            Some(Attributes::from([("features", linear.features.into()), ("bias", linear.bias.into())]))
        },
    },
    Operator {
        schema: Schema::new("flatten", "A feature map to a vector.", &[]).examples(&["flatten"]),
        read: |_, _| Ok(Op::Flatten),
        write: |op| matches!(op, Op::Flatten).then(Attributes::default),
    },
    Operator {
        schema: Schema::new("softmax", "Softmax over the features, or the channels of a feature map.", &[])
            .examples(&["softmax"]),
        read: |_, _| Ok(Op::Softmax),
        write: |op| matches!(op, Op::Softmax).then(Attributes::default),
    },
];
