//! Convolution over channels.

use super::schema::{Attribute, Kind, Operator, Schema};
use super::value::{Attributes, Invalid};
use crate::ir::op::Op;

pub(super) const CHANNEL_CONV: Operator = Operator {
    schema: Schema::new(
        "channel_conv",
        "Convolution along the channels of a value with one pixel, with a single filter: how efficient channel attention (Wang et al. \
         2020) weighs a channel by its neighbors. PyTorch's `nn.Conv1d(1, 1, kernel, padding=kernel // 2, bias=False)` on the channels as a 1-D \
         value; `weight` is 1 x 1 x kernel.",
        &[Attribute::required("kernel", Kind::Count, "an odd number of neighboring channels").positional()],
    )
    .examples(&["channel_conv 3"]),
    read: |given, _| match given.get::<usize>("kernel")? {
        kernel if kernel.is_multiple_of(2) => {
            let message = format!("`channel_conv` of {kernel} channels has no middle");
            Err(Invalid::new(message, "an odd number keeps every channel in the middle of its neighbors"))
        }
        kernel => Ok(Op::ChannelConv(kernel)),
    },
    write: |op| {
        let Op::ChannelConv(kernel) = op else { return None };
        Some(Attributes::from([("kernel", (*kernel).into())]))
    },
};
