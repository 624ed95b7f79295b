//! Dispatches nodes to the functions that import them.

use super::Importer;
use super::call::Call;
use super::flow::Flow;
use super::values::Known;
use crate::base::tensor::Tensor;
use crate::ir::Op;

/// The result of a node, or the reason why it cannot be expressed. The reason is empty if a node before it failed.
pub(super) type ImportResult<T> = Result<T, String>;

impl Importer<'_> {
    /// The results of a node.
    pub(super) fn results(&mut self, call: &Call<'_>) -> ImportResult<Vec<Known>> {
        let mut operands = call.node.input.iter().filter_map(|name| self.values.get(name.as_str()));
        if operands.all(|known| matches!(known, Known::Tensor(..) | Known::Sizes(..))) {
            if let Some(known) = self.fold(call)? {
                return Ok(vec![known]);
            }
            if let Some(results) = self.evaluated(call)? {
                return Ok(results);
            }
        }
        match call.node.op_type() {
            "Split" => self.split(call),
            _ => self.call(call).map(|known| vec![known]),
        }
    }

    /// The result of a node that has one.
    pub(super) fn call(&mut self, call: &Call<'_>) -> ImportResult<Known> {
        let op = call.node.op_type();
        let failed = call.node.input.iter().any(|name| matches!(self.values.get(name.as_str()), Some(Known::Failed)));
        if !failed && let Some(result) = self.channels_last(call) {
            return result;
        }
        if !failed && let Some(result) = self.of_norm(call) {
            return result;
        }
        if !failed && let Some(result) = self.of_powers(call) {
            return result;
        }
        if !failed && let Some(result) = self.of_arms(call) {
            return result;
        }
        let read: fn(&mut Self, &Call<'_>) -> ImportResult<Flow> = match op {
            "Conv" if failed => return Err(String::new()),
            "Conv" => return self.convolved(call),
            "ConvTranspose" => Self::conv_transpose,
            "BatchNormalization" => Self::norm,
            "LayerNormalization" => Self::layer_norm,
            "GroupNormalization" => Self::group_norm,
            "InstanceNormalization" if failed => return Err(String::new()),
            "InstanceNormalization" => return self.instance_norm(call),
            "Gemm" => Self::gemm,
            "MatMul" => Self::matmul,
            "Add" | "Sum" => Self::sum,
            "Sub" => Self::sub,
            "Mul" => Self::mul,
            "Div" => Self::div,
            "Relu" | "Sigmoid" | "Tanh" | "Softplus" | "Softsign" | "Mish" | "HardSwish" | "LeakyRelu" | "Elu" | "Celu"
            | "Selu" | "HardSigmoid" | "Swish" | "Gelu" | "ThresholdedRelu" | "Shrink" => Self::activation,
            "Neg" | "Abs" | "Sqrt" | "Exp" | "Log" | "Erf" | "Floor" | "Ceil" | "Reciprocal" | "Sign" | "Atanh" => Self::unary,
            "Min" | "Max" => Self::extreme,
            "Mean" => Self::mean,
            "Pow" => Self::power,
            "PRelu" => Self::prelu,
            "Clip" => Self::clip,
            "Where" => Self::choice,
            "Less" | "LessOrEqual" | "Greater" | "GreaterOrEqual" | "Equal" | "IsNaN" | "Not" | "And" | "Or" | "Cast"
                if failed =>
            {
                return Err(String::new());
            }
            "Less" | "LessOrEqual" | "Greater" | "GreaterOrEqual" | "Equal" => return self.comparison(call),
            "Cast" => return self.cast(call),
            "IsNaN" => return self.is_nan(call),
            "Not" | "And" | "Or" => return self.logic(call),
            "Softmax" | "Reshape" | "Transpose" | "Squeeze" | "Unsqueeze" | "Gather" if failed => return Err(String::new()),
            "Softmax" => return self.softmax(call),
            "Reshape" => return self.reshape(call),
            "Transpose" => return self.transpose(call),
            "Gather" => return self.gather(call),
            "Squeeze" => return self.squeeze(call),
            "Unsqueeze" => return self.unsqueeze(call),
            "SpaceToDepth" | "DepthToSpace" => Self::squares,
            "MaxPool" => Self::max_pool,
            "AveragePool" => Self::average_pool,
            "GlobalAveragePool" => |this, call| this.one(call, Op::AdaptiveAvgPool([1, 1])),
            "GlobalMaxPool" => |this, call| this.one(call, Op::GlobalMaxPool),
            "ReduceMean" | "ReduceMax" | "ReduceSum" | "QuantizeLinear" | "DequantizeLinear" if failed => {
                return Err(String::new());
            }
            "ReduceMean" | "ReduceMax" | "ReduceSum" => return self.reduce(call),
            "QuantizeLinear" | "DequantizeLinear" => return self.unquantized(call),
            "ReduceL2" if failed => return Err(String::new()),
            "ReduceL2" => return self.l2(call),
            "LpNormalization" => Self::lp_normalization,
            "LRN" => Self::local_response,
            "Pad" if failed => return Err(String::new()),
            "Pad" => return self.pad(call),
            "Slice" => Self::slice,
            "Concat" => Self::concat,
            "Flatten" => Self::flatten,
            "Dropout" => Self::dropout,
            "Identity" => Self::identity,
            "Expand" => Self::expand,
            "Resize" | "Upsample" => Self::resize,
            "Shape" if failed => return Err(String::new()),
            "Shape" => return self.shape_of(call),
            _ => return Err("the language has no equivalent operator".to_owned()),
        };
        if failed {
            return Err(String::new());
        }
        read(self, call).map(Known::Value)
    }

    fn one(&mut self, call: &Call<'_>, op: Op) -> ImportResult<Flow> {
        let x = self.flow(call, 0)?;
        self.add(call, op, &[&x])
    }

    pub(super) fn known(&self, call: &Call<'_>, slot: usize) -> Option<&Known> {
        call.node.input.get(slot).filter(|name| !name.is_empty()).and_then(|name| self.values.get(name.as_str()))
    }

    /// An operand that is computed by the network.
    pub(super) fn flow(&self, call: &Call<'_>, slot: usize) -> ImportResult<Flow> {
        match self.known(call, slot) {
            Some(Known::Value(flow)) => Ok(flow.clone()),
            Some(Known::Lowest(..)) => {
                Err("it reads a value padded with the smallest number, which only max pools support".to_owned())
            }
            Some(Known::Condition(_)) => Err(format!("its operand {slot} is a comparison")),
            Some(Known::Axes(axes)) => Err(format!("it reads {}", axes.change())),
            Some(Known::ChannelsLast(x)) => Err(format!("its operand {slot} is {} with the channels last", x.shape)),
            Some(Known::Norm(..)) => Err(format!("its operand {slot} is a norm, which only its values may be divided by")),
            Some(Known::Half(half)) => Err(format!("it reads {} reduced over the rows or columns alone", half.x.shape)),
            Some(Known::Powers(_)) => Err(format!("its operand {slot} is a power that only a mean of all places reads")),
            Some(Known::Grouped(..)) => Err(format!("its operand {slot} has its channels in groups")),
            Some(_) => Err(format!("its operand {slot} is a constant")),
            None => Err(format!("it has no operand {slot}")),
        }
    }

    /// A constant operand with its name; `None` if it is omitted.
    pub(super) fn tensor(&self, call: &Call<'_>, slot: usize, what: &str) -> ImportResult<Option<(String, Tensor)>> {
        match self.known(call, slot) {
            Some(Known::Tensor(name, tensor)) => Ok(Some((name.clone(), tensor.clone()))),
            Some(_) => Err(format!("its {what} is computed, not stored")),
            None => Ok(None),
        }
    }

    /// Like [`Importer::tensor`], but required and floating-point.
    pub(super) fn weight(&self, call: &Call<'_>, slot: usize, what: &str) -> ImportResult<(String, Tensor)> {
        let found = self.tensor(call, slot, what)?.ok_or_else(|| format!("it has no {what}"))?;
        if found.1.dtype().is_float() { Ok(found) } else { Err(format!("its {what} is not floating-point")) }
    }

    /// A constant operand with a single number; `None` if it is omitted.
    pub(super) fn number(&self, call: &Call<'_>, slot: usize, what: &str) -> ImportResult<Option<f32>> {
        let Some((_, tensor)) = self.tensor(call, slot, what)? else { return Ok(None) };
        match tensor.to_f32()[..] {
            [value] => Ok(Some(value)),
            _ => Err(format!("its {what} is not a single number")),
        }
    }

    /// The integers in an operand, or in an attribute in earlier opsets; `None` if both are missing.
    pub(super) fn list(&self, call: &Call<'_>, attribute: &str, slot: usize) -> ImportResult<Option<Vec<i64>>> {
        match self.known(call, slot) {
            Some(known) => match known.numbers() {
                Some(numbers) => Ok(Some(numbers)),
                None => Err(format!("its {attribute} depend on the input")),
            },
            None => Ok(call.ints(attribute).map(<[i64]>::to_vec)),
        }
    }
}
