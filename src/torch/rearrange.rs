//! Values in another order, and softmax over groups, in terms of PyTorch.

use super::expr::{Arg, Expr, Role, Val};
use crate::ir::{Rearrange, Shape, SquareOrder, Squares, reshaped};

fn number(hint: &'static str, n: usize) -> Expr {
    Expr::number(Role::Other(hint), hint, Val::int(n))
}

/// The module that computes it; `None` if PyTorch has none.
pub(super) fn module(rearrange: &Rearrange) -> Option<Expr> {
    let (head, argument) = match *rearrange {
        Rearrange::Shuffle(groups) => ("nn.ChannelShuffle", Expr::channels("groups", groups)),
        Rearrange::SpaceToDepth(Squares { side, order: SquareOrder::ByChannel }) => {
            ("nn.PixelUnshuffle", number("block_size", side))
        }
        Rearrange::DepthToSpace(Squares { side, order: SquareOrder::ByChannel }) => {
            ("nn.PixelShuffle", number("block_size", side))
        }
        _ => return None,
    };
    Some(Expr::call(head, vec![Arg::plain(argument)]))
}

/// The expression of its result.
pub(super) fn call(rearrange: &Rearrange, shape: &Shape, x: Expr) -> Expr {
    let with = |head: &str, x: Expr, argument: Expr| Expr::call(head, vec![Arg::plain(x), Arg::plain(argument)]);
    match *rearrange {
        Rearrange::Shuffle(groups) => with("F.channel_shuffle", x, Expr::channels("groups", groups)),
        Rearrange::SpaceToDepth(Squares { side, order }) => {
            let squares = with("F.pixel_unshuffle", x, number("block_size", side));
            match order {
                SquareOrder::ByChannel => squares,
                // PyTorch's channels are in groups of the pixels of a square
                SquareOrder::ByPixel => {
                    with("F.channel_shuffle", squares, Expr::channels("channels", shape.channels().unwrap_or(1)))
                }
            }
        }
        Rearrange::DepthToSpace(Squares { side, order }) => {
            let squares = match order {
                SquareOrder::ByChannel => x,
                SquareOrder::ByPixel => with("F.channel_shuffle", x, number("pixels", side.saturating_mul(side))),
            };
            with("F.pixel_shuffle", squares, number("block_size", side))
        }
        Rearrange::Transpose(axes) => {
            let axes: Vec<String> = if shape.is_1d() {
                axes.iter().filter(|&&axis| axis != 1).map(|axis| (axis / 2 + 1).to_string()).collect()
            } else {
                axes.iter().map(|axis| (axis + 1).to_string()).collect()
            };
            with("torch.permute", x, Expr::text(format!("(0, {})", axes.join(", "))))
        }
        Rearrange::Reshape(sizes) => {
            let values = shape.sizes().unwrap_or_default().iter().product();
            // -1 is the batch, so that every other size is stated
            let mut list = vec![Expr::text("(-1")];
            for (hint, size) in ["channels", "height", "width"].into_iter().zip(reshaped(sizes, values)) {
                list.extend([Expr::text(", "), number(hint, size)]);
            }
            list.push(Expr::text(")"));
            with("torch.reshape", x, Expr::Seq(list))
        }
    }
}

/// Softmax over groups of channels, as an axis of its own meanwhile.
pub(super) fn grouped_softmax(groups: usize, x: Expr) -> Expr {
    let plain = |head: &str, args: Vec<Expr>| Expr::call(head, args.into_iter().map(Arg::plain).collect());
    let sizes = Expr::Seq(vec![Expr::text("("), Expr::channels("groups", groups), Expr::text(", -1)")]);
    let split = plain("torch.unflatten", vec![x, Expr::text("1"), sizes]);
    let shares = Expr::call("F.softmax", vec![Arg::plain(split), Arg::key("dim", Expr::text("1"))]);
    plain("torch.flatten", vec![shares, Expr::text("1"), Expr::text("2")])
}
