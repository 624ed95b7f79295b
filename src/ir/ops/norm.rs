//! Normalization and regularization.

use super::schema::{Attribute, Kind, Operator, Schema, Shown};
use super::value::{AttrValue, Attributes, Invalid};
use crate::ir::attrs::{BatchNorm, NormOver, SampleNorm};
use crate::ir::op::Op;

const CHANNELS: &str = "channels";
const ALL: &str = "all";

const EPS: Attribute<'_> = Attribute::with_default(
    "eps",
    Kind::Number,
    AttrValue::Number(SampleNorm::EPS),
    "added to the variance for numerical stability",
);

const fn affine(default: bool) -> Attribute<'static> {
    Attribute::with_default("affine", Kind::Flag, AttrValue::Flag(default), "whether it has a learned weight and bias")
}

fn read_norm(given: &Attributes<'_>, over: NormOver) -> Result<Op, Invalid> {
    Ok(Op::SampleNorm(SampleNorm { over, eps: given.get("eps")?, affine: given.get("affine")? }))
}

/// The attributes that every norm of each sample has, after its own.
fn write_norm<const N: usize>(norm: &SampleNorm, own: [(&'static str, AttrValue); N]) -> Option<Attributes<'static>> {
    let mut all = Attributes::from(own);
    all.push("eps", norm.eps);
    all.push("affine", norm.affine);
    Some(all)
}

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
            "layernorm",
            "Layer normalization (Ba et al. 2016): of the channels at every place, as in ConvNeXt, or of the whole sample.",
            &[
                Attribute::with_default(
                    "over",
                    Kind::Word(&[CHANNELS, ALL]),
                    AttrValue::Word(CHANNELS),
                    "what is normalized together: the channels of a place, or `all` values of a sample, each with its own weight",
                ),
                EPS,
                affine(true),
            ],
        )
        .examples(&["layernorm eps: 1e-6", "layernorm over: all"]),
        read: |given, _| read_norm(given, if given.find("over") == Some(ALL) { NormOver::All } else { NormOver::Channels }),
        write: |op| match op {
            Op::SampleNorm(norm @ SampleNorm { over: NormOver::Channels, .. }) => write_norm(norm, [("over", CHANNELS.into())]),
            Op::SampleNorm(norm @ SampleNorm { over: NormOver::All, .. }) => write_norm(norm, [("over", ALL.into())]),
            _ => None,
        },
    },
    Operator {
        schema: Schema::new(
            "groupnorm",
            "Group normalization (Wu and He 2018): of the values in each group of channels.",
            &[
                Attribute::with_default("groups", Kind::Count, AttrValue::Count(32), "the number of channel groups")
                    .positional()
                    .shown(Shown::Always),
                EPS,
                affine(true),
            ],
        )
        .examples(&["groupnorm groups: 2", "groupnorm groups: 4, affine: false"]),
        read: |given, _| read_norm(given, NormOver::Groups(given.get("groups")?)),
        write: |op| {
            let Op::SampleNorm(norm @ SampleNorm { over: NormOver::Groups(groups), .. }) = op else { return None };
            write_norm(norm, [("groups", (*groups).into())])
        },
    },
    Operator {
        schema: Schema::new(
            "instancenorm",
            "Instance normalization (Ulyanov et al. 2016): of the values of each channel.",
            &[EPS, affine(false)],
        )
        .examples(&["instancenorm", "instancenorm affine: true"]),
        read: |given, _| read_norm(given, NormOver::Places),
        write: |op| {
            let Op::SampleNorm(norm @ SampleNorm { over: NormOver::Places, .. }) = op else { return None };
            write_norm(norm, [])
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
