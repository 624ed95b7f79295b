//! Imports transposed convolutions.

use super::Importer;
use super::call::Call;
use super::dispatch::ImportResult;
use super::flow::Flow;
use crate::ir::{ConvTranspose, Op, Pair};

impl Importer<'_> {
    pub(super) fn conv_transpose(&mut self, call: &Call<'_>) -> ImportResult<Flow> {
        let x = self.flow(call, 0)?;
        states_padding(call)?;
        let filters = self.filters(call)?;
        let [channels, per_group, groups] = [filters.weight.shape()[0], filters.weight.shape()[1], filters.groups];
        let window = self.window(call, &x, &filters.kernel)?;
        if x.shape.channels() != Some(channels) {
            return Err(format!("its weight is for {channels} channels, but the operand is {}", x.shape));
        }
        let count = per_group.checked_mul(groups).ok_or("it has too many filters")?;
        let op = Op::ConvTranspose(ConvTranspose {
            filters: count,
            kernel: window.kernel,
            stride: window.stride,
            pad: window.pad,
            output_padding: output_padding(call, filters.kernel.len())?,
            dilation: window.dilation,
            groups,
            bias: filters.bias.is_some(),
        });
        self.convolution(call, op, &x, count, filters)
    }
}

/// The padding must be stated: what `auto_pad` and `output_shape` make of it differs between frameworks.
fn states_padding(call: &Call<'_>) -> ImportResult<()> {
    if call.ints("output_shape").is_some_and(|sizes| !sizes.is_empty()) {
        return Err("it states its `output_shape`: export it with `pads` and `output_padding`".to_owned());
    }
    match call.text("auto_pad", "NOTSET") {
        "NOTSET" | "VALID" => Ok(()),
        other => Err(format!("its auto_pad is `{other}`: export it with `pads` and `output_padding`")),
    }
}

fn output_padding(call: &Call<'_>, axes: usize) -> ImportResult<Pair> {
    let size = |n: i64| usize::try_from(n).map_err(|_| "its output_padding is negative".to_owned());
    match (axes, call.ints("output_padding").unwrap_or_default()) {
        (_, []) => Ok([0, 0]),
        (1, &[w]) => Ok([0, size(w)?]),
        (2, &[h, w]) => Ok([size(h)?, size(w)?]),
        (_, other) => Err(format!("its output_padding is {other:?}")),
    }
}
