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
        schema: Schema::new(
            "softmax",
            "Softmax over the features, or the channels of a feature map; or over groups of them, so that the values of a channel \
             add up to 1 over the groups, as the branches of a selective kernel do (Li et al. 2019).",
            &[Attribute::optional("groups", Kind::Count, "one for each channel", "how many groups, which divide the channels")],
        )
        .examples(&["softmax", "softmax groups: 2"]),
        read: |given, _| Ok(Op::Softmax(given.find("groups"))),
        write: |op| {
            let Op::Softmax(groups) = op else { return None };
            Some(groups.map_or_else(Attributes::default, |groups| Attributes::from([("groups", groups.into())])))
        },
    },
];
