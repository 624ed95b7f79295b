//! Convolutions that PyTorch's layers do not compute as they are.

use super::expr::{Arg, Expr, Role, Val};

/// The layer of a convolution over channels.
pub(super) fn channel_conv(kernel: usize) -> Expr {
    let number = |key, n| Expr::number(Role::Other(key), key, Val::int(n));
    let one = || Arg::plain(Expr::text("1"));
    let padding = Arg::key("padding", number("padding", kernel / 2));
    let bias = Arg::key("bias", Expr::text("False"));
    Expr::call("nn.Conv1d", vec![one(), one(), Arg::plain(number("kernel_size", kernel)), padding, bias])
}

/// A layer applied to the channels of a value with this many other axes, all of size 1, as if they were a 1-D value.
pub(super) fn along_channels(layer: Expr, x: Expr, axes: usize) -> Expr {
    let (before, after) = match axes {
        0 => (".unsqueeze(1)", ".squeeze(1)"),
        1 => (".mT", ".mT"),
        _ => (".flatten(2).mT", ".mT.unsqueeze(-1)"),
    };
    let row = Expr::Seq(vec![x, Expr::text(before)]);
    Expr::Seq(vec![Expr::apply(layer, row), Expr::text(after)])
}
