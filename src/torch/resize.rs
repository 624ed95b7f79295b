//! Resampling in terms of PyTorch.

use super::expr::{Arg, Expr, Val};
use super::op::{Use, number};
use crate::ir::{Interpolation, Target, Upsample};

impl Use<'_> {
    /// `scale_factor` or `size`; `None` if the size is that of another value.
    pub(super) fn upsample_size(&self, upsample: &Upsample) -> Option<Arg> {
        match upsample.target {
            Target::Factor([height, width]) if self.rank() == 1 || height == width => {
                Some(Arg::key("scale_factor", number("scale", factor(width))))
            }
            Target::Factor(factors) => {
                let [height, width] = factors.map(|x| number("scale", factor(x)));
                let pair = vec![Expr::text("("), height, Expr::text(", "), width, Expr::text(")")];
                Some(Arg::key("scale_factor", Expr::Seq(pair)))
            }
            Target::Size(size) => Some(Arg::key("size", number("size", Val::size(size, self.rank())))),
            Target::Like => None,
        }
    }

    /// The arguments of a resampling to this size.
    pub(super) fn upsample(&self, upsample: &Upsample, size: Arg) -> Vec<Arg> {
        let mode = match upsample.mode {
            Interpolation::Nearest => return vec![size],
            Interpolation::NearestExact => "nearest-exact",
            Interpolation::Bilinear if self.rank() == 1 => "linear",
            mode => mode.word(),
        };
        let mode = Arg::key("mode", Expr::text(format!("\"{mode}\"")));
        let align = upsample.align_corners.then(|| Arg::key("align_corners", Expr::text("True")));
        [size, mode].into_iter().chain(align).collect()
    }
}

fn factor(x: f64) -> Val {
    if x.fract() == 0.0 && x < 1e15 { Val::Int(x as i64) } else { Val::Float(x) }
}
