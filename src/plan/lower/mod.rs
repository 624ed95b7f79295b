//! Lowers each node to a step: operators become kernels with all their sizes. Nodes that change nothing become aliases of
//! their operand's buffer.

mod conv_transpose;
mod rearrange;
mod resize;
mod rows;
mod softmax;
mod train;

use std::collections::HashMap;
use std::sync::Arc;

use super::attrs::{edge, norm_scratch, pool_shape};
use super::buffer::four;
use super::{
    Buffer, BufferId, ConvStrategy, ElementwiseKernel, FusedFunction, Kernel, Place, Plan, PlanError, PlanOptions, Port,
    ResidualPlan, Settings, Step, Weight, WeightId, WeightLayout, WeightSource, strategy,
};
use crate::base::tensor::DType;
use crate::ir::{
    Conv, Elementwise, Node, NodeId, NormOver, Op, Pad, ParamRole, ParamSource, Pool, PoolKind, Rows, SampleNorm, ShapedNetwork,
    Train, Unit, Value, units,
};
use crate::kernels::pad::PadShape;
use crate::kernels::pool::PoolShape;
use crate::kernels::{ConvShape, Layout};

pub(super) struct Lowering<'a> {
    pub network: &'a ShapedNetwork,
    pub plan: Plan,
    /// The buffer of each value.
    buffers: HashMap<Value, BufferId>,
    /// In a loop over counted rows, the rows of a chunk.
    chunk: Option<usize>,
}

/// Lowers a network. All buffers but the caller's are in the arena, without offsets yet.
pub(super) fn lower(network: &ShapedNetwork, options: &PlanOptions, settings: &Settings) -> Result<Plan, PlanError> {
    let graph = network.graph();
    let plan = Plan {
        name: network.name().to_owned(),
        options: *options,
        inputs: Vec::new(),
        outputs: Vec::new(),
        buffers: Vec::new(),
        weights: Vec::new(),
        steps: Vec::new(),
        loops: Vec::new(),
        arena: 0,
        scratch_at: 0,
        scratch: 0,
    };
    let mut l = Lowering { network, plan, buffers: HashMap::new(), chunk: None };
    for (index, &id) in graph.inputs().iter().enumerate() {
        let shape = l.shape(id.into())?;
        let buffer = l.buffer(id.into(), Place::Input(index))?;
        l.set(id.into(), buffer);
        let shape = network.declared_sizes(&shape);
        l.plan.inputs.push(Port { name: graph.node(id).name.clone(), dtype: network.types.get(id).dtype, shape });
    }
    for unit in units(network)? {
        match unit {
            Unit::Node(id) => l.node(id)?,
            Unit::Loop(rows) => l.row_loop(&rows, settings.chunk_rows)?,
        }
    }
    for (index, (name, value)) in graph.outputs().iter().enumerate() {
        l.output(index, name, *value)?;
    }
    Ok(l.plan)
}

