//! Lowers each node to a step: operators become kernels with all their sizes. Nodes that change nothing become aliases of
//! their operand's buffer.

mod train;

use std::sync::Arc;

use super::attrs::{edge, pool_shape};
use super::{
    Buffer, BufferId, ConvStrategy, ElementwiseKernel, FusedFunction, Kernel, Place, Plan, PlanError, PlanOptions, Port,
    ResidualPlan, Step, Weight, WeightId, WeightLayout, WeightSource, strategy,
};
use crate::base::tensor::DType;
use crate::ir::{Conv, Elementwise, Node, NodeId, Op, ParamRole, Pool, PoolKind, ShapedNetwork, Value};
use crate::kernels::pad::PadShape;
use crate::kernels::pool::PoolShape;
use crate::kernels::{ConvShape, Layout};

pub(super) struct Lowering<'a> {
    pub network: &'a ShapedNetwork,
    pub plan: Plan,
    /// The buffer of each node's result.
    buffers: Vec<Option<BufferId>>,
}

/// Lowers a network. All buffers but the caller's are in the arena, without offsets yet.
pub(super) fn lower(network: &ShapedNetwork, options: &PlanOptions) -> Result<Plan, PlanError> {
    let graph = network.graph();
    let plan = Plan {
        name: network.name().to_owned(),
        options: *options,
        inputs: Vec::new(),
        outputs: Vec::new(),
        buffers: Vec::new(),
        weights: Vec::new(),
        steps: Vec::new(),
        arena: 0,
        scratch_at: 0,
        scratch: 0,
    };
    let mut l = Lowering { network, plan, buffers: vec![None; graph.bound()] };
    for (index, &id) in graph.inputs().iter().enumerate() {
        let shape = l.shape(id)?;
        let buffer = l.buffer(id, Place::Input(index))?;
        l.buffers[id.index()] = Some(buffer);
        let shape = network.declared_sizes(&shape);
        l.plan.inputs.push(Port { name: graph.node(id).name.clone(), shape });
    }
    for id in graph.order() {
        // an activation may already be fused into the previous step, and inputs have their buffers
        if l.buffers[id.index()].is_none() {
            l.node(id)?;
        }
    }
    for (index, (name, value)) in graph.outputs().iter().enumerate() {
        l.output(index, name, value.node)?;
    }
    Ok(l.plan)
}

