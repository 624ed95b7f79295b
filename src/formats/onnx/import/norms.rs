//! Imports norms of each sample.

use super::super::super::response::LocalResponse;
use super::Importer;
use super::call::Call;
use super::dispatch::ImportResult;
use super::flow::{Flow, Size};
use super::layers::MAX_CHANNELS;
use super::names;
use super::values::{Known, PerChannel, Term, per_channel};
use crate::base::decimal::decimal;
use crate::base::tensor::Tensor;
use crate::elementwise::{Binary, Unary};
use crate::ir::{Broadcast, Elementwise, NormOver, Op, Reduction, SampleNorm};

/// A weight and a bias.
type Affine = Option<[Tensor; 2]>;

impl Importer<'_> {
    /// Layer norm over the last axes: the features of a vector, or all values of a sample.
    pub(super) fn layer_norm(&mut self, call: &Call<'_>) -> ImportResult<Flow> {
        let x = self.flow(call, 0)?;
        let axis = x.axis(call.int("axis").unwrap_or(-1))?;
        if axis != x.lead {
            return Err(format!("it normalizes the axes from {axis} of {}, but the language's `layernorm` all", x.rank()));
        }
        let over = if x.dims().len() == 1 { NormOver::Channels } else { NormOver::All };
        self.layer_norm_over(call, &x, over)
    }

    /// Layer norm over the channels of a feature map whose channels come last in the file.
    pub(super) fn layer_norm_of_places(&mut self, call: &Call<'_>, x: &Flow) -> ImportResult<Flow> {
        let last = x.rank() as i64 - 1;
        if !matches!(call.int("axis"), None | Some(-1)) && call.int("axis") != Some(last) {
            return Err("it normalizes more than the channels, which come last here".to_owned());
        }
        self.layer_norm_over(call, x, NormOver::Channels)
    }

    fn layer_norm_over(&mut self, call: &Call<'_>, x: &Flow, over: NormOver) -> ImportResult<Flow> {
        let sizes = x.shape.sizes().or_else(|| (over != NormOver::All).then(|| x.shape.channels().into_iter().collect()));
        let sizes = sizes.ok_or_else(|| format!("its weight is for a size of {} that is free", x.shape))?;
        let norm = SampleNorm { over, eps: epsilon(call), affine: true };
        self.normalized(call, x, norm, &norm.param_shape(&sizes))
    }

    pub(super) fn group_norm(&mut self, call: &Call<'_>) -> ImportResult<Flow> {
        let x = self.flow(call, 0)?;
        let groups = call.int("num_groups").and_then(|n| usize::try_from(n).ok()).ok_or("it has no `num_groups`")?;
        let channels = x.shape.channels().unwrap_or(0);
        let norm = SampleNorm { over: NormOver::Groups(groups), eps: epsilon(call), affine: true };
        self.normalized(call, &x, norm, &[channels])
    }

    /// Instance norm, of channels or of the groups that a reshape has made channels.
    pub(super) fn instance_norm(&mut self, call: &Call<'_>) -> ImportResult<Known> {
        let (x, groups) = match self.known(call, 0) {
            Some(Known::Grouped(x, groups)) => (x.clone(), Some(*groups)),
            _ => (self.flow(call, 0)?, None),
        };
        let channels = x.shape.channels().unwrap_or(0);
        let over = groups.map_or(NormOver::Places, NormOver::Groups);
        let y = self.normalized(call, &x, SampleNorm { over, eps: epsilon(call), affine: true }, &[channels])?;
        Ok(match groups {
            None => Known::Value(y),
            Some(groups) => Known::Grouped(y, groups),
        })
    }

    /// A norm with the weight and bias of a node, which may be left out if they change nothing.
    fn normalized(&mut self, call: &Call<'_>, x: &Flow, norm: SampleNorm, sizes: &[usize]) -> ImportResult<Flow> {
        let (name, weight) = self.weight(call, 1, "scale")?;
        let bias = if call.has(2) { Some(self.weight(call, 2, "bias")?) } else { None };
        let is_named = self.keep_names && names::of_tensor(&name).is_some();
        let word = Op::SampleNorm(norm).word().to_owned();
        // a norm without a bias, as exporters write it
        let has_bias = bias.as_ref().is_some_and(|(name, bias)| names::of_parameter(name).is_some() || !is_all(bias, 0.0));
        if let Some((layer, _)) = names::of_parameter(&name).filter(|_| is_named && !has_bias)
            && weight.shape() == sizes
            && sizes.len() == 1
        {
            let plain = Op::SampleNorm(SampleNorm { affine: false, ..norm });
            let y = self.add_named(plain, format!("{layer}.{word}"), &[x])?;
            let factors = PerChannel::Each(weight.to_f32().into_owned());
            return self.parameter(&name, factors, &y, Binary::Mul)?.ok_or_else(|| "its scale has no name".to_owned());
        }
        let bias = bias.map(|(_, bias)| bias);
        let affine = self.affine_of(&weight, bias.as_ref(), sizes, is_named)?;
        let layer = match affine {
            Some(_) => self.layer(call, &name, &word),
            None => names::of_node(call.node.name(), call.node.op_type(), &word),
        };
        let y = self.add_named(Op::SampleNorm(SampleNorm { affine: affine.is_some(), ..norm }), layer, &[x])?;
        if let Some([weight, bias]) = affine {
            self.store(&y, "weight", weight);
            self.store(&y, "bias", bias);
        }
        Ok(y)
    }

    /// Both as tensors of these sizes; `None` if the weight is 1 and the bias 0 everywhere, unless they are kept.
    fn affine_of(&self, weight: &Tensor, bias: Option<&Tensor>, sizes: &[usize], is_kept: bool) -> ImportResult<Affine> {
        if !is_kept && is_all(weight, 1.0) && bias.is_none_or(|bias| is_all(bias, 0.0)) {
            return Ok(None);
        }
        let len: usize = sizes.iter().product();
        let fewest = bias.map_or(0, Tensor::len).min(weight.len());
        if fewest < len && len > MAX_CHANNELS {
            return Err(format!("it spreads its scale and bias over {len} values"));
        }
        let spread = |tensor: &Tensor, what: &str| {
            let values = tensor.to_f32();
            // older group norms have one value for each group
            let times = len.checked_div(values.len()).filter(|times| times * values.len() == len && sizes.len() == 1);
            match times {
                _ if tensor.shape() == sizes => Ok(tensor.clone()),
                Some(times) if tensor.shape().len() == 1 => {
                    let values: Vec<f32> = values.iter().flat_map(|&v| std::iter::repeat_n(v, times)).collect();
                    Tensor::from_f32(sizes.to_vec(), values).ok_or_else(|| format!("its {what} is too large"))
                }
                _ => Err(format!("its {what} has shape {:?}, not {sizes:?}", tensor.shape())),
            }
        };
        let zeros = || Tensor::from_f32(sizes.to_vec(), vec![0.0; len]).ok_or_else(|| "its bias is too large".to_owned());
        let bias = bias.map_or_else(zeros, |bias| spread(bias, "bias"))?;
        Ok(Some([spread(weight, "scale")?, bias]))
    }

    /// The groups of channels, if a reshape only makes each of them a channel for the instance norm that follows.
    pub(super) fn grouped(&self, call: &Call<'_>, x: &Flow, own: &[Size]) -> Option<usize> {
        let output = call.node.output.first()?;
        let [groups, _] = own else { return None };
        let groups = usize::try_from(groups.number()?).ok().filter(|&n| n > 0)?;
        let is_split = x.shape.channels()?.is_multiple_of(groups) && self.normalized.contains(output.as_str());
        is_split.then_some(groups)
    }

    /// Makes a constant that is multiplied or added for each channel the weight or bias of the norm before it, as PyTorch's
    /// exporter writes group norm.
    pub(super) fn norm_affine(
        &mut self,
        call: &Call<'_>,
        slot: usize,
        x: &Flow,
        constant: &Tensor,
        is_bias: bool,
    ) -> ImportResult<Option<Flow>> {
        if !self.is_single_use(call, slot, x) {
            return Ok(None);
        }
        let Op::SampleNorm(norm) = self.graph.node(x.value.node).op else { return Ok(None) };
        let (Some(channels), Some(PerChannel::Each(values))) = (x.shape.channels(), per_channel(constant, x)) else {
            return Ok(None);
        };
        if norm.over == NormOver::All || norm.affine != is_bias {
            return Ok(None);
        }
        let node_name = self.graph.node(x.value.node).name.clone();
        let has_bias = |tensor: &Tensor| tensor.to_f32().iter().any(|&v| v != 0.0);
        if is_bias && self.tensors.get(&format!("{node_name}.bias")).is_some_and(has_bias) {
            return Ok(None);
        }
        let tensor = |values: Vec<f32>| {
            Tensor::from_f32(vec![channels], values).ok_or_else(|| "its constant does not fit the channels".to_owned())
        };
        if is_bias {
            self.store(x, "bias", tensor(values)?);
            return Ok(Some(x.clone()));
        }
        if let Some(Known::Tensor(name, _)) = self.known(call, 1 - slot)
            && let Some(layer) = names::of_tensor(name).filter(|layer| !self.tensors.contains_key(&format!("{layer}.weight")))
        {
            let layer = self.names.fresh(layer);
            self.graph.node_mut(x.value.node).name = layer;
        }
        self.graph.node_mut(x.value.node).op = Op::SampleNorm(SampleNorm { affine: true, ..norm });
        self.store(x, "weight", tensor(values)?);
        self.store(x, "bias", tensor(vec![0.0; channels])?);
        Ok(Some(x.clone()))
    }

    /// Whether a reduction is over the channels alone.
    pub(super) fn is_over_channels(&self, call: &Call<'_>, x: &Flow) -> ImportResult<bool> {
        self.reduces(call, x, x.lead)
    }

    /// Whether a reduction is over this axis alone, and keeps it.
    pub(super) fn reduces(&self, call: &Call<'_>, x: &Flow, axis: usize) -> ImportResult<bool> {
        let axes = self.list(call, "axes", 1)?.unwrap_or_default();
        let keeps = call.int("keepdims") != Some(0);
        Ok(keeps && matches!(axes[..], [own] if x.axis(own)? == axis))
    }

    /// The mean or maximum of the channels of each place.
    pub(super) fn over_channels(&mut self, call: &Call<'_>, x: &Flow) -> ImportResult<Flow> {
        let reduction = if call.node.op_type() == "ReduceMax" { Reduction::Max } else { Reduction::Mean };
        self.add(call, Op::OverChannels(reduction), &[x])
    }

    /// A Euclidean norm, which only its values may be divided by.
    pub(super) fn l2(&mut self, call: &Call<'_>) -> ImportResult<Known> {
        let x = self.flow(call, 0)?;
        if !self.is_over_channels(call, &x)? {
            return Err("it is a norm over other axes than the channels, or drops them".to_owned());
        }
        Ok(Known::Norm(x, 0.0))
    }

    /// ONNX's own operator for values over their norm; it divides by no smallest norm.
    pub(super) fn lp_normalization(&mut self, call: &Call<'_>) -> ImportResult<Flow> {
        let x = self.flow(call, 0)?;
        if call.int("p").unwrap_or(2) != 2 || x.axis(call.int("axis").unwrap_or(-1))? != x.lead {
            return Err("the language's `l2norm` is the Euclidean norm over the channels".to_owned());
        }
        self.add(call, Op::L2Norm(1e-12), &[&x])
    }

    /// Divides each value by a power of those in the channels around it.
    pub(super) fn local_response(&mut self, call: &Call<'_>) -> ImportResult<Flow> {
        let x = self.flow(call, 0)?;
        let size = call.int("size").and_then(|size| usize::try_from(size).ok()).filter(|size| *size > 0);
        let number = |name: &str, default: f32| call.float(name).unwrap_or(default);
        let lrn = LocalResponse {
            size: size.ok_or("it has no `size`")?,
            alpha: number("alpha", 1e-4),
            beta: number("beta", 0.75),
            k: number("bias", 1.0),
        };
        if x.dims().len() != 3 {
            return Err(format!("it normalizes {}, which is no feature map", x.shape));
        }
        let mut mean = self.pointwise(call, "square", &[Term::Flow(x.clone())], |b, x| b.unary(Unary::Square, x[0]))?;
        for op in [LocalResponse::TURN, lrn.of_channels(), LocalResponse::TURN] {
            mean = self.add(call, op, &[&mean])?;
        }
        let factor = self.pointwise(call, "factor", &[Term::Flow(mean)], |b, x| lrn.factor(b, x[0]))?;
        self.add(call, Elementwise::mul(Broadcast::Full).into(), &[&x, &factor])
    }

    /// The result of a node that reads a norm; `None` if it reads none.
    pub(super) fn of_norm(&mut self, call: &Call<'_>) -> Option<ImportResult<Known>> {
        let norm = |slot: usize| match self.known(call, slot) {
            Some(Known::Norm(x, least)) => Some((x.clone(), *least)),
            _ => None,
        };
        let (slot, (x, least)) = (0..call.node.input.len()).find_map(|slot| Some((slot, norm(slot)?)))?;
        let constant = |slot: usize| self.known(call, slot).and_then(Known::single);
        Some(match call.node.op_type() {
            "Clip" if slot == 0 && !call.has(2) && call.float("max").is_none() => {
                Ok(Known::Norm(x, constant(1).or(call.float("min")).unwrap_or(0.0).max(least)))
            }
            "Max" if call.node.input.len() == 2 => match constant(1 - slot) {
                Some(value) => Ok(Known::Norm(x, value.max(least))),
                None => Err("it reads a norm".to_owned()),
            },
            "Expand" | "Identity" | "Cast" => Ok(Known::Norm(x, least)),
            "Div" if slot == 1 && matches!(self.flow(call, 0), Ok(whole) if whole.value == x.value) => {
                self.add(call, Op::L2Norm(decimal(least)), &[&x]).map(Known::Value)
            }
            _ => Err("it reads a Euclidean norm, which only its values may be divided by".to_owned()),
        })
    }
}

/// Whether a tensor has this value everywhere.
fn is_all(tensor: &Tensor, value: f32) -> bool {
    tensor.to_f32().iter().all(|&v| v == value)
}

fn epsilon(call: &Call<'_>) -> f64 {
    call.float("epsilon").map_or(SampleNorm::EPS, decimal)
}