impl Lowering<'_> {
    fn node(&mut self, id: NodeId) -> Result<(), PlanError> {
        // an activation may already be fused into the previous step, and inputs have their buffers
        if self.buffers.contains_key(&id.into()) {
            return Ok(());
        }
        let graph = self.network.graph();
        let node = graph.node(id);
        let operands = graph.operands(id);
        let result = Value::from(id);
        let mut inputs = operands.iter().map(|&o| self.operand(o)).collect::<Result<Vec<_>, _>>()?;
        if let Op::Upsample(_) = node.op {
            // only the sizes of the second operand matter
            inputs.truncate(1);
        }
        let kernel = match &node.op {
            Op::Input(_) => return Err(PlanError::Internal(format!("the input `{}` is not declared", node.name))),
            Op::Flatten | Op::Dropout(_) => {
                self.set(result, inputs[0]);
                return Ok(());
            }
            Op::Conv(conv) => {
                let shape = self.conv_shape(conv, result, operands[0])?;
                let strategy = strategy::plain(&shape, self.plan.options.threads).strategy;
                let residual = residual(conv.epilogue.residual);
                let act = conv.epilogue.act.as_ref().filter(|act| self.fuses(act, Some(conv.filters)));
                Kernel::Conv { shape, strategy, residual, act: act.map(|act| FusedFunction::new(act)) }
            }
            Op::Linear(linear) => {
                let x = self.shape(operands[0])?;
                let sizes = [x[0], x[1], linear.features];
                let act = linear.epilogue.act.as_ref().map(|act| FusedFunction::new(act));
                Kernel::Linear { sizes, residual: residual(linear.epilogue.residual), act }
            }
            Op::ChannelConv(_) => Kernel::ChannelConv(self.shape(result)?[1]),
            Op::BatchNorm(_) => {
                let act = self.following_function(id).map(|(_, act)| FusedFunction::new(act));
                Kernel::ScaleShift { plane: self.plane(result)?, act }
            }
            Op::Gem(_) => return Err(PlanError::Internal(format!("`{}` is not in terms of powers", node.name))),
            Op::OverChannels(reduction) => Kernel::OverChannels { reduction: *reduction, sizes: four(&self.shape(operands[0])?) },
            Op::L2Norm(eps) => Kernel::L2Norm { eps: *eps },
            Op::SampleNorm(norm) => {
                let act = self.following_function(id).map(|(_, act)| FusedFunction::new(act));
                Kernel::SampleNorm { norm: *norm, act }
            }
            Op::Elementwise(function) => Kernel::Elementwise(ElementwiseKernel::new(function)),
            Op::Concat => {
                let mut end = 0;
                let mut part = |&operand: &Value| {
                    let start = end;
                    end += self.shape(operand)?[1..].iter().product::<usize>();
                    Ok(start..end)
                };
                let parts = operands.iter().map(&mut part).collect::<Result<_, PlanError>>()?;
                Kernel::Concat { parts, placed: 0 }
            }
            Op::Pool(pool) => Kernel::Pool(self.pool_shape(pool, result, operands[0])?),
            Op::AdaptiveAvgPool(output) => Kernel::AdaptiveAvg { input: self.map(operands[0])?, output: *output },
            Op::Softmax(groups) => self.softmax(*groups, result)?,
            Op::Pad(pad) => {
                let [h, w] = self.map(operands[0])?;
                let x = self.shape(operands[0])?;
                let input = [x[0], x[1], h, w];
                Kernel::Pad(PadShape { input, channels: pad.channels, sides: pad.sides, edge: edge(pad.mode) })
            }
            Op::GlobalMaxPool => {
                let map = self.map(operands[0])?;
                let pool = Pool { kind: PoolKind::MAX, kernel: map, stride: [1, 1], pad: [[0; 2]; 2], ceil: false };
                Kernel::Pool(self.pool_shape(&pool, result, operands[0])?)
            }
            Op::Upsample(upsample) => self.upsample(upsample, self.map(operands[0])?, self.map(result)?, &node.name)?,
            Op::Subsample(stride) => Kernel::Subsample { input: self.map(operands[0])?, stride: *stride },
            Op::Slice(range) => Kernel::Slice { start: range.start, of: self.shape(operands[0])?[1] },
            Op::Rearrange(rearrange) => self.rearrange(rearrange, operands[0])?,
            Op::Crop(sides) => return self.train(id, &Train::Unpad(Pad::zeros(*sides))),
            Op::ConvTranspose(conv) => return self.conv_transpose(id, conv),
            Op::Train(op) => return self.train(id, op),
            Op::Custom(op) => return self.custom(id, op, inputs),
        };
        let output = self.buffer(result, Place::Arena(0))?;
        let scratch = match &kernel {
            Kernel::Conv { shape, strategy: ConvStrategy::Gemm(tiles), .. } => tiles.scratch(shape) * size_of::<f32>(),
            Kernel::SampleNorm { norm, .. } => {
                let floats = norm_scratch(norm, self.plan.options.isa, Layout::Nchw, self.plan.buffer(output).sizes, false);
                floats.div_ceil(self.plan.options.threads) * size_of::<f32>()
            }
            Kernel::Interpolate(map) => map.scratch(1) * size_of::<f32>(),
            _ => 0,
        };
        let weights = self.weights(node)?;
        let shape = self.shape(result)?;
        let why = String::new();
        self.plan.steps.push(Step {
            name: node.name.clone(),
            kernel,
            inputs,
            outputs: vec![output],
            weights,
            scratch,
            shape,
            why,
        });
        self.set(result, output);
        if let Op::BatchNorm(_) | Op::SampleNorm(_) = node.op {
            if let Some((act, _)) = self.following_function(id) {
                self.set(act.into(), output);
            }
        } else if let Op::Conv(conv) = &node.op
            && let Some(act) = conv.epilogue.act.as_ref().filter(|act| !self.fuses(act, Some(conv.filters)))
        {
            self.own_step(result, act)?;
        }
        Ok(())
    }

    /// Whether a step can apply a function to its result, as opposed to a step of its own. Blocks of channels that are not full have
    /// filler lanes, which must stay finite: a function of 0 that is not 0 could make them anything.
    fn fuses(&self, function: &Elementwise, channels: Option<usize>) -> bool {
        let is_full = channels.is_none_or(|channels| channels.is_multiple_of(self.plan.options.isa.lanes()));
        is_full || function.program.evaluate(&[0.0]) == 0.0
    }

    /// Applies a function to a value in a step of its own.
    fn own_step(&mut self, value: Value, function: &Elementwise) -> Result<(), PlanError> {
        let (input, output) = (self.operand(value)?, self.buffer(value, Place::Arena(0))?);
        let name = format!("{}.{}", self.name(value), function.name);
        let kernel = Kernel::Elementwise(ElementwiseKernel::new(function));
        let shape = self.shape(value)?;
        self.plan.steps.push(Step {
            name,
            kernel,
            inputs: vec![input],
            outputs: vec![output],
            weights: Vec::new(),
            scratch: 0,
            shape,
            why: String::new(),
        });
        self.set(value, output);
        Ok(())
    }

    /// Binds an output of the network to the buffer of its value, or to a copy if that is the caller's or already an output.
    fn output(&mut self, index: usize, name: &str, value: Value) -> Result<(), PlanError> {
        let id = self.operand(value)?;
        let shape = self.shape(value)?;
        let port = self.network.declared_sizes(&shape);
        let dtype = self.network.types.get(value).dtype;
        if dtype != DType::F32 && (index == 0 || !matches!(dtype, DType::I64 | DType::I32)) {
            return Err(PlanError::OutputType { name: name.to_owned(), dtype });
        }
        self.plan.outputs.push(Port { name: name.to_owned(), dtype, shape: port });
        match self.plan.buffers[id.0].place {
            Place::Arena(_) => self.plan.buffers[id.0].place = Place::Output(index),
            Place::Input(_) | Place::Output(_) => {
                let output = self.buffer(value, Place::Output(index))?;
                self.plan.steps.push(Step {
                    name: format!("output {name}"),
                    kernel: Kernel::Copy,
                    inputs: vec![id],
                    outputs: vec![output],
                    weights: Vec::new(),
                    scratch: 0,
                    shape,
                    why: String::new(),
                });
            }
        }
        Ok(())
    }

    fn operand(&self, value: Value) -> Result<BufferId, PlanError> {
        let found = self.buffers.get(&value).copied();
        found.ok_or_else(|| PlanError::Internal(format!("{} is used before it is computed", value.node)))
    }

    /// Sizes of a value, batch first if it has one.
    fn shape(&self, value: Value) -> Result<Vec<usize>, PlanError> {
        let of = self.network.types.get(value);
        let free = || PlanError::FreeShape { node: self.name(value).to_owned(), shape: of.shape.to_string() };
        let sizes = of.shape.sizes().ok_or_else(free)?;
        Ok(match of.rows {
            Rows::PerSample => [&[self.plan.options.batch], &sizes[..]].concat(),
            Rows::PerBatch => sizes,
            Rows::Counted(_) => {
                let outside =
                    || PlanError::Internal(format!("the rows of `{}` are read outside of their loop", self.name(value)));
                [&[self.chunk.ok_or_else(outside)?], &sizes[..]].concat()
            }
        })
    }

    /// Whether a value has a row per sample.
    fn is_per_sample(&self, value: Value) -> bool {
        self.network.types.get(value).rows == Rows::PerSample
    }

    /// The name of the node that yields a value.
    fn name(&self, value: Value) -> &str {
        &self.network.graph().node(value.node).name
    }

    fn map(&self, value: Value) -> Result<[usize; 2], PlanError> {
        let shape = self.shape(value)?;
        let map = shape.get(2..).and_then(|map| <[usize; 2]>::try_from(map).ok());
        map.ok_or_else(|| PlanError::Internal(format!("`{}` is not a map", self.name(value))))
    }

    /// Elements of one channel.
    fn plane(&self, value: Value) -> Result<usize, PlanError> {
        Ok(self.shape(value)?[2..].iter().product())
    }

    /// The buffer of a value.
    fn buffer(&mut self, value: Value, place: Place) -> Result<BufferId, PlanError> {
        let (network, shape) = (self.network, self.shape(value)?);
        self.buffer_at(&shape, network.types.get(value).dtype, &network.graph().node(value.node).name, place)
    }

    /// An arena buffer for an f32 value of these sizes. `node` is the node's name, for errors.
    fn buffer_of(&mut self, shape: &[usize], node: &str) -> Result<BufferId, PlanError> {
        self.buffer_at(shape, DType::F32, node, Place::Arena(0))
    }

    fn buffer_at(&mut self, shape: &[usize], dtype: DType, node: &str, place: Place) -> Result<BufferId, PlanError> {
        let buffer = Buffer::new(shape, dtype, Layout::Nchw, place);
        let too_large = || PlanError::TooLarge { batch: self.plan.options.batch, node: node.to_owned() };
        self.plan.buffers.push(buffer.ok_or_else(too_large)?);
        Ok(BufferId(self.plan.buffers.len() - 1))
    }

    /// Records the buffer of a value.
    fn set(&mut self, value: Value, buffer: BufferId) {
        self.buffers.insert(value, buffer);
    }

    fn weights(&mut self, node: &Node) -> Result<Vec<WeightId>, PlanError> {
        let mut list = Vec::new();
        let own_name = |suffix: &str| format!("{}.{suffix}", node.name);
        let mut push = |name: String, source, shape: &[usize]| {
            list.push(WeightId(self.plan.weights.len()));
            self.plan.weights.push(Weight { name, source, shape: shape.to_vec(), layout: WeightLayout::Plain });
        };
        if let Op::BatchNorm(norm) = &node.op {
            let shape = node.params.first().map(|p| p.shape.clone()).unwrap_or_default();
            push(own_name("scale"), WeightSource::NormScale { norm: node.name.clone(), eps: norm.eps }, &shape);
            push(own_name("shift"), WeightSource::NormShift { norm: node.name.clone(), eps: norm.eps }, &shape);
            return Ok(list);
        }
        if let Op::Conv(Conv { standardize: Some(_), .. }) = node.op {
            return Err(PlanError::Internal(format!("the weight of `{}` is not standardized yet", node.name)));
        }
        for param in &node.params {
            match param.role {
                ParamRole::Weight | ParamRole::Bias | ParamRole::Gain | ParamRole::Operand(_) => {
                    let name = match (&param.source, param.role) {
                        // fused functions may have named their parameters alike
                        (ParamSource::Named(name), ParamRole::Operand(_)) => name.clone(),
                        _ => own_name(node.op.param_name(param.role)),
                    };
                    push(name, WeightSource::Param(param.source.clone()), &param.shape);
                }
                ParamRole::RunningMean | ParamRole::RunningVar => {
                    return Err(PlanError::Internal(format!("`{}` has statistics and is no norm", node.name)));
                }
            }
        }
        Ok(list)
    }

    fn conv_shape(&self, conv: &Conv, result: Value, operand: Value) -> Result<ConvShape, PlanError> {
        let x = self.shape(operand)?;
        Ok(ConvShape {
            batch: x[0],
            channels: x[1],
            input: self.map(operand)?,
            filters: conv.filters,
            output: self.map(result)?,
            kernel: conv.kernel,
            stride: conv.stride,
            pad: conv.pad,
            dilation: conv.dilation,
            groups: conv.groups,
        })
    }

    fn pool_shape(&self, pool: &Pool, result: Value, operand: Value) -> Result<PoolShape, PlanError> {
        let maps = self.shape(operand)?[..2].iter().product();
        Ok(pool_shape(pool, maps, self.map(operand)?, self.map(result)?))
    }

    /// The function that is the only user of a norm's result, with its node, if the norm's step can apply it.
    fn following_function(&self, id: NodeId) -> Option<(NodeId, &Arc<Elementwise>)> {
        let graph = self.network.graph();
        let [(user, _)] = graph.users(Value::from(id))[..] else { return None };
        if matches!(graph.node(id).op, Op::SampleNorm(SampleNorm { over: NormOver::Channels | NormOver::All, .. })) {
            return None;
        }
        let function = graph.node(user).op.as_elementwise().filter(|function| function.is_unary())?;
        let channels = self.network.shape(id).channels();
        (!graph.is_output(Value::from(id)) && self.fuses(function, channels)).then_some((user, function))
    }
}

fn residual(is: bool) -> ResidualPlan {
    if is { ResidualPlan::Operand } else { ResidualPlan::None }
}
