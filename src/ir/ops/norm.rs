//! Normalization and regularization.

use super::schema::{Attribute, Kind, Operator, Schema, Shown};
use super::value::{AttrValue, Attributes};
use crate::ir::attrs::BatchNorm;
use crate::ir::op::Op;

pub(super) const OPERATORS: &[Operator] = &[
    Operator {
        schema: Schema::new(
            "batchnorm",
            "Batch normalization (Ioffe and Szegedy 2015).",
            &[
                Attribute::with_default(
                    "eps",
                    Kind::Number,
                    AttrValue::Number(BatchNorm::DEFAULT.eps),
                    "added to the variance for numerical stability",
                ),
                Attribute::with_default(
                    "momentum",
                    Kind::Number,
                    AttrValue::Number(BatchNorm::DEFAULT.momentum),
                    "the weight of the new batch in the running statistics",
                ),
            ],
        )
        .examples(&["batchnorm", "batchnorm eps: 1e-3"]),
        read: |given, _| Ok(Op::BatchNorm(BatchNorm { eps: given.get("eps")?, momentum: given.get("momentum")? })),
        write: |op| {
            let Op::BatchNorm(norm) = op else { return None };
            Some(Attributes::from([("eps", norm.eps.into()), ("momentum", norm.momentum.into())]))
        },
    },
    Operator {
        schema: Schema::new(
            "dropout",
            "Dropout; nothing in inference.",
            &[Attribute::with_default("rate", Kind::Probability, AttrValue::Number(0.5), "the share of values set to zero")
                .positional()
                .shown(Shown::Always)],
        )
        .examples(&["dropout 0.2"]),
        read: |given, _| Ok(Op::Dropout(given.get("rate")?)),
        write: |op| {
            let Op::Dropout(rate) = op else { return None };
            Some(Attributes::from([("rate", (*rate).into())]))
        },
    },
];
