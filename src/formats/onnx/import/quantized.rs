//! Quantized files (`QuantizeLinear` and `DequantizeLinear` around every operator) as the float32 network they approximate.

use super::Importer;
use super::call::Call;
use super::dispatch::ImportResult;
use super::values::Known;

impl Importer<'_> {
    /// A value that is rounded to integers, or comes back from them: the value itself.
    pub(super) fn unquantized(&mut self, call: &Call<'_>) -> ImportResult<Known> {
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
