//! Feature maps whose channels come last, between two transpositions: PyTorch computes layer norms and linear layers on them. Here
//! they are the same maps with the channels first.

use super::Importer;
use super::call::Call;
use super::dispatch::ImportResult;
use super::flow::Flow;
use super::readers::ELEMENTWISE;
use super::values::Known;
use crate::base::tensor::Tensor;
use crate::ir::{Conv, Op};

impl Importer<'_> {
    /// Whether a transposition puts the channels last, or back in front if they are.
    pub(super) fn is_channels_last(x: &Flow, perm: &[i64], back: bool) -> bool {
        let rank = x.rank() as i64;
        let goal: Vec<i64> = match back {
            false => [0].into_iter().chain(2..rank).chain([1]).collect(),
            true => [0, rank - 1].into_iter().chain(1..rank - 1).collect(),
        };
        x.lead == 1 && rank > 2 && perm == goal
    }

    /// The result of a node that reads a value whose channels come last; `None` if it reads none.
    pub(super) fn channels_last(&mut self, call: &Call<'_>) -> Option<ImportResult<Known>> {
        let mut operands = call.node.input.iter().filter_map(|name| self.values.get(name.as_str()));
        let Some(Known::ChannelsLast(x)) = operands.find(|known| matches!(known, Known::ChannelsLast(_))) else { return None };
        let x = x.clone();
        let last = |flow: Flow| Known::ChannelsLast(flow);
        Some(match call.node.op_type() {
            "Transpose" if call.ints("perm").is_some_and(|perm| Self::is_channels_last(&x, perm, true)) => Ok(Known::Value(x)),
            "ReduceMean" | "ReduceMax" if matches!(self.reduces(call, &x, x.rank() - 1), Ok(true)) => {
                self.over_channels(call, &x).map(last)
            }
            "ReduceMean" | "ReduceMax" | "ReduceSum" => self.whole_map_of_last(call, &x),
            "LayerNormalization" => self.layer_norm_of_places(call, &x).map(last),
            "MatMul" if matches!(self.known(call, 0), Some(Known::ChannelsLast(_))) => self.pointwise_conv(call, &x).map(last),
            "Concat" => self.concat_of_last(call, &x).map(last),
            op if ELEMENTWISE.contains(&op) => self.in_front(call, &x),
            _ => Err(format!("it reads {} with the channels last", x.shape)),
        })
    }

    /// A reduction over the rows and columns, which come before the channels.
    fn whole_map_of_last(&mut self, call: &Call<'_>, x: &Flow) -> ImportResult<Known> {
        let axes = self.list(call, "axes", 1)?.unwrap_or_default();
        let mut counted = axes.iter().map(|&axis| x.axis(axis)).collect::<Result<Vec<_>, _>>()?;
        counted.sort_unstable();
        if !counted.iter().copied().eq(x.lead..x.rank() - 1) {
            return Err(format!("it reduces the axes {axes:?} of {} with the channels last", x.shape));
        }
        let keeps = call.int("keepdims") != Some(0);
        let y = self.whole_map(call, call.node.op_type(), x, keeps)?;
        Ok(if keeps { Known::ChannelsLast(y) } else { Known::Value(y) })
    }

    /// A concatenation of the channels, which come last.
    fn concat_of_last(&mut self, call: &Call<'_>, x: &Flow) -> ImportResult<Flow> {
        let flow = |slot: usize| match self.known(call, slot) {
            Some(Known::ChannelsLast(flow)) => Ok(flow.clone()),
            _ => Err("it concatenates values with the channels first and last".to_owned()),
        };
        let flows = (0..call.node.input.len()).map(flow).collect::<Result<Vec<_>, _>>()?;
        if x.axis(call.int("axis").unwrap_or(1))? + 1 != x.rank() {
            return Err("it concatenates rows or columns".to_owned());
        }
        match &flows[..] {
            [one] => Ok(one.clone()),
            flows => self.add(call, Op::Concat, &flows.iter().collect::<Vec<_>>()),
        }
    }

    /// A linear layer at every place: a 1x1 convolution.
    fn pointwise_conv(&mut self, call: &Call<'_>, x: &Flow) -> ImportResult<Flow> {
        let (name, weight) = self.weight(call, 1, "weight")?;
        let &[channels, filters] = weight.shape() else {
            return Err(format!("its weight has {} axes", weight.shape().len()));
        };
        if x.shape.channels() != Some(channels) {
            return Err(format!("its weight is for {channels} channels, but the operand is {}", x.shape));
        }
        let rows = super::layers::scaled(&weight, true, 1.0).ok_or("its weight is too large")?;
        let sizes = [&[filters, channels][..], &vec![1; x.dims().len() - 1]].concat();
        let rows = Tensor::from_f32(sizes, rows.to_f32().into_owned()).ok_or("its weight is too large")?;
        let layer = self.layer(call, &name, "conv");
        let y = self.add_named(Op::Conv(Conv::pointwise(filters)), layer, &[x])?;
        self.store(&y, "weight", rows);
        Ok(y)
    }

    /// Imports an elementwise node with the channels of its operands in front.
    fn in_front(&mut self, call: &Call<'_>, x: &Flow) -> ImportResult<Known> {
        let mut changed: Vec<(&str, Known)> = Vec::new();
        let result = call.node.input.iter().try_for_each(|name| {
            // an operand may be there twice
            if changed.iter().any(|(other, _)| other == name) {
                return Ok(());
            }
            let Some(known) = self.values.get_mut(name.as_str()) else { return Ok(()) };
            let front = match &*known {
                Known::ChannelsLast(flow) => Known::Value(flow.clone()),
                Known::Tensor(name, tensor) if tensor.len() > 1 => {
                    let channels = tensor.shape().last().copied().unwrap_or(1);
                    let sizes = [&[channels][..], &vec![1; x.dims().len() - 1]].concat();
                    let values = tensor.to_f32().into_owned();
                    let front = (channels == tensor.len()).then(|| Tensor::from_f32(sizes, values)).flatten();
                    Known::Tensor(name.clone(), front.ok_or("its constant has more than one value per channel")?)
                }
                Known::Value(flow) if flow.rank() > 1 => {
                    return Err("it combines values with the channels first and last".to_owned());
                }
                _ => return Ok(()),
            };
            changed.push((name, std::mem::replace(known, front)));
            Ok(())
        });
        let result = result.and_then(|()| self.call(call));
        for (name, known) in changed.into_iter().rev() {
            if let Some(own) = self.values.get_mut(name) {
                *own = known;
            }
        }
        match result? {
            Known::Value(flow) => Ok(Known::ChannelsLast(flow)),
            _ => Err("its result is no feature map".to_owned()),
        }
    }
}
