//! Factors and summands that the file names as parameters, such as `blocks.0.gamma` of a layer scale: they become functions with a
//! learned operand and keep their names, if that is asked for.

use super::Importer;
use super::call::Call;
use super::dispatch::ImportResult;
use super::flow::Flow;
use super::names;
use super::values::{Known, PerChannel, per_channel};
use crate::base::tensor::Tensor;
use crate::elementwise::{Binary, Builder};
use crate::ir::{Broadcast, Elementwise, Operand};

impl Importer<'_> {
    /// `x` times or plus a constant operand, if the file names that as a parameter: one number for each channel, or one for all.
    pub(super) fn learned(&mut self, call: &Call<'_>, slot: usize, x: &Flow, op: Binary) -> ImportResult<Option<Flow>> {
        let Some(Known::Tensor(name, constant)) = self.known(call, slot).filter(|_| self.keep_names) else { return Ok(None) };
        let (name, values) = (name.clone(), per_channel(constant, x));
        values.map_or(Ok(None), |values| self.parameter(&name, values, x, op))
    }

    /// `x` times or plus what the file has under this name; `None` if it is the name of no parameter.
    pub(super) fn parameter(&mut self, name: &str, values: PerChannel, x: &Flow, op: Binary) -> ImportResult<Option<Flow>> {
        let Some((layer, own)) = names::of_parameter(name) else { return Ok(None) };
        let (word, init) = if op == Binary::Mul { ("scale", 1.0) } else { ("shift", 0.0) };
        let (broadcast, values) = match values {
            PerChannel::One(value) => (Broadcast::Shared { init }, vec![value]),
            PerChannel::Each(values) => (Broadcast::Parameter { init }, values),
        };
        let mut builder = Builder::new(2);
        let (value, parameter) = (builder.operand(0), builder.operand(1));
        let result = builder.binary(op, value, parameter);
        let program = builder.finish(result).map_err(|error| error.to_string())?;
        let operands =
            vec![Operand { name: "x".to_owned(), broadcast: Broadcast::Full }, Operand { name: own.clone(), broadcast }];
        let function = Elementwise { name: word.to_owned(), numbers: Vec::new(), operands, program };
        let tensor = Tensor::from_f32(vec![values.len()], values).ok_or("its constant is too large")?;
        let y = self.add_named(function.into(), layer, &[x])?;
        self.store_operand(&y, &own, tensor);
        Ok(Some(y))
    }

    /// The same for the one of two operands that is a constant, with the names of the file only: elsewhere a number is one of the
    /// source.
    pub(super) fn learned_number(&mut self, call: &Call<'_>, op: Binary) -> ImportResult<Option<Flow>> {
        let is_constant = |&slot: &usize| matches!(self.known(call, slot), Some(Known::Tensor(..)));
        let slot = (0..2).find(is_constant).filter(|_| self.keep_names && call.node.input.len() == 2);
        let Some(slot) = slot else { return Ok(None) };
        let Some(Known::Value(x)) = self.known(call, 1 - slot).cloned() else { return Ok(None) };
        self.learned(call, slot, &x, op)
    }
}
