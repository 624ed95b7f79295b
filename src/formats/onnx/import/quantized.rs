//! Quantized files (`QuantizeLinear` and `DequantizeLinear` around every operator) as the float32 network they approximate.

use super::Importer;
use super::call::Call;
use super::dispatch::ImportResult;
use super::values::Known;

impl Importer<'_> {
    /// A value that is rounded to integers, or comes back from them: the value itself.
    pub(super) fn unquantized(&mut self, call: &Call<'_>) -> ImportResult<Known> {
        let is_output = call.node.output.first().is_some_and(|name| self.outputs.contains(name.as_str()));
        if is_output && call.node.op_type() == "QuantizeLinear" {
            return Err("an output that is rounded to integers".to_owned());
        }
        self.notes.insert(
            "the file is quantized: the scales of its values are dropped, and the network computes in float32 with its weights \
             as they are stored"
                .to_owned(),
        );
        match self.known(call, 0) {
            Some(known @ (Known::Value(_) | Known::Axes(_) | Known::ChannelsLast(_) | Known::Tensor(..))) => Ok(known.clone()),
            _ => self.flow(call, 0).map(Known::Value),
        }
    }
}
