//! Values over their channels or places: mean, maximum, Euclidean norm, generalized mean.

use super::schema::{Attribute, Kind, Operator, Schema, Shown};
use super::value::{AttrValue, Attributes};
use crate::ir::attrs::{Gem, Reduction};
use crate::ir::op::Op;

const CHANNELS: &str = "channels";
const PLACES: &str = "places";

const OVER: Attribute<'_> =
    Attribute::required("over", Kind::Word(&[CHANNELS, PLACES]), "the `channels` of each place, or the `places` of each channel")
        .positional()
        .shown(Shown::Always);

fn write(op: &Op, reduction: Reduction) -> Option<Attributes<'static>> {
    (*op == Op::OverChannels(reduction)).then(|| Attributes::from([("over", CHANNELS.into())]))
}

pub(super) const OPERATORS: &[Operator] = &[
    Operator {
        schema: Schema::new(
            "mean",
            "The mean over the channels of each place, `1 x H x W`; over places it is `avgpool global`.",
            &[OVER],
        )
        .examples(&["mean over: channels", "mean over: places"]),
        read: |given, _| {
            let over_places = given.find("over") == Some(PLACES);
            Ok(if over_places { Op::AdaptiveAvgPool([1, 1]) } else { Op::OverChannels(Reduction::Mean) })
        },
        write: |op| write(op, Reduction::Mean),
    },
    Operator {
        schema: Schema::new(
            "max",
            "The maximum over the channels of each place, `1 x H x W`; over places it is `maxpool global`. The first of several \
             largest values gets the gradient, as of `torch.max(x, dim=1)`.",
            &[OVER],
        )
        .examples(&["max over: channels", "max over: places"]),
        read: |given, _| {
            let over_places = given.find("over") == Some(PLACES);
            Ok(if over_places { Op::GlobalMaxPool } else { Op::OverChannels(Reduction::Max) })
        },
        write: |op| write(op, Reduction::Max),
    },
    Operator {
        schema: Schema::new(
            "l2norm",
            "Each place's channels, or a vector, over their Euclidean norm: PyTorch's `F.normalize`.",
            &[Attribute::with_default("eps", Kind::Number, AttrValue::Number(1e-12), "the smallest norm that is divided by")],
        )
        .examples(&["l2norm"]),
        read: |given, _| Ok(Op::L2Norm(given.get("eps")?)),
        write: |op| {
            let Op::L2Norm(eps) = op else { return None };
            Some(Attributes::from([("eps", (*eps).into())]))
        },
    },
    Operator {
        schema: Schema::new(
            "gem",
            "Generalized-mean pooling of the whole feature map (Radenovic et al. 2018), with a learned power `p`.",
            &[
                Attribute::with_default("p", Kind::Number, AttrValue::Number(3.0), "the initial power; 1 is the mean"),
                Attribute::with_default("eps", Kind::Number, AttrValue::Number(1e-6), "the smallest value that is raised to it"),
            ],
        )
        .examples(&["gem"]),
        read: |given, _| Ok(Op::Gem(Gem { p: given.get("p")?, eps: given.get("eps")? })),
        write: |op| {
            let Op::Gem(Gem { p, eps }) = op else { return None };
            Some(Attributes::from([("p", (*p).into()), ("eps", (*eps).into())]))
        },
    },
];
