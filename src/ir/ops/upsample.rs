//! Resampling of feature maps.

use super::schema::{Attribute, Kind, Operator, Schema, Shown};
use super::value::{AttrValue, Attributes, Invalid};
use crate::base::codes;
use crate::ir::dim::Shape;
use crate::ir::op::Op;
use crate::ir::upsample::{Interpolation, Target, Upsample};

const NEAREST: &str = Interpolation::Nearest.word();

pub(super) const UPSAMPLE: Operator = Operator {
    schema: Schema::new(
        "upsample",
        "A feature map at another size: `scale_factor` times the rows and columns, a fixed size, or that of another value \
         (PyTorch's `F.interpolate`, without antialiasing). `nearest_exact` is PyTorch's `nearest-exact`, and on a 1-D value \
         `bilinear` its `linear`.",
        &[
            Attribute::with_default(
                "mode",
                Kind::Word(Interpolation::WORDS),
                AttrValue::Word(NEAREST),
                "where a new value comes from",
            )
            .positional()
            .shown(Shown::Everywhere),
            Attribute::optional(
                "scale_factor",
                Kind::Factors,
                "none, where `size` or `like` is given",
                "how many times larger; it may be a fraction, and sizes are rounded down",
            ),
            Attribute::optional("size", Kind::Size, "none", "the result's height and width"),
            Attribute::optional("like", Kind::Label, "none", "the value that has the result's height and width"),
            Attribute::with_default(
                "align_corners",
                Kind::Flag,
                AttrValue::Flag(false),
                "whether the centers of the corner pixels coincide, rather than the corners of the maps",
            ),
        ],
    )
    .examples(&[
        "upsample nearest, like: LABEL",
        "upsample nearest, scale_factor: 2",
        "upsample bilinear, size: 56x56, align_corners: true",
        "upsample bicubic, scale_factor: 1.5",
    ]),
    read: |given, operands| {
        let mode = Interpolation::from_word(given.get("mode")?).unwrap_or(Interpolation::Nearest);
        let align_corners = given.find("align_corners").unwrap_or(false);
        if align_corners && mode.copies() {
            let message = format!("`upsample {}` copies values, so that `align_corners` has no meaning", mode.word());
            return Err(Invalid::new(message, "for `bilinear` and `bicubic`"));
        }
        if mode == Interpolation::Bicubic && operands.first().is_some_and(Shape::is_1d) {
            let message = "`upsample bicubic` needs rows and columns, as in PyTorch";
            return Err(Invalid::new(message, "`bilinear` interpolates a 1-D value"));
        }
        Ok(Op::Upsample(Upsample { mode, target: target(given, operands)?, align_corners }))
    },
    write: |op| {
        let Op::Upsample(upsample) = op else { return None };
        let mut list = Attributes::from([("mode", upsample.mode.word().into())]);
        match upsample.target {
            Target::Factor(factors) => list.push("scale_factor", AttrValue::Factors(factors)),
            Target::Size(size) => list.push("size", size),
            Target::Like => {}
        }
        if !upsample.mode.copies() {
            list.push("align_corners", upsample.align_corners);
        }
        Some(list)
    },
};

/// The size that a statement gives, in exactly one of three ways. A second operand is the value of `like`; a file lists no operands.
fn target(given: &Attributes<'_>, operands: &[Shape]) -> Result<Target, Invalid> {
    let (factor, size) = (given.find::<[f64; 2]>("scale_factor"), given.find("size"));
    let like = if operands.is_empty() { factor.is_none() && size.is_none() } else { operands.len() == 2 };
    match (factor, size, like) {
        (Some(factors), None, false) if factors.iter().all(|&factor| factor > 0.0) => Ok(Target::Factor(factors)),
        (Some(_), None, false) => Err(Invalid::new("`scale_factor` must be greater than 0", "nothing would be left")),
        (None, Some(size), false) => Ok(Target::Size(size)),
        (None, None, true) => Ok(Target::Like),
        (None, None, false) => Err(Invalid {
            code: codes::MISSING_ARGUMENT,
            message: "`upsample` needs `scale_factor`, `size` or `like`".to_owned(),
            label: "does not say how large the result is".to_owned(),
        }),
        _ => Err(Invalid::new("`upsample` takes only one of `scale_factor`, `size` and `like`", "states the size twice")),
    }
}
