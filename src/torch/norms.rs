//! Norms of each sample in terms of PyTorch.

use super::expr::{Arg, Expr, Role, Val};
use super::op::Use;
use crate::ir::{NormOver, SampleNorm};

impl Use<'_> {
    /// The module.
    pub(super) fn sample_norm(&self, norm: &SampleNorm) -> Expr {
        let channels = Arg::plain(Expr::channels("channels", self.channels()));
        let affine = |key: &'static str, default| Arg::kw(key, Val::Bool(norm.affine), Val::Bool(default));
        let eps = Arg::kw("eps", Val::Float(norm.eps), Val::Float(SampleNorm::EPS));
        match norm.over {
            NormOver::Channels if self.rank() == 0 => {
                Expr::call("nn.LayerNorm", vec![channels, eps, affine("elementwise_affine", true)])
            }
            NormOver::Channels => Expr::call("LayerNorm2d", vec![channels, eps, affine("elementwise_affine", true)]),
            NormOver::All => {
                let sizes = Arg::plain(self.whole_shape());
                Expr::call("nn.LayerNorm", vec![sizes, eps, affine("elementwise_affine", true)])
            }
            NormOver::Groups(groups) => {
                let groups = Arg::plain(Expr::number(Role::Other("groups"), "groups", Val::int(groups)));
                Expr::call("nn.GroupNorm", vec![groups, channels, eps, affine("affine", true)])
            }
            NormOver::Places => Expr::call(&self.dims("nn.InstanceNorm"), vec![channels, eps, affine("affine", false)]),
        }
    }

    /// The module of generalized-mean pooling.
    pub(super) fn gem(p: f64, eps: f64) -> Expr {
        let power = Arg::kw("p", Val::Float(p), Val::Float(3.0));
        Expr::call("GeM", vec![power, Arg::kw("eps", Val::Float(eps), Val::Float(1e-6))])
    }

    /// The call that computes a norm without parameters.
    pub(super) fn plain_norm(&self, norm: &SampleNorm, x: Expr) -> Expr {
        let eps = Arg::kw("eps", Val::Float(norm.eps), Val::Float(SampleNorm::EPS));
        let method = |x: Expr, text: &str| Expr::Seq(vec![x, Expr::text(text)]);
        match norm.over {
            NormOver::Channels if self.rank() > 0 => {
                let channels = Expr::Seq(vec![Expr::text("("), Expr::channels("channels", self.channels()), Expr::text(",)")]);
                let last = Arg::plain(method(x, ".movedim(1, -1)"));
                method(Expr::call("F.layer_norm", vec![last, Arg::plain(channels), eps]), ".movedim(-1, 1)")
            }
            NormOver::Channels | NormOver::All => {
                let shape = Arg::plain(method(x.clone(), ".shape[1:]"));
                Expr::call("F.layer_norm", vec![Arg::plain(x), shape, eps])
            }
            NormOver::Groups(groups) => {
                let groups = Arg::plain(Expr::number(Role::Other("groups"), "groups", Val::int(groups)));
                Expr::call("F.group_norm", vec![Arg::plain(x), groups, eps])
            }
            NormOver::Places => Expr::call("F.instance_norm", vec![Arg::plain(x), eps]),
        }
    }

    /// `(64, 7, 7)`: the sizes of a sample.
    fn whole_shape(&self) -> Expr {
        let sizes = self.x.sizes().unwrap_or_default();
        let mut parts = vec![Expr::text("(")];
        for (axis, size) in sizes.iter().enumerate() {
            parts.push(match axis {
                0 => Expr::channels("channels", *size),
                _ => Expr::number(Role::Other("size"), "size", Val::int(*size)),
            });
            parts.push(Expr::text(if axis + 1 == sizes.len() { "" } else { ", " }));
        }
        parts.push(Expr::text(if sizes.len() == 1 { ",)" } else { ")" }));
        Expr::Seq(parts)
    }
}