impl Lowering<'_> {
    fn node(&mut self, id: NodeId) -> Result<(), PlanError> {
        let graph = self.network.graph();
        let node = graph.node(id);
        let operands: Vec<NodeId> = graph.operands(id).iter().map(|v| v.node).collect();
        let mut inputs = operands.iter().map(|&o| self.operand(o)).collect::<Result<Vec<_>, _>>()?;
        if let Op::Upsample(None) = node.op {
            // only the sizes of the second operand matter
            inputs.truncate(1);
        }
        let kernel = match &node.op {
            Op::Input(_) => return Err(PlanError::Internal(format!("the input `{}` is not declared", node.name))),
            Op::Flatten | Op::Dropout(_) => {
                self.buffers[id.index()] = Some(inputs[0]);
                return Ok(());
            }
            Op::Conv(conv) => {
                let shape = self.conv_shape(conv, id, operands[0])?;
                let strategy = strategy::plain(&shape, self.plan.options.threads).strategy;
                let residual = residual(conv.epilogue.residual);
                let act = conv.epilogue.act.as_ref().filter(|act| self.fuses(act, Some(conv.filters)));
                Kernel::Conv { shape, strategy, residual, act: act.map(|act| FusedFunction::new(act)) }
            }
            Op::Linear(linear) => {
                let inputs = self.shape(operands[0])?[1];
                let sizes = [self.plan.options.batch, inputs, linear.features];
                let act = linear.epilogue.act.as_ref().map(|act| FusedFunction::new(act));
                Kernel::Linear { sizes, residual: residual(linear.epilogue.residual), act }
            }
            Op::BatchNorm(_) => {
                let act = self.following_function(id).map(|(_, act)| FusedFunction::new(act));
                Kernel::ScaleShift { plane: self.plane(id)?, act }
            }
            Op::Elementwise(function) => Kernel::Elementwise(ElementwiseKernel::new(function)),
            Op::Concat => {
                let mut end = 0;
                let mut part = |&operand: &NodeId| {
                    let start = end;
                    end += self.shape(operand)?[1..].iter().product::<usize>();
                    Ok(start..end)
                };
                let parts = operands.iter().map(&mut part).collect::<Result<_, PlanError>>()?;
                Kernel::Concat { parts, placed: 0 }
            }
            Op::Pool(pool) => Kernel::Pool(self.pool_shape(pool, id, operands[0])?),
            Op::AdaptiveAvgPool(output) => Kernel::AdaptiveAvg { input: self.map(operands[0])?, output: *output },
            Op::Softmax => Kernel::Softmax { channels: self.shape(id)?[1], plane: self.plane(id)? },
            Op::Pad(pad) => {
                let [h, w] = self.map(operands[0])?;
                let input = [self.plan.options.batch, self.shape(operands[0])?[1], h, w];
                Kernel::Pad(PadShape { input, channels: pad.channels, sides: pad.sides, edge: edge(pad.mode) })
            }
            Op::GlobalMaxPool => {
                let map = self.map(operands[0])?;
                let pool = Pool { kind: PoolKind::MAX, kernel: map, stride: [1, 1], pad: [[0; 2]; 2], ceil: false };
                Kernel::Pool(self.pool_shape(&pool, id, operands[0])?)
            }
            Op::Upsample(_) => Kernel::Upsample { input: self.map(operands[0])?, output: self.map(id)? },
            Op::Subsample(stride) => Kernel::Subsample { input: self.map(operands[0])?, stride: *stride },
            Op::Train(op) => return self.train(id, op),
        };
        let output = self.buffer(id, Place::Arena(0))?;
        let scratch = match &kernel {
            Kernel::Conv { shape, strategy: ConvStrategy::Gemm(tiles), .. } => tiles.scratch(shape) * size_of::<f32>(),
            _ => 0,
        };
        let weights = self.weights(node)?;
        let shape = self.shape(id)?;
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
        self.buffers[id.index()] = Some(output);
        if let Op::BatchNorm(_) = node.op {
            if let Some((act, _)) = self.following_function(id) {
                self.buffers[act.index()] = Some(output);
            }
        } else if let Some(act) = node.op.epilogue().and_then(|epilogue| epilogue.act.as_ref())
            && !self.fuses(act, self.shape(id)?.get(1).copied())
        {
            self.own_step(id, act)?;
        }
        Ok(())
    }

    /// Whether a step can apply a function to its result, as opposed to a step of its own. Blocks of channels that are not full have
    /// filler lanes, which must stay finite: a function of 0 that is not 0 could make them anything.
    fn fuses(&self, function: &Elementwise, channels: Option<usize>) -> bool {
        let is_full = channels.is_none_or(|channels| channels.is_multiple_of(self.plan.options.isa.lanes()));
        is_full || function.program.evaluate(&[0.0]) == 0.0
    }

    /// Applies a function to the result of a node in a step of its own.
    fn own_step(&mut self, id: NodeId, function: &Elementwise) -> Result<(), PlanError> {
        let (input, output) = (self.operand(id)?, self.buffer(id, Place::Arena(0))?);
        let name = format!("{}.{}", self.network.graph().node(id).name, function.name);
        let kernel = Kernel::Elementwise(ElementwiseKernel::new(function));
        let shape = self.shape(id)?;
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
        self.buffers[id.index()] = Some(output);
        Ok(())
    }

    /// Binds an output of the network to the buffer of its value, or to a copy if that is the caller's or already an output.
    fn output(&mut self, index: usize, name: &str, node: NodeId) -> Result<(), PlanError> {
        let id = self.operand(node)?;
        let shape = self.shape(node)?;
        let port = self.network.declared_sizes(&shape);
        self.plan.outputs.push(Port { name: name.to_owned(), shape: port });
        match self.plan.buffers[id.0].place {
            Place::Arena(_) => self.plan.buffers[id.0].place = Place::Output(index),
            Place::Input(_) | Place::Output(_) => {
                let output = self.buffer(node, Place::Output(index))?;
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

    fn operand(&self, id: NodeId) -> Result<BufferId, PlanError> {
        self.buffers[id.index()].ok_or_else(|| PlanError::Internal(format!("{id} is used before it is computed")))
    }

    /// Sizes of a node's result, batch first if it has one.
    fn shape(&self, id: NodeId) -> Result<Vec<usize>, PlanError> {
        let shape = self.network.shape(id);
        let sizes = shape
            .sizes()
            .ok_or_else(|| PlanError::FreeShape { node: self.network.graph().node(id).name.clone(), shape: shape.to_string() })?;
        let batched = self.network.graph().node(id).op.is_batched();
        Ok(if batched { [&[self.plan.options.batch], &sizes[..]].concat() } else { sizes })
    }

    fn map(&self, id: NodeId) -> Result<[usize; 2], PlanError> {
        let shape = self.shape(id)?;
        let map = shape.get(2..).and_then(|map| <[usize; 2]>::try_from(map).ok());
        map.ok_or_else(|| PlanError::Internal(format!("{id} is not a map")))
    }

    /// Elements of one channel.
    fn plane(&self, id: NodeId) -> Result<usize, PlanError> {
        Ok(self.shape(id)?[2..].iter().product())
    }

    /// The buffer of a node's result.
    fn buffer(&mut self, id: NodeId, place: Place) -> Result<BufferId, PlanError> {
        let (network, shape) = (self.network, self.shape(id)?);
        self.buffer_at(&shape, &network.graph().node(id).name, place)
    }

    /// An arena buffer for a value of these sizes. `node` is the node's name, for errors.
    fn buffer_of(&mut self, shape: &[usize], node: &str) -> Result<BufferId, PlanError> {
        self.buffer_at(shape, node, Place::Arena(0))
    }

    fn buffer_at(&mut self, shape: &[usize], node: &str, place: Place) -> Result<BufferId, PlanError> {
        let buffer = Buffer::new(shape, DType::F32, Layout::Nchw, place);
        let too_large = || PlanError::TooLarge { batch: self.plan.options.batch, node: node.to_owned() };
        self.plan.buffers.push(buffer.ok_or_else(too_large)?);
        Ok(BufferId(self.plan.buffers.len() - 1))
    }

    /// Records the buffer of a node's result.
    fn set(&mut self, id: NodeId, buffer: BufferId) {
        self.buffers[id.index()] = Some(buffer);
    }

    fn weights(&mut self, node: &Node) -> Result<Vec<WeightId>, PlanError> {
        let mut list = Vec::new();
        let mut push = |suffix: &str, source, shape: &[usize]| {
            list.push(WeightId(self.plan.weights.len()));
            let name = format!("{}.{suffix}", node.name);
            self.plan.weights.push(Weight { name, source, shape: shape.to_vec(), layout: WeightLayout::Plain });
        };
        if let Op::BatchNorm(norm) = &node.op {
            let shape = node.params.first().map(|p| p.shape.clone()).unwrap_or_default();
            push("scale", WeightSource::NormScale { norm: node.name.clone(), eps: norm.eps }, &shape);
            push("shift", WeightSource::NormShift { norm: node.name.clone(), eps: norm.eps }, &shape);
            return Ok(list);
        }
        for param in &node.params {
            match param.role {
                ParamRole::Weight | ParamRole::Bias | ParamRole::Operand(_) => {
                    push(node.op.param_name(param.role), WeightSource::Param(param.source.clone()), &param.shape)
                }
                ParamRole::RunningMean | ParamRole::RunningVar => {
                    return Err(PlanError::Internal(format!("`{}` has statistics and is no norm", node.name)));
                }
            }
        }
        Ok(list)
    }

    fn conv_shape(&self, conv: &Conv, id: NodeId, operand: NodeId) -> Result<ConvShape, PlanError> {
        Ok(ConvShape {
            batch: self.plan.options.batch,
            channels: self.shape(operand)?[1],
            input: self.map(operand)?,
            filters: conv.filters,
            output: self.map(id)?,
            kernel: conv.kernel,
            stride: conv.stride,
            pad: conv.pad,
            dilation: conv.dilation,
            groups: conv.groups,
        })
    }

    fn pool_shape(&self, pool: &Pool, id: NodeId, operand: NodeId) -> Result<PoolShape, PlanError> {
        let maps = self.plan.options.batch * self.shape(operand)?[1];
        Ok(pool_shape(pool, maps, self.map(operand)?, self.map(id)?))
    }

    /// The function that is the only user of a norm's result, with its node, if the norm's step can apply it.
    fn following_function(&self, id: NodeId) -> Option<(NodeId, &Arc<Elementwise>)> {
        let graph = self.network.graph();
        let [(user, _)] = graph.users(Value::from(id))[..] else { return None };
        let function = graph.node(user).op.as_elementwise().filter(|function| function.is_unary())?;
        let channels = self.network.shape(id).channels();
        (!graph.is_output(Value::from(id)) && self.fuses(function, channels)).then_some((user, function))
    }
}

fn residual(is: bool) -> ResidualPlan {
    if is { ResidualPlan::Operand } else { ResidualPlan::None }
}
