//! Imports transposed convolutions.

use super::Importer;
use super::call::Call;
use super::dispatch::ImportResult;
use super::flow::Flow;
use crate::ir::{ConvTranspose, Op, Pair};

impl Importer<'_> {
    pub(super) fn conv_transpose(&mut self, call: &Call<'_>) -> ImportResult<Flow> {
        let x = self.flow(call, 0)?;
        let (name, weight) = self.weight(call, 1, "weight")?;
        let bias = if call.has(2) { Some(self.weight(call, 2, "bias")?.1) } else { None };
        let &[channels, per_group, ref kernel @ ..] = weight.shape() else {
            return Err(format!("its weight has shape {:?}", weight.shape()));
        };
        let kernel: Vec<i64> = kernel.iter().map(|&n| n as i64).collect();
        if call.ints("kernel_shape").is_some_and(|stated| stated != kernel) {
            return Err("the shape of its weight does not match its `kernel_shape`".to_owned());
        }
        states_padding(call)?;
        let window = self.window(call, &x, &kernel)?;
        let groups = usize::try_from(call.int("group").unwrap_or(1)).map_err(|_| "its number of groups is negative")?;
        if x.shape.channels() != Some(channels) {
            return Err(format!("its weight is for {channels} channels, but the operand is {}", x.shape));
        }
        let filters = per_group.checked_mul(groups).ok_or("it has too many filters")?;
        if bias.as_ref().is_some_and(|b| b.shape() != [filters]) {
            return Err(format!("its bias does not have one value for each of {filters} filters"));
        }
        let op = Op::ConvTranspose(ConvTranspose {
            filters,
            kernel: window.kernel,
            stride: window.stride,
            pad: window.pad,
            output_padding: output_padding(call, kernel.len())?,
            dilation: window.dilation,
            groups,
            bias: bias.is_some(),
        });
        let layer = self.layer(call, &name, "conv");
        let y = self.add_named(op, layer, &[&x])?;
        self.store(&y, "weight", weight);
        if let Some(bias) = bias {
            self.store(&y, "bias", bias);
        }
        Ok(y)
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
