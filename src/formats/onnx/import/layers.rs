//! Imports layers with parameters.

use super::Importer;
use super::call::Call;
use super::dispatch::ImportResult;
use super::flow::Flow;
use super::names;
use super::values::{Known, PerChannel, per_channel};
use crate::base::decimal::decimal;
use crate::base::tensor::Tensor;
use crate::ir::{BatchNorm, Conv, Dim, Epilogue, Linear, Op, Shape};

/// The maximum number of channels that fewer numbers are expanded to, since no data in the file corresponds to them.
pub(super) const MAX_CHANNELS: usize = 1 << 20;

/// The parameters of a convolution.
pub(super) struct Filters {
    /// The name of the weight in the file.
    pub name: String,
    /// At least two axes, and those of the kernel.
    pub weight: Tensor,
    pub bias: Option<Tensor>,
    /// The sizes of the kernel.
    pub kernel: Vec<i64>,
    pub groups: usize,
}

impl Importer<'_> {
    /// The name of a layer: from its weight if possible and not taken by another layer; otherwise from the node.
    pub(super) fn layer(&mut self, call: &Call<'_>, weight: &str, word: &str) -> String {
        let from_weight = names::of_tensor(weight).filter(|layer| !self.tensors.contains_key(&format!("{layer}.weight")));
        from_weight.unwrap_or_else(|| names::of_node(call.node.name(), call.node.op_type(), word))
    }

    /// The name of a value's node in the graph.
    fn name_of(&self, flow: &Flow) -> String {
        self.graph.node(flow.value.node).name.clone()
    }

    pub(super) fn store(&mut self, layer: &Flow, role: &str, tensor: Tensor) {
        let name = format!("{}.{role}", self.name_of(layer));
        self.tensors.insert(name, tensor);
    }

    /// Stores a learned operand of a function, under the name that the network's parameters have.
    pub(super) fn store_operand(&mut self, layer: &Flow, operand: &str, tensor: Tensor) {
        let node = self.graph.node(layer.value.node);
        let name = if node.op.is_parameter(&node.name) { node.name.clone() } else { format!("{}.{operand}", node.name) };
        self.tensors.insert(name, tensor);
    }

    pub(super) fn conv(&mut self, call: &Call<'_>, x: &Flow) -> ImportResult<Flow> {
        let mut filters = self.filters(call)?;
        let (mut standardize, mut gain) = (None, None);
        if let Some(own) = self.standardized(&filters) {
            (filters.name, filters.weight) = (own.name, own.weight);
            (standardize, gain) = (Some(own.how), own.gain);
            self.standardize = standardize.filter(|how| how.gain.is_some()).or(self.standardize);
        }
        let [count, per_group, groups] = [filters.weight.shape()[0], filters.weight.shape()[1], filters.groups];
        let window = self.window(call, x, &filters.kernel)?;
        let channels = x.shape.channels().unwrap_or(0);
        if per_group.checked_mul(groups) != Some(channels) {
            return Err(format!(
                "its weight is for {per_group} channels in each of {groups} groups, but the operand has {channels}"
            ));
        }
        if let Some(steps) = self.blur_steps(&filters, &window, channels) {
            return self.blurred(call, x, &window, steps);
        }
        let op = Op::Conv(Conv {
            filters: count,
            kernel: window.kernel,
            stride: window.stride,
            pad: window.pad,
            dilation: window.dilation,
            groups,
            bias: filters.bias.is_some(),
            standardize,
            epilogue: Epilogue::default(),
        });
        let y = self.convolution(call, op, x, count, filters)?;
        if let Some(gain) = gain {
            self.store(&y, "gain", gain);
        }
        Ok(y)
    }

    /// Reads what any convolution has.
    pub(super) fn filters(&self, call: &Call<'_>) -> ImportResult<Filters> {
        let (name, weight) = self.weight(call, 1, "weight")?;
        let bias = if call.has(2) { Some(self.weight(call, 2, "bias")?.1) } else { None };
        let [_, _, kernel @ ..] = weight.shape() else {
            return Err(format!("its weight has shape {:?}", weight.shape()));
        };
        let kernel: Vec<i64> = kernel.iter().map(|&n| n as i64).collect();
        if call.ints("kernel_shape").is_some_and(|stated| stated != kernel) {
            return Err("the shape of its weight does not match its `kernel_shape`".to_owned());
        }
        let groups = usize::try_from(call.int("group").unwrap_or(1)).map_err(|_| "its number of groups is negative")?;
        Ok(Filters { name, weight, bias, kernel, groups })
    }

    /// Adds a convolution with this number of filters, and stores its parameters.
    pub(super) fn convolution(
        &mut self,
        call: &Call<'_>,
        op: Op,
        x: &Flow,
        count: usize,
        filters: Filters,
    ) -> ImportResult<Flow> {
        let Filters { name, weight, bias, .. } = filters;
        if bias.as_ref().is_some_and(|bias| bias.shape() != [count]) {
            return Err(format!("its bias does not have one value for each of {count} filters"));
        }
        let layer = self.layer(call, &name, "conv");
        let y = self.add_named(op, layer, &[x])?;
        self.store(&y, "weight", weight);
        if let Some(bias) = bias {
            self.store(&y, "bias", bias);
        }
        Ok(y)
    }

    /// The reason why a norm is in training mode; `None` in inference mode. Before opset 7 and since opset 14, an attribute sets the mode. Until
    /// opset 13, additional outputs (the batch statistics) also mean training mode.
    fn training_mode(&self, call: &Call<'_>) -> Option<String> {
        let stated = match self.opset {
            ..7 => (!call.flag("is_test")).then(|| "its `is_test` is 0".to_owned()),
            7..14 => None,
            14.. => call.flag("training_mode").then(|| "its `training_mode` is 1".to_owned()),
        };
        let outputs = call.node.output.iter().filter(|name| !name.is_empty()).count();
        stated.or_else(|| (outputs > 1).then(|| format!("it has {outputs} outputs")))
    }

    pub(super) fn norm(&mut self, call: &Call<'_>) -> ImportResult<Flow> {
        let x = self.flow(call, 0)?;
        if let Some(reason) = self.training_mode(call) {
            return Err(format!(
                "it is in training mode ({reason}) and normalizes with batch statistics: export the network in eval mode"
            ));
        }
        if call.int("spatial") == Some(0) {
            return Err("it normalizes each position separately".to_owned());
        }
        let channels = x.shape.channels().unwrap_or(0);
        let mut params = Vec::new();
        for (slot, what) in ["scale", "shift", "mean", "variance"].into_iter().enumerate() {
            let (name, tensor) = self.weight(call, slot + 1, what)?;
            if tensor.shape() != [channels] {
                return Err(format!("its {what} does not have one value for each of {channels} channels"));
            }
            params.push((name, tensor));
        }
        let eps = call.float("epsilon").map_or(BatchNorm::DEFAULT.eps, decimal);
        let momentum = call.float("momentum").map_or(BatchNorm::DEFAULT.momentum, |momentum| 1.0 - decimal(momentum));
        let layer = self.layer(call, &params[0].0, "batchnorm");
        let momentum = (momentum * 1e6).round() / 1e6;
        let y = self.add_named(Op::BatchNorm(BatchNorm { eps, momentum }), layer, &[&x])?;
        for ((_, tensor), role) in params.into_iter().zip(["weight", "bias", "running_mean", "running_var"]) {
            self.store(&y, role, tensor);
        }
        Ok(y)
    }

    /// `x * scale + shift`, as a batch norm with mean 0 and variance 1 unless both are single numbers.
    pub(super) fn per_channel(&mut self, call: &Call<'_>, x: &Flow, scale: PerChannel, shift: PerChannel) -> ImportResult<Flow> {
        if let (&PerChannel::One(a), &PerChannel::One(b)) = (&scale, &shift) {
            return self.affine(call, x, a, b);
        }
        let channels = x.shape.channels().filter(|&n| n <= MAX_CHANNELS).ok_or("it has too many channels")?;
        let name = names::of_node(call.node.name(), call.node.op_type(), "batchnorm");
        let y = self.add_named(Op::BatchNorm(BatchNorm::DEFAULT), name, &[x])?;
        let each = |values: Vec<f32>| {
            Tensor::from_f32(vec![channels], values).ok_or_else(|| "its constant does not fit the channels".to_owned())
        };
        self.store(&y, "weight", each(scale.expand(channels))?);
        self.store(&y, "bias", each(shift.expand(channels))?);
        self.store(&y, "running_mean", each(vec![0.0; channels])?);
        self.store(&y, "running_var", each(vec![BatchNorm::UNIT_VARIANCE; channels])?);
        Ok(y)
    }

    /// Turns an added constant into the bias of the preceding layer, if it has none and nothing else reads its result.
    pub(super) fn bias(&mut self, call: &Call<'_>, slot: usize, x: &Flow, shift: &Tensor) -> ImportResult<Option<Flow>> {
        if !self.is_single_use(call, slot, x) {
            return Ok(None);
        }
        let has_bias = match &mut self.graph.node_mut(x.value.node).op {
            Op::Conv(conv) => &mut conv.bias,
            Op::Linear(linear) => &mut linear.bias,
            _ => return Ok(None),
        };
        let (Some(channels), Some(values)) = (x.shape.channels(), per_channel(shift, x)) else { return Ok(None) };
        if std::mem::replace(has_bias, true) {
            return Ok(None);
        }
        let values = Tensor::from_f32(vec![channels], values.expand(channels));
        self.store(x, "bias", values.ok_or("its constant does not fit the channels")?);
        Ok(Some(x.clone()))
    }

    pub(super) fn matmul(&mut self, call: &Call<'_>) -> ImportResult<Flow> {
        if let Some(Known::Tensor(_, left)) = self.known(call, 0) {
            let left = left.clone();
            return self.left_matmul(call, &left, false, 1.0);
        }
        let x = self.flow(call, 0)?;
        self.linear(call, &x, false, 1.0)
    }

    pub(super) fn gemm(&mut self, call: &Call<'_>) -> ImportResult<Flow> {
        let (alpha, beta) = (call.float("alpha").unwrap_or(1.0), call.float("beta").unwrap_or(1.0));
        let y = if let Some(Known::Tensor(_, left)) = self.known(call, 0) {
            if call.flag("transB") {
                return Err("it transposes a value that is not constant".to_owned());
            }
            let left = left.clone();
            self.left_matmul(call, &left, call.flag("transA"), alpha)?
        } else {
            let mut x = self.flow(call, 0)?;
            if call.flag("transA") {
                x = self.transpose_input(call, &x).ok_or("it transposes the batch and the features")?;
            }
            self.linear(call, &x, call.flag("transB"), alpha)?
        };
        match self.known(call, 2).cloned() {
            None => Ok(y),
            Some(Known::Value(c)) => {
                let c = if beta == 1.0 { c } else { self.affine(call, &c, beta, 0.0)? };
                self.plus(call, y, c)
            }
            Some(Known::Tensor(_, c)) => {
                let values = per_channel(&c, &y).ok_or("its bias does not have one value per feature")?;
                let features = y.shape.channels().unwrap_or(0);
                let values = values.expand(features).into_iter().map(|v| v * beta).collect::<Vec<f32>>();
                let op = &mut self.graph.node_mut(y.value.node).op;
                if let Op::Linear(Linear { bias, .. }) | Op::Conv(Conv { bias, .. }) = op {
                    *bias = true;
                }
                let tensor =
                    if beta == 1.0 && c.shape() == [features] { Some(c) } else { Tensor::from_f32(vec![features], values) };
                self.store(&y, "bias", tensor.ok_or("its bias does not fit the features")?);
                Ok(y)
            }
            Some(_) => Err("its bias is neither a constant nor a value of the network".to_owned()),
        }
    }

    /// Swaps the batch and the features of the network's only input, if nothing else reads it.
    fn transpose_input(&mut self, call: &Call<'_>, x: &Flow) -> Option<Flow> {
        let (&[Some(samples)], &[Dim::Fixed(features)]) = (&self.batch[..], x.dims()) else { return None };
        if self.graph.inputs() != [x.value.node] || !self.is_single_use(call, 0, x) {
            return None;
        }
        let shape = Shape::fixed(&[usize::try_from(samples).ok()?]);
        let node = self.graph.node_mut(x.value.node);
        node.op = Op::Input(shape.clone());
        let name = node.name.clone();
        self.shapes[x.value.node.index()] = shape.clone();
        self.batch = vec![i64::try_from(features).ok()];
        self.notes.retain(|note| !note.starts_with("the file's batch is "));
        self.notes.insert(format!("the samples of `{name}` are columns in the file ({samples}x{features}); here they are rows"));
        self.transposed.push(name);
        Some(Flow { shape, ..x.clone() })
    }

    /// `x W`, where `W` is stored as inputs x features, or transposed.
    fn linear(&mut self, call: &Call<'_>, x: &Flow, transposed: bool, alpha: f32) -> ImportResult<Flow> {
        let (name, weight) = self.weight(call, 1, "weight")?;
        let &[rows, columns] = weight.shape() else {
            return Err(format!("its weight has {} axes", weight.shape().len()));
        };
        let [_] = x.dims() else {
            return Err(format!("it multiplies {} on the right, but a linear layer takes features", x.shape));
        };
        let (features, inputs) = if transposed { (rows, columns) } else { (columns, rows) };
        if x.shape.channels() != Some(inputs) {
            return Err(format!("its weight is for {inputs} features, but the operand is {}", x.shape));
        }
        let weight = match (transposed, alpha == 1.0) {
            (true, true) => weight,
            _ => scaled(&weight, !transposed, alpha).ok_or("its weight is too large")?,
        };
        let layer = self.layer(call, &name, "linear");
        let y = self.add_named(Op::Linear(Linear { features, bias: false, epilogue: Epilogue::default() }), layer, &[x])?;
        self.store(&y, "weight", weight);
        Ok(y)
    }

    /// `A x` with a constant `A`: a 1-D convolution with kernel 1, whose channels are the rows of `x`.
    fn left_matmul(&mut self, call: &Call<'_>, left: &Tensor, transposed: bool, alpha: f32) -> ImportResult<Flow> {
        let x = self.flow(call, 1)?;
        let &[rows, columns] = left.shape() else { return Err("it multiplies by a constant on the left".to_owned()) };
        let (filters, channels) = if transposed { (columns, rows) } else { (rows, columns) };
        if x.dims().len() != 2 || x.shape.channels() != Some(channels) || !left.dtype().is_float() {
            return Err(format!("it multiplies {} by a constant on the left", x.shape));
        }
        let weight = scaled(left, transposed, alpha).ok_or("its weight is too large")?;
        let weight =
            Tensor::from_f32(vec![filters, channels, 1], weight.to_f32().into_owned()).ok_or("its weight is too large")?;
        let y = self.add(call, Op::Conv(Conv::pointwise(filters)), &[&x])?;
        self.store(&y, "weight", weight);
        Ok(y)
    }
}

/// A matrix times a number, transposed if `transpose` is set.
pub(super) fn scaled(matrix: &Tensor, transpose: bool, alpha: f32) -> Option<Tensor> {
    let &[rows, columns] = matrix.shape() else { return None };
    let values = matrix.to_f32();
    let times = |v: f32| if alpha == 1.0 { v } else { v * alpha };
    if !transpose {
        return Tensor::from_f32(vec![rows, columns], values.iter().map(|&v| times(v)).collect::<Vec<_>>());
    }
    let mut result = vec![0.0; values.len()];
    for (r, row) in values.chunks(columns.max(1)).enumerate() {
        for (c, &v) in row.iter().enumerate() {
            result[c * rows + r] = times(v);
        }
    }
    Tensor::from_f32(vec![columns, rows], result)
}
